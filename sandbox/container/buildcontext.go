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
	"path/filepath"
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
func (j *actions) buildContext(ctx context.Context, b *sandbox.Build) (buildContext, error) {
	if b.Context == nil {
		return j.around.folder(ctx, b.Dir)
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

// folder implements surroundings.
func (j *job) folder(ctx context.Context, dir string) (buildContext, error) {
	dir = j.inWorkspace(dir)
	got, err := j.provider.engine.CopyFromContainer(ctx, j.main.id, client.CopyFromContainerOptions{SourcePath: dir})
	if errdefs.IsNotFound(err) {
		return buildContext{}, fmt.Errorf("%s is not in the job's container: %w", dir, fs.ErrNotExist)
	}
	if err != nil {
		return buildContext{}, j.provider.engine.sentence(ctx, "copy "+dir+" from the job's container", err)
	}
	defer func() { _ = got.Content.Close() }()
	c, err := spool(ctx, got.Content)
	if err != nil {
		return buildContext{}, fmt.Errorf("copy %s from the job's container: %w", dir, err)
	}
	return c, nil
}

// spool keeps an engine's archive of a folder for a build, in a file without a name
// that lasts.
func spool(ctx context.Context, archive io.Reader) (buildContext, error) {
	file, err := os.CreateTemp("", "otelrunner-context-")
	if err != nil {
		return buildContext{}, err
	}
	done := func() {
		_ = file.Close()
		_ = os.Remove(file.Name()) // it is in the system's temporary folder
	}
	if err := repack(file, archive); err != nil {
		done()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return buildContext{}, err
	}
	return buildContext{
		write: func(w io.Writer) error {
			_, err := io.Copy(w, io.NewSectionReader(file, 0, maxContext))
			return err
		},
		close: done,
	}, nil
}

// spoolFolder is spool for a folder of this machine.
func spoolFolder(ctx context.Context, root *os.Root) (buildContext, error) {
	r, w := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		_ = w.CloseWithError(packFolder(ctx, w, root)) // it returns nil
	}()
	defer func() {
		_ = r.Close() // it returns nil
		<-packed
	}()
	return spool(ctx, r)
}

// packFolder writes a folder as an engine does, whose entries begin with the folder's
// name. Links are kept as they are; no link is followed out of the folder.
func packFolder(ctx context.Context, to io.Writer, root *os.Root) error {
	w := tar.NewWriter(to)
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if t := d.Type(); t != 0 && t != fs.ModeDir && t != fs.ModeSymlink {
			return nil // a pipe, a device: not for an image
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := ""
		if d.Type() == fs.ModeSymlink {
			if target, err = root.Readlink(name); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, filepath.ToSlash(target))
		if err != nil {
			return err
		}
		h.Name = "folder/" + name
		if err := w.WriteHeader(h); err != nil || !d.Type().IsRegular() {
			return err
		}
		return writeFile(w, root.FS(), name)
	})
	return errors.Join(err, w.Close())
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
