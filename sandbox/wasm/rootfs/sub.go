package rootfs

import (
	"io/fs"
	"strings"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// sub starts paths in a folder: the / of a guest of wasi-libc.
//
// wasi-libc strips the leading slash of absolute paths, so that they look like
// relative ones here. A name whose first part is not in the folder, and is a
// folder at the top of the guest's own /, is meant absolutely; every other one
// starts in the folder.
type sub struct {
	top *FS // the guest's own /
	f   *FS // the folder's file system, which is top or mounted in it
	dir string
}

func (s *sub) at(name string) (*FS, string) {
	trimmed := strings.TrimLeft(name, "/")
	first, _, _ := strings.Cut(trimmed, "/")
	if s.f == s.top && (s.dir == "." || s.dir == "") || first == "" || first == "." {
		return s.f, s.dir + "/" + trimmed
	}
	if _, errno := s.f.Lstat(s.dir + "/" + first); errno == sys.ENOENT {
		if info, errno := s.top.Lstat(first); errno == 0 && info.Mode.IsDir() {
			return s.top, trimmed
		}
	}
	return s.f, s.dir + "/" + trimmed
}

// atNew is at for a name that is to be made. One of a single part cannot be meant
// absolutely: the folder at the top is there already.
func (s *sub) atNew(name string) (*FS, string) {
	if trimmed := strings.Trim(name, "/"); trimmed != "" && !strings.Contains(trimmed, "/") {
		return s.f, s.dir + "/" + strings.TrimLeft(name, "/")
	}
	return s.at(name)
}

// two are the places of a call that has two, the second one new.
func (s *sub) two(from, to string, do func(f *FS, from, to string) sys.Errno) sys.Errno {
	f, from := s.at(from)
	g, to := s.atNew(to)
	if f != g {
		return errCrossDevice
	}
	return do(f, from, to)
}

// errCrossDevice stands for EXDEV, for which the engine has no number.
const errCrossDevice = sys.EPERM

func (s *sub) OpenFile(name string, flag sys.Oflag, perm fs.FileMode) (sys.File, sys.Errno) {
	f, at := s.at(name)
	if flag&sys.O_CREAT != 0 {
		f, at = s.atNew(name)
	}
	return f.OpenFile(at, flag, perm)
}

func (s *sub) Lstat(name string) (wsys.Stat_t, sys.Errno) {
	f, name := s.at(name)
	return f.Lstat(name)
}

func (s *sub) Stat(name string) (wsys.Stat_t, sys.Errno) {
	f, name := s.at(name)
	return f.Stat(name)
}

func (s *sub) Mkdir(name string, perm fs.FileMode) sys.Errno {
	f, name := s.atNew(name)
	return f.Mkdir(name, perm)
}

func (s *sub) Chmod(name string, perm fs.FileMode) sys.Errno {
	f, name := s.at(name)
	return f.Chmod(name, perm)
}

func (s *sub) Rename(from, to string) sys.Errno { return s.two(from, to, (*FS).Rename) }
func (s *sub) Link(from, to string) sys.Errno   { return s.two(from, to, (*FS).Link) }

func (s *sub) Rmdir(name string) sys.Errno {
	f, name := s.at(name)
	return f.Rmdir(name)
}

func (s *sub) Unlink(name string) sys.Errno {
	f, name := s.at(name)
	return f.Unlink(name)
}

func (s *sub) Symlink(target, name string) sys.Errno {
	f, name := s.atNew(name)
	return f.Symlink(target, name)
}

func (s *sub) Readlink(name string) (string, sys.Errno) {
	f, name := s.at(name)
	return f.Readlink(name)
}

func (s *sub) Utimens(name string, atim, mtim int64) sys.Errno {
	f, name := s.at(name)
	return f.Utimens(name, atim, mtim)
}
