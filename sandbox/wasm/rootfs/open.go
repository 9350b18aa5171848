package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// OpenFile implements sys.FS.
func (f *FS) OpenFile(name string, flag sys.Oflag, perm fs.FileMode) (file sys.File, errno sys.Errno) {
	if f.readOnly && flag&(sys.O_RDWR|sys.O_WRONLY|sys.O_CREAT|sys.O_TRUNC) != 0 {
		f.quota.deny("read-only", name)
		return nil, sys.EROFS
	}
	errno = f.at(name, flag&sys.O_NOFOLLOW == 0, func(p string) (err error) {
		file, err = f.open(p, flag, perm)
		return err
	})
	if errno != 0 {
		return nil, errno
	}
	return file, 0
}

func (f *FS) open(name string, flag sys.Oflag, perm fs.FileMode) (sys.File, error) {
	if !f.quota.openOne(name) {
		return nil, sys.EIO
	}
	file, err := f.openChecked(name, flag, perm)
	if err != nil {
		f.quota.closeOne()
		return nil, err
	}
	return file, nil
}

// openChecked opens a file or a folder. os.Root ignores O_NOFOLLOW, so the link
// is looked at first; what stands there is looked at before it is opened, as
// opening a device can have effects, and again after, as it may have changed.
func (f *FS) openChecked(name string, flag sys.Oflag, perm fs.FileMode) (sys.File, error) {
	slash := strings.HasSuffix(name, "/")
	trimmed := strings.TrimRight(name, "/")
	if flag&sys.O_NOFOLLOW != 0 {
		if info, err := f.root.Lstat(trimmed); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return nil, sys.ELOOP
		}
	}
	info, err := f.root.Stat(trimmed)
	exists := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if !exists && (slash || flag&sys.O_CREAT == 0) {
		if slash && flag&sys.O_CREAT != 0 {
			return nil, sys.EISDIR
		}
		return nil, err
	}
	if exists {
		if err := f.openable(name, info, flag, slash); err != nil {
			return nil, err
		}
	}
	created := !exists
	if created && !f.quota.addEntry(name) {
		return nil, sys.EIO
	}
	file, err := f.root.OpenFile(trimmed, osFlags(flag), perm.Perm()|0o400)
	if err != nil {
		if created {
			f.quota.dropEntry()
		}
		return nil, err
	}
	opened, err := f.wrap(file, name, flag)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return opened, nil
}

// openable checks what stands at a name.
func (f *FS) openable(name string, info fs.FileInfo, flag sys.Oflag, slash bool) error {
	folder := info.IsDir()
	switch {
	case flag&(sys.O_CREAT|sys.O_EXCL) == sys.O_CREAT|sys.O_EXCL:
		return sys.EEXIST
	case !folder && !info.Mode().IsRegular():
		f.quota.deny("special file", name)
		return sys.EACCES
	case !folder && (slash || flag&sys.O_DIRECTORY != 0):
		return sys.ENOTDIR
	case folder && flag&(sys.O_RDWR|sys.O_WRONLY|sys.O_TRUNC) != 0:
		return sys.EISDIR
	}
	return nil
}

// osFlags leaves out O_APPEND, which the file does itself, and O_TRUNC, which is
// done once it is known what was opened. O_NONBLOCK keeps a FIFO that was put
// there in between from blocking.
func osFlags(flag sys.Oflag) int {
	out := nonblock
	switch {
	case flag&sys.O_RDWR != 0:
		out |= os.O_RDWR
	case flag&sys.O_WRONLY != 0:
		out |= os.O_WRONLY
	}
	for _, f := range []struct {
		wasi sys.Oflag
		os   int
	}{{sys.O_CREAT, os.O_CREATE}, {sys.O_EXCL, os.O_EXCL}, {sys.O_SYNC, os.O_SYNC}, {sys.O_DSYNC, os.O_SYNC}} {
		if flag&f.wasi != 0 {
			out |= f.os
		}
	}
	return out
}

func (f *FS) wrap(file *os.File, name string, flag sys.Oflag) (sys.File, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &dir{fs: f, file: file, name: name}, nil
	}
	if !info.Mode().IsRegular() {
		f.quota.deny("special file", name)
		return nil, sys.EACCES
	}
	out := &regular{
		fs: f, file: file, name: name,
		reads:    flag&sys.O_WRONLY == 0,
		writes:   flag&(sys.O_RDWR|sys.O_WRONLY) != 0,
		isAppend: flag&sys.O_APPEND != 0,
	}
	st := wsys.NewStat_t(info)
	out.id = id{st.Dev, st.Ino}
	f.quota.hold(out.id)
	if flag&sys.O_TRUNC != 0 && out.writes {
		if errno := out.Truncate(0); errno != 0 {
			f.quota.release(out)
			return nil, errno
		}
	}
	return out, nil
}
