package wasm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/tetratelabs/wazero/experimental/sys"

	"otelrunner/sandbox"
)

var _ sandbox.FileKeeper = (*box)(nil)

// Files implements sandbox.FileKeeper.
func (b *box) Files() sandbox.Files { return boxFiles{b} }

// boxFiles are a box's files, by the rules of the guests.
type boxFiles struct{ b *box }

func (f boxFiles) Lstat(name string) (fs.FileMode, error) {
	files, rest := f.b.at(path.Clean(name))
	st, errno := files.Lstat(rest)
	return st.Mode, osError("look at", name, errno)
}

func (f boxFiles) ReadDir(name string) ([]string, error) {
	root, rel := f.b.rootAt(path.Clean(name))
	dir, err := root.Open(rel)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	names, err := dir.Readdirnames(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return nil, fmt.Errorf("list %s: %w", name, err)
	}
	slices.Sort(names)
	return names, nil
}

func (f boxFiles) RemoveAll(name string) error {
	err := f.b.removeAny(context.Background(), path.Clean(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (f boxFiles) Mkdir(name string) error {
	files, rest := f.b.at(path.Clean(name))
	return f.b.failed("make the folder", name, files.Mkdir(rest, 0o755))
}

func (f boxFiles) Create(name string, mode fs.FileMode, data io.Reader) error {
	name = path.Clean(name)
	files, rest := f.b.at(name)
	file, errno := files.OpenFile(rest, sys.O_WRONLY|sys.O_CREAT|sys.O_EXCL, mode.Perm())
	if errno != 0 {
		return f.b.failed("make", name, errno)
	}
	_, err := io.Copy(&fileWriter{file}, data)
	if errno := file.Close(); err == nil && errno != 0 {
		err = errno
	}
	if err == nil {
		if errno := files.Chmod(rest, mode.Perm()); errno != 0 {
			err = errno
		}
	}
	return f.b.writeFailed(name, err)
}

func (f boxFiles) Symlink(target, name string) error {
	files, rest := f.b.at(path.Clean(name))
	return f.b.failed("make the symbolic link", name, files.Symlink(target, rest))
}
