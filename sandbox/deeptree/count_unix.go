//go:build unix

package deeptree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Count counts what lies in a root, up to most entries: with more of them it
// returns what it has counted, and ErrMany; ErrNames is an error as others. A folder that its permissions close is
// opened for its owner, and stays so; what cannot be read then is an error, as is a
// context that has ended.
//
// It holds one folder open at a time, goes down by names and up by "..", and keeps
// of the folders above only which ones they are and which of their folders are
// still to be seen.
func Count(ctx context.Context, root *os.Root, most int64) (Size, error) {
	return count(ctx, root, most, maxNames)
}

// count is Count with a bound of names.
func count(ctx context.Context, root *os.Root, most int64, names int) (Size, error) {
	c := &counter{most: most}
	top, err := root.Open(".")
	if err != nil {
		return Size{}, fmt.Errorf("count files: %w", err)
	}
	w := &walk{ctx: ctx, counter: c, at: top, room: names}
	err = w.run()
	_ = w.at.Close() // it was only read
	if err != nil && !errors.Is(err, ErrMany) {
		err = fmt.Errorf("count files: %w", err)
	}
	return c.size, err
}

// walk is a way through a tree.
type walk struct {
	ctx     context.Context //nolint:containedctx // of one call of Count
	counter *counter
	at      *os.File // where it is
	above   []level  // the last is that of at
	room    int      // bytes that more names of unseen folders may take
}

// level is a folder on the way to where a walk is.
type level struct {
	folder id
	unseen []string // folders in it
}

func (w *walk) run() error {
	if err := w.look(); err != nil {
		return err
	}
	for {
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
		here := &w.above[len(w.above)-1]
		if n := len(here.unseen); n > 0 {
			name := here.unseen[n-1]
			w.room += nameSize(name)
			if here.unseen = here.unseen[:n-1]; n == 1 {
				here.unseen = nil
			}
			if err := w.down(name); err != nil {
				return err
			}
			continue
		}
		if w.above = w.above[:len(w.above)-1]; len(w.above) == 0 {
			return nil
		}
		if err := w.up(); err != nil {
			return err
		}
	}
}

const openFolder = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func (w *walk) down(name string) error {
	fd, err := w.open(name)
	if errors.Is(err, fs.ErrPermission) && unix.Fchmodat(int(w.at.Fd()), name, 0o700, 0) == nil { //nolint:gosec // a descriptor
		fd, err = w.open(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: name, Err: err}
	}
	w.move(fd, name)
	return w.look()
}

func (w *walk) up() error {
	fd, err := w.open("..")
	if err != nil {
		return &fs.PathError{Op: "open", Path: "..", Err: err}
	}
	w.move(fd, "..")
	now, err := identity(fd)
	if err == nil && now != w.above[len(w.above)-1].folder {
		err = errors.New("a folder was moved while files were counted")
	}
	return err
}

func (w *walk) open(name string) (int, error) {
	for {
		fd, err := unix.Openat(int(w.at.Fd()), name, openFolder, 0) //nolint:gosec // a descriptor
		if !errors.Is(err, unix.EINTR) {
			return fd, err //nolint:wrapcheck // the callers name it
		}
	}
}

// move makes an open folder the one where the walk is.
func (w *walk) move(fd int, name string) {
	_ = w.at.Close() // it was only read
	w.at = os.NewFile(uintptr(fd), name)
}

func identity(fd int) (id, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return id{}, fmt.Errorf("look at a folder: %w", err)
	}
	return id{uint64(st.Dev), st.Ino}, nil //nolint:gosec,unconvert,nolintlint // its type differs between systems
}

// nameSize is what a name takes in memory.
func nameSize(name string) int { return len(name) + int(unsafe.Sizeof(name)) }

// portion is how many names are read at a time.
const portion = 1024

// look counts what is in the folder where the walk is.
func (w *walk) look() error {
	folder, err := identity(int(w.at.Fd())) //nolint:gosec // a descriptor
	if err != nil {
		return err
	}
	here := level{folder: folder}
	for {
		names, err := w.at.Readdirnames(portion)
		for _, name := range names {
			var st unix.Stat_t
			if unix.Fstatat(int(w.at.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil { //nolint:gosec // a descriptor
				continue // it is gone
			}
			mode := fs.ModeIrregular
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFREG:
				mode = 0
			case unix.S_IFDIR:
				here.unseen = append(here.unseen, name)
				if w.room -= nameSize(name); w.room < 0 {
					return ErrNames
				}
			}
			if err := w.counter.add(mode, st.Size, uint64(st.Nlink), id{uint64(st.Dev), st.Ino}); err != nil { //nolint:gosec,unconvert,nolintlint // types differ between systems
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err //nolint:wrapcheck // Count says what was done
		}
		if w.ctx.Err() != nil {
			return context.Cause(w.ctx)
		}
	}
	w.above = append(w.above, here)
	return nil
}
