// Package deeptree counts and removes folders in which hostile steps have built
// what they liked: a tree may be deeper than paths, open files or a stack reach,
// wider than is good, closed by permissions, and full of links. It costs one look
// an entry, whatever the shape. It only works on what lies in an os.Root, and
// nobody else may change that meanwhile: no guest may be running.
package deeptree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tetratelabs/wazero/sys"
)

// Size is what a tree holds, without its root.
type Size struct {
	Bytes int64 `json:"bytes"` // of all regular files, as they are read: holes count, a file of several names once
	Files int64 `json:"files"` // files, folders and links, each name of them
}

// ErrMany says that a tree has more entries than were to be counted.
var ErrMany = errors.New("there are more files than were to be counted")

// ErrNames says that the names of the folders that are still to be counted take too
// much memory: maxNames.
var ErrNames = errors.New("the names of its folders take more than 32 MiB")

// maxNames bounds those names, each with its string, in bytes: half a million of
// usual length in one folder.
const maxNames = 32 << 20

// counter sums up entries.
type counter struct {
	size  Size
	most  int64
	links map[id]bool // files of several names that were seen
}

// id is a file, whatever its names.
type id struct{ dev, ino uint64 }

// add counts an entry.
func (c *counter) add(mode fs.FileMode, size int64, links uint64, file id) error {
	c.size.Files++
	if c.size.Files > c.most {
		return ErrMany
	}
	if !mode.IsRegular() {
		return nil
	}
	if links > 1 && file.ino != 0 {
		if c.links[file] {
			return nil
		}
		if c.links == nil {
			c.links = map[id]bool{}
		}
		c.links[file] = true
	}
	c.size.Bytes += size
	return nil
}

// RemoveFolder removes a folder with all that is in it; one that is not there is
// no error. The folder's own name is trusted: a symbolic link in it is followed.
func RemoveFolder(ctx context.Context, folder string) error {
	_ = os.Chmod(folder, 0o700) //nolint:gosec // its owner may empty it; where that fails, what comes says why
	root, err := os.OpenRoot(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove a folder: %w", err)
	}
	_, err = RemoveAll(ctx, root)
	if err = errors.Join(err, root.Close()); err == nil {
		err = os.Remove(folder)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the folder %s: %w", folder, err)
	}
	return nil
}

// idOf are the links and the identity of a file.
func idOf(info fs.FileInfo) (links uint64, file id) {
	st := sys.NewStat_t(info)
	return st.Nlink, id{st.Dev, st.Ino}
}
