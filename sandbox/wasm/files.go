package wasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero/experimental/sys"

	"otelrunner/sandbox"
	"otelrunner/sandbox/deeptree"
	"otelrunner/sandbox/hashfiles"
	"otelrunner/sandbox/staging"
	"otelrunner/sandbox/wasm/rootfs"
)

// osError is an errno as package io/fs knows errors.
func osError(what, name string, errno sys.Errno) error {
	var err error = errno
	switch errno {
	case 0:
		return nil
	case sys.ENOENT, sys.ENOTDIR:
		err = fs.ErrNotExist
	case sys.EEXIST:
		err = fs.ErrExist
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// ReadFile reads a whole file of at most limit bytes.
func (b *box) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	files, rest := b.at(b.abs(name))
	st, errno := files.Stat(rest)
	if errno != 0 {
		return nil, osError("read", name, errno)
	}
	if !st.Mode.IsRegular() {
		return nil, fmt.Errorf("read %s: it is not a regular file (%s)", name, st.Mode.Type())
	}
	tooLarge := &sandbox.LimitError{Limit: "files", Text: fmt.Sprintf("%s is larger than the limit of %d bytes", name, limit)}
	if st.Size > limit {
		return nil, tooLarge
	}
	f, errno := files.OpenFile(rest, sys.O_RDONLY, 0)
	if errno != 0 {
		return nil, osError("read", name, errno)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(&fileReader{f: f}, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge
	}
	return data, nil
}

// fileReader is a file of the guests as an io.Reader.
type fileReader struct{ f sys.File }

func (r *fileReader) Read(p []byte) (int, error) {
	n, errno := r.f.Read(p)
	switch {
	case errno != 0:
		return n, errno
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// WriteFiles writes files with their parent folders.
func (b *box) WriteFiles(ctx context.Context, files []sandbox.File) error {
	for _, f := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		mode := f.Mode.Perm()
		if mode == 0 {
			mode = 0o644
		}
		if err := b.write(b.abs(f.Path), strings.NewReader(string(f.Data)), mode); err != nil {
			return err
		}
	}
	return nil
}

func (b *box) write(name string, data io.Reader, mode fs.FileMode) error {
	files, rest := b.at(name)
	flag := sys.O_WRONLY | sys.O_CREAT | sys.O_TRUNC
	f, errno := files.OpenFile(rest, flag, mode)
	if errno == sys.ENOENT {
		if err := b.mkdirAll(path.Dir(name)); err != nil {
			return err
		}
		f, errno = files.OpenFile(rest, flag, mode)
	}
	if errno != 0 {
		return b.failed("write", name, errno)
	}
	_, err := io.Copy(&fileWriter{f}, data)
	if errno := f.Close(); err == nil && errno != 0 {
		err = errno
	}
	if err == nil {
		if errno := files.Chmod(rest, mode); errno != 0 {
			err = errno
		}
	}
	return b.writeFailed(name, err)
}

// writeFailed is failed for the writing of a file, where err may be of what was to be
// written.
func (b *box) writeFailed(name string, err error) error {
	var number sys.Errno
	if errors.As(err, &number) {
		return b.failed("write", name, number)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

// failed is osError for what the runner writes, which a job's limits hold for as
// well.
func (b *box) failed(what, name string, errno sys.Errno) error {
	if limit, text := b.quota.Hit(); errno == sys.EIO && limit != "" {
		b.quota.Reset(b.provider.options.Limits.disk())
		return &sandbox.LimitError{Limit: limit, Text: fmt.Sprintf("%s %s: %s", what, name, text)}
	}
	return osError(what, name, errno)
}

type fileWriter struct{ f sys.File }

func (w *fileWriter) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		n, errno := w.f.Write(p[at:])
		if errno != 0 {
			return at, errno
		}
		at += n
	}
	return len(p), nil
}

// mkdirAll makes a folder and those above it.
func (b *box) mkdirAll(name string) error {
	files, rest := b.at(name)
	if st, errno := files.Stat(rest); errno == 0 && st.Mode.IsDir() {
		return nil
	}
	if name != "/" {
		if err := b.mkdirAll(path.Dir(name)); err != nil {
			return err
		}
	}
	if errno := files.Mkdir(rest, 0o755); errno != 0 && errno != sys.EEXIST {
		return b.failed("make the folder", name, errno)
	}
	return nil
}

// collect reads what a command is asked for; see sandbox.Command.
func (b *box) collect(c *sandbox.Command) (map[string][]byte, error) {
	return sandbox.CollectFiles(c, func(name string, limit int64) ([]byte, error) {
		return b.ReadFile(context.Background(), name, limit)
	})
}

// remove removes files, or whatever a step has put in their place.
func (b *box) remove(names []string) error {
	for _, name := range names {
		if err := b.removeAny(context.Background(), b.abs(name)); err != nil {
			return err
		}
	}
	return nil
}

func (b *box) removeAny(ctx context.Context, name string) error {
	files, rest := b.at(name)
	errno := files.Unlink(rest)
	if errno == sys.EISDIR {
		root, rel := b.rootAt(name)
		if rel == "." {
			return errors.New("remove " + name + ": it is a root of the sandbox")
		}
		gone, err := removeTree(ctx, root, rel)
		b.quota.Drop(gone)
		if err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		return nil
	}
	if errno == sys.ENOENT || errno == sys.ENOTDIR {
		return nil
	}
	return osError("remove", name, errno)
}

// removeTree removes a folder with all that is in it, and says what that was.
func removeTree(ctx context.Context, root *os.Root, name string) (gone rootfs.Holding, err error) {
	if err := root.Chmod(name, 0o700); err != nil { // its owner may empty it
		return gone, err //nolint:wrapcheck // the caller says what was done
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return gone, err //nolint:wrapcheck // as above
	}
	gone, err = deeptree.RemoveAll(ctx, dir)
	if err = errors.Join(err, dir.Close()); err != nil {
		return gone, err
	}
	if err := root.Remove(name); err != nil {
		return gone, err //nolint:wrapcheck // as above
	}
	gone.Files++
	return gone, nil
}

// stagedTree is one staged tree: the first caller copies, the others wait for it.
type stagedTree struct {
	once sync.Once
	err  error
}

// Stage copies a tree to a folder under Info.Temp. One of the name _actions/… guests
// cannot change.
func (b *box) Stage(ctx context.Context, name string, tree fs.FS) (string, error) {
	if !fs.ValidPath(name) || name == "." {
		return "", fmt.Errorf("stage %q: not a relative path with forward slashes", name)
	}
	to := path.Join(b.info.Temp, name)
	b.mu.Lock()
	s := b.staged[name]
	if s == nil {
		s = &stagedTree{}
		b.staged[name] = s
	}
	b.mu.Unlock()
	s.once.Do(func() { s.err = b.copyTree(ctx, to, tree) })
	if s.err == nil {
		return to, nil
	}
	// The next call may try again, into a folder that is clean.
	b.mu.Lock()
	if b.staged[name] == s {
		delete(b.staged, name)
	}
	b.mu.Unlock()
	return "", errors.Join(fmt.Errorf("stage %s: %w", name, s.err), b.removeAny(context.WithoutCancel(ctx), to))
}

func (b *box) copyTree(ctx context.Context, to string, tree fs.FS) error {
	entries, err := staging.Walk(ctx, tree)
	if err != nil {
		return err //nolint:wrapcheck // Stage says what was done
	}
	if err := b.mkdirAll(to); err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := path.Join(to, e.Path)
		if !e.Mode.IsDir() {
			if err := b.removeAny(ctx, name); err != nil { // a file would be written through a link
				return err
			}
		}
		switch {
		case e.Mode.IsDir():
			err = b.mkdirAll(name)
		case e.Mode&fs.ModeSymlink != 0:
			files, rest := b.at(name)
			err = b.failed("make the symbolic link", name, files.Symlink(e.Target, rest))
		default:
			err = b.copyFile(name, tree, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *box) copyFile(name string, tree fs.FS, e staging.Entry) error {
	f, err := tree.Open(e.Path)
	if err != nil {
		return fmt.Errorf("read %s: %w", e.Path, err)
	}
	defer func() { _ = f.Close() }()
	return b.write(name, f, e.Mode.Perm())
}

// HashFiles is GitHub's hashFiles.
func (b *box) HashFiles(ctx context.Context, dir string, patterns []string, followSymlinks bool) (string, error) {
	abs := b.abs(dir)
	within, rel := b.rootAt(abs)
	root, err := within.OpenRoot(rel)
	if err != nil {
		return "", fmt.Errorf("hash files in %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	return hashfiles.Hash(ctx, root.FS(), hashfiles.Options{Dir: abs, Home: b.info.Home, FollowSymlinks: followSymlinks}, patterns) //nolint:wrapcheck // it names the pattern or file
}
