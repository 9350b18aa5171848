package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"otelrunner/sandbox/staging"
)

// stagedTree is one staged tree: the first caller copies, the others wait for it.
type stagedTree struct {
	once sync.Once
	path string
	err  error
}

// Stage copies a tree to a folder under Info.Temp.
func (j *job) Stage(ctx context.Context, name string, tree fs.FS) (string, error) {
	return j.stageOnce(name, func(to string) error { return copyTree(ctx, to, tree) })
}

// Import implements sandbox.Importer.
func (j *job) Import(ctx context.Context, dir string, tree fs.FS) error {
	next, err := entriesOf(ctx, tree)
	if err == nil {
		j.as(func() { err = mergeTree(ctx, j.path(dir), next) })
	}
	if err != nil {
		return fmt.Errorf("copy into %s: %w", dir, err)
	}
	return nil
}

// stageOnce has copied the tree of a name by build, now or before.
func (j *job) stageOnce(name string, build func(to string) error) (string, error) {
	if !fs.ValidPath(name) || name == "." || !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", fmt.Errorf("stage %q: not a relative path with forward slashes", name)
	}
	j.mu.Lock()
	s := j.staged[name]
	if s == nil {
		s = &stagedTree{}
		j.staged[name] = s
	}
	j.mu.Unlock()
	s.once.Do(func() {
		s.path = filepath.Join(j.temp, filepath.FromSlash(name))
		s.err = build(s.path)
	})
	if s.err != nil {
		// The next call may try again, into a folder that is clean.
		j.mu.Lock()
		if j.staged[name] == s {
			delete(j.staged, name)
		}
		j.mu.Unlock()
		return "", fmt.Errorf("stage %s: %w", name, s.err)
	}
	return s.path, nil
}

// copyTree copies a tree, keeping its executable bits and symbolic links.
func copyTree(ctx context.Context, to string, tree fs.FS) error {
	next, err := entriesOf(ctx, tree)
	if err != nil {
		return err
	}
	return makeTree(ctx, to, next)
}

// entriesOf lists a tree for makeTree and mergeTree.
func entriesOf(ctx context.Context, tree fs.FS) (func() (staging.Entry, io.Reader, error), error) {
	entries, err := staging.Walk(ctx, tree)
	if err != nil {
		return nil, err
	}
	return func() (staging.Entry, io.Reader, error) {
		if len(entries) == 0 {
			return staging.Entry{}, nil, io.EOF
		}
		entry := entries[0]
		entries = entries[1:]
		if !entry.Mode.IsRegular() {
			return entry, nil, nil
		}
		return entry, &fileOf{tree: tree, name: entry.Path}, nil
	}, nil
}

// fileOf opens a file of a tree when it is read.
type fileOf struct {
	tree fs.FS
	name string
	file fs.File
}

func (f *fileOf) Read(p []byte) (int, error) {
	if f.file == nil {
		file, err := f.tree.Open(f.name)
		if err != nil {
			return 0, err
		}
		f.file = file
	}
	return f.file.Read(p)
}

func (f *fileOf) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// nextEntry returns the next entry of a tree: folders before what they hold, the
// content of regular files, and io.EOF at the end. Contents that are io.Closers are
// closed.
type nextEntry = func() (staging.Entry, io.Reader, error)

// makeTree makes a tree of entries. What it could not finish, it removes.
func makeTree(ctx context.Context, to string, next nextEntry) error {
	if err := makeTop(to); err != nil {
		return err
	}
	if err := eachEntry(ctx, to, next, makeEntry); err != nil {
		return errors.Join(err, removeTree(context.Background(), to))
	}
	return nil
}

// mergeTree is makeTree over what is there already: folders stay with what they
// hold, and anything else gives way. What it could not finish, it leaves.
func mergeTree(ctx context.Context, to string, next nextEntry) error {
	if err := makeTop(to); err != nil {
		return err
	}
	return eachEntry(ctx, to, next, func(path string, entry staging.Entry, content io.Reader) error {
		if info, err := os.Lstat(path); err == nil {
			if entry.Mode.IsDir() && info.IsDir() {
				return nil
			}
			if err := removeAny(path); err != nil {
				return err
			}
		}
		return makeEntry(path, entry, content)
	})
}

// makeTop makes the folder of a tree.
func makeTop(to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return diskError("make the folder", to, err)
	}
	return nil
}

// eachEntry calls put for each entry, with the path that it has in the folder to.
func eachEntry(ctx context.Context, to string, next nextEntry, put func(path string, entry staging.Entry, content io.Reader) error) error {
	for {
		entry, content, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		if err := put(filepath.Join(to, filepath.FromSlash(entry.Path)), entry, content); err != nil {
			return err
		}
	}
}

func makeEntry(path string, entry staging.Entry, content io.Reader) error {
	switch {
	case entry.Mode.IsDir():
		if err := os.Mkdir(path, 0o755); err != nil {
			return diskError("make the folder", path, err)
		}
	case entry.Mode&fs.ModeSymlink != 0:
		if err := os.Symlink(filepath.FromSlash(entry.Target), path); err != nil {
			return diskError("make the symbolic link", path, err)
		}
	default:
		return makeFile(path, entry, content)
	}
	return nil
}

func makeFile(path string, entry staging.Entry, content io.Reader) error {
	if closer, ok := content.(io.Closer); ok {
		defer func() { _ = closer.Close() }()
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, entry.Mode.Perm())
	if err != nil {
		return diskError("write", path, err)
	}
	if _, err := io.Copy(out, content); err != nil {
		return errors.Join(diskError("write", path, err), out.Close())
	}
	if err := out.Close(); err != nil {
		return diskError("write", path, err)
	}
	return nil
}
