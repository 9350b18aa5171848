package host

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// openSpare is how a file is opened that a step may have put anything in place of.
const openSpare = unix.O_WRONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// reuse writes an empty spare and gives it its new name. A spare that cannot be
// used is removed.
func reuse(spare, path string, owner int, data []byte, mode fs.FileMode) bool {
	if fill(spare, owner, data, mode) && unix.Rename(spare, path) == nil {
		return true
	}
	_ = unix.Unlink(spare) // it is in the job's folder, and goes with it
	return false
}

func fill(spare string, owner int, data []byte, mode fs.FileMode) bool {
	return withAlone(spare, owner, func(fd int, stat *unix.Stat_t) bool {
		if stat.Size != 0 { // somebody had it open when it was put aside, and wrote
			return false
		}
		for len(data) > 0 {
			n, err := unix.Write(fd, data)
			if err != nil || n == 0 {
				return false
			}
			data = data[n:]
		}
		return stat.Mode&0o7777 == uint32(mode) || unix.Fchmod(fd, uint32(mode)) == nil
	})
}

// putAside empties a file and renames it. An empty one is not opened: whether
// somebody has it open counts when it is used.
func putAside(path, spare string, owner int) bool {
	var stat unix.Stat_t
	if unix.Lstat(path, &stat) != nil || !plain(&stat, owner) {
		return false
	}
	// It is not emptied as it is opened to be written again: file systems take
	// that for the replacement of a precious file, and write its blocks at once.
	if stat.Size != 0 && !withAlone(path, owner, func(fd int, _ *unix.Stat_t) bool { return unix.Ftruncate(fd, 0) == nil }) {
		return false
	}
	return unix.Rename(path, spare) == nil
}

// plain reports whether a file is a regular one of the owner, with one name.
func plain(stat *unix.Stat_t, owner int) bool {
	return stat.Mode&unix.S_IFMT == unix.S_IFREG && stat.Nlink == 1 && int(stat.Uid) == owner
}

// withAlone calls work with a plain file that nobody else has open or mapped. A
// lease to write is given for nothing else, and whoever opens the file meanwhile
// waits (fcntl(2), F_SETLEASE).
func withAlone(path string, owner int, work func(fd int, stat *unix.Stat_t) bool) bool {
	fd, err := unix.Open(path, openSpare, 0)
	if err != nil {
		return false
	}
	defer func() { _ = unix.Close(fd) }() // what was written is in the system's hands
	var stat unix.Stat_t
	if unix.Fstat(fd, &stat) != nil || !plain(&stat, owner) {
		return false
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		return false
	}
	// Closing alone would not do where a child has just been forked.
	defer func() { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK) }()
	return work(fd, &stat)
}
