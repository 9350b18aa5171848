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
		s.err = copyTree(ctx, s.path, tree)
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
	entries, err := staging.Walk(ctx, tree)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return diskError("make the folder", to, err)
	}
	for _, entry := range entries {
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), removeTree(context.Background(), to))
		}
		if err := copyEntry(filepath.Join(to, filepath.FromSlash(entry.Path)), tree, entry); err != nil {
			return errors.Join(err, removeTree(context.Background(), to))
		}
	}
	return nil
}

func copyEntry(path string, tree fs.FS, entry staging.Entry) error {
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
		return copyFile(path, tree, entry)
	}
	return nil
}

func copyFile(path string, tree fs.FS, entry staging.Entry) error {
	in, err := tree.Open(entry.Path)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, entry.Mode.Perm())
	if err != nil {
		return diskError("write", path, err)
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(diskError("write", path, err), out.Close())
	}
	if err := out.Close(); err != nil {
		return diskError("write", path, err)
	}
	return nil
}
