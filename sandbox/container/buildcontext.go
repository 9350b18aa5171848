package container

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/staging"
)

// A buildContext is a folder as the archive that an engine builds from. The same
// files give the same bytes, each time it is written.
type buildContext struct {
	write func(io.Writer) error
	close func()
}

// buildContext packs the folder of a build: one of ours, or one in the job's
// container.
func (j *job) buildContext(ctx context.Context, b *sandbox.Build) (buildContext, error) {
	if b.Context == nil {
		return j.contextInside(ctx, b.Dir)
	}
	entries, err := staging.Walk(ctx, b.Context)
	if err != nil {
		return buildContext{}, err
	}
	return buildContext{
		write: func(w io.Writer) error { return writeContext(w, b.Context, entries) },
		close: func() {},
	}, nil
}

// maxContext bounds what a job can have the runner keep on its disk for a build.
const maxContext = 2 << 30

// contextInside fetches a folder of the job's container, into a file without a
// name that lasts.
func (j *job) contextInside(ctx context.Context, dir string) (_ buildContext, err error) {
	dir = j.inWorkspace(dir)
	got, err := j.provider.engine.CopyFromContainer(ctx, j.main.id, client.CopyFromContainerOptions{SourcePath: dir})
	if errdefs.IsNotFound(err) {
		return buildContext{}, fmt.Errorf("%s is not in the job's container: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return buildContext{}, j.provider.engine.sentence(ctx, "copy "+dir+" from the job's container", err)
	}
	defer func() { _ = got.Content.Close() }()
	file, err := os.CreateTemp("", "otelrunner-context-")
	if err != nil {
		return buildContext{}, err
	}
	done := func() {
		_ = file.Close()
		_ = os.Remove(file.Name()) // it is in the system's temporary folder
	}
	if err := repack(file, got.Content); err != nil {
		done()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return buildContext{}, fmt.Errorf("copy %s from the job's container: %w", dir, err)
	}
	return buildContext{
		write: func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(file, 0, maxContext))
			return err
		},
		close: done,
	}, nil
}

// headroom is for an archive's headers.
const headroom = 64 << 20

var errContextSize = errors.New("the folder has more than 2 GiB")

// repack writes an engine's archive of a folder, whose entries begin with the
// folder's name, as a build's: without times and owners, which are no content.
func repack(to io.Writer, from io.Reader) error {
	in, out := tar.NewReader(from), tar.NewWriter(to)
	total := int64(0)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return out.Close()
		}
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(strings.TrimSuffix(h.Name, "/"), "/")
		clean := tar.Header{Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Size: h.Size, Mode: h.Mode & 0o777}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeSymlink:
		case tar.TypeDir:
			clean.Name += "/"
		case tar.TypeLink:
			_, clean.Linkname, _ = strings.Cut(h.Linkname, "/")
		default:
			continue // a pipe, a device: not for an image
		}
		if total += h.Size; total > maxContext-headroom {
			return errContextSize
		}
		if name == "" || !fs.ValidPath(path.Clean(name)) {
			continue
		}
		if err := out.WriteHeader(&clean); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil {
			return err
		}
	}
}

// writeContext packs a folder of ours.
func writeContext(to io.Writer, tree fs.FS, entries []staging.Entry) error {
	w := tar.NewWriter(to)
	for _, e := range entries {
		h := tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm())}
		switch {
		case e.Mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		case e.Mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
		default:
			h.Typeflag, h.Size = tar.TypeReg, e.Size
		}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := writeFile(w, tree, e.Path); err != nil {
			return err
		}
	}
	return w.Close()
}

func writeFile(to io.Writer, tree fs.FS, name string) error {
	file, err := tree.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(to, file)
	return err
}
