package rootfs

import (
	"io/fs"
	"strings"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// sub starts paths in a folder of f: the / of a guest of wasi-libc.
//
// wasi-libc strips the leading slash of absolute paths, so that they look like
// relative ones here. A name whose first part is not in the folder, and is a
// folder at the top of f, is meant absolutely; every other one starts in the
// folder.
type sub struct {
	f   *FS
	dir string
}

func (s *sub) name(name string) string {
	trimmed := strings.TrimLeft(name, "/")
	first, _, _ := strings.Cut(trimmed, "/")
	if s.dir == "." || s.dir == "" || first == "" || first == "." {
		return s.dir + "/" + trimmed
	}
	if _, errno := s.f.Lstat(s.dir + "/" + first); errno == sys.ENOENT {
		if info, errno := s.f.Lstat(first); errno == 0 && info.Mode.IsDir() {
			return trimmed
		}
	}
	return s.dir + "/" + trimmed
}

func (s *sub) OpenFile(name string, flag sys.Oflag, perm fs.FileMode) (sys.File, sys.Errno) {
	return s.f.OpenFile(s.name(name), flag, perm)
}
func (s *sub) Lstat(name string) (wsys.Stat_t, sys.Errno)    { return s.f.Lstat(s.name(name)) }
func (s *sub) Stat(name string) (wsys.Stat_t, sys.Errno)     { return s.f.Stat(s.name(name)) }
func (s *sub) Mkdir(name string, perm fs.FileMode) sys.Errno { return s.f.Mkdir(s.name(name), perm) }
func (s *sub) Chmod(name string, perm fs.FileMode) sys.Errno { return s.f.Chmod(s.name(name), perm) }
func (s *sub) Rename(from, to string) sys.Errno              { return s.f.Rename(s.name(from), s.name(to)) }
func (s *sub) Rmdir(name string) sys.Errno                   { return s.f.Rmdir(s.name(name)) }
func (s *sub) Unlink(name string) sys.Errno                  { return s.f.Unlink(s.name(name)) }
func (s *sub) Link(from, to string) sys.Errno                { return s.f.Link(s.name(from), s.name(to)) }
func (s *sub) Symlink(target, name string) sys.Errno         { return s.f.Symlink(target, s.name(name)) }
func (s *sub) Readlink(name string) (string, sys.Errno)      { return s.f.Readlink(s.name(name)) }
func (s *sub) Utimens(name string, atim, mtim int64) sys.Errno {
	return s.f.Utimens(s.name(name), atim, mtim)
}
