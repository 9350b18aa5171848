// Package rootfs is the file system of a WebAssembly guest: one folder of this
// machine that no path leads out of, with quotas.
//
// It implements wazero's experimental/sys.FS on os.Root, because wazero's own
// directory mount follows a symbolic link wherever it leads, by design. Every
// access goes through os.Root, which opens a path component by component and
// refuses what leaves it, also while another process renames folders.
//
// Only regular files and folders can be opened: a FIFO would block an open for
// ever, a device may do anything. An absolute symbolic link leads to a path of
// the guest, whose / is the root.
//
// WASI has no error that names a quota, so a guest gets EIO; Quota.Hit says which
// quota it was.
package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// FS is a folder as a guest sees it. It is safe for concurrent use, also by
// several module instances.
type FS struct {
	root     *os.Root
	readOnly bool
	quota    *Quota
}

var _ sys.FS = (*FS)(nil)

// New makes a file system of a root, which stays the caller's to close. All file
// systems of one quota share it. readOnly refuses every change with EROFS.
func New(root *os.Root, quota *Quota, readOnly bool) *FS {
	return &FS{root: root, readOnly: readOnly, quota: quota}
}

const (
	// maxLinks is how many absolute symbolic links one path may follow; inside
	// one lookup os.Root has a limit of its own.
	maxLinks = 40
	// maxDepth bounds a path's components, which all cost a look. Trees can be
	// made deeper, by moving one into another: see package deeptree.
	maxDepth = 512
	// maxSteps bounds the components that one path has with those of the absolute
	// links in it.
	maxSteps = 4 * maxDepth
)

// clean makes a guest's path one for os.Root. A trailing slash stays, because it
// demands a folder.
func clean(name string) (string, sys.Errno) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", sys.EINVAL
	}
	if strings.Count(name, "/") > maxDepth {
		return "", sys.ENAMETOOLONG
	}
	name = strings.TrimLeft(name, "/")
	if name == "" {
		return ".", 0
	}
	return name, 0
}

// at calls do with a path of the root. Where the path leaves the root, which an
// absolute link in it does as well, it is resolved as the guest's own and tried
// again; follow says whether a link at its end is followed too.
func (f *FS) at(name string, follow bool, do func(string) error) sys.Errno {
	name, errno := clean(name)
	if errno != 0 {
		return errno
	}
	err := do(name)
	if err == nil {
		return 0
	}
	if escapes(err) {
		if resolved, ok := f.resolve(name, follow); ok && resolved != name {
			if err = do(resolved); err == nil {
				return 0
			}
		}
		if escapes(err) {
			f.quota.deny("leave", name)
			return sys.EPERM
		}
	}
	return errnoOf(err)
}

// resolve follows the absolute links of a path. It decides nothing about what is
// allowed: os.Root does, when the result is used.
func (f *FS) resolve(name string, follow bool) (string, bool) {
	at, rest := "", strings.Split(name, "/")
	for links, steps := 0, 0; len(rest) > 0; steps++ {
		if steps > maxSteps || strings.Count(at, "/") > maxDepth {
			return "", false
		}
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "" {
				return "", false
			}
			at = strings.TrimPrefix(path.Dir("/"+at), "/")
			continue
		}
		here := path.Join(at, part)
		info, err := f.root.Lstat(here)
		last := strings.Trim(strings.Join(rest, ""), "/") == ""
		if err != nil || info.Mode()&fs.ModeSymlink == 0 || last && !follow {
			at = here
			continue
		}
		target, err := f.root.Readlink(here)
		if links++; err != nil || links > maxLinks {
			return "", false
		}
		if strings.HasPrefix(target, "/") {
			at = ""
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	if at == "" {
		at = "."
	}
	return at, true
}

// escapes reports whether os.Root has refused a path. The error has no exported
// identity.
func escapes(err error) bool {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error() == "path escapes from parent"
		}
		err = next
	}
}

// errnoOf is the error as WASI has it. What WASI has no name for is EIO.
func errnoOf(err error) sys.Errno {
	if err == nil {
		return 0
	}
	var errno sys.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		err = number
	}
	return sys.UnwrapOSError(err)
}

// change is at for calls that change something.
func (f *FS) change(name string, follow bool, do func(string) error) sys.Errno {
	if f.readOnly {
		f.quota.deny("read-only", name)
		return sys.EROFS
	}
	return f.at(name, follow, do)
}

// Lstat implements sys.FS.
func (f *FS) Lstat(name string) (st wsys.Stat_t, errno sys.Errno) {
	errno = f.at(name, false, func(p string) error {
		info, err := f.root.Lstat(p)
		if err == nil {
			st = wsys.NewStat_t(info)
		}
		return err
	})
	return st, errno
}

// Stat implements sys.FS.
func (f *FS) Stat(name string) (st wsys.Stat_t, errno sys.Errno) {
	errno = f.at(name, true, func(p string) error {
		info, err := f.root.Stat(p)
		if err == nil {
			st = wsys.NewStat_t(info)
		}
		return err
	})
	return st, errno
}

// Mkdir implements sys.FS.
func (f *FS) Mkdir(name string, perm fs.FileMode) sys.Errno {
	return f.change(name, false, func(p string) error {
		if !f.quota.addEntry(p) {
			return sys.EIO
		}
		err := f.root.Mkdir(strings.TrimRight(p, "/"), perm.Perm()|0o700)
		if err != nil {
			f.quota.dropEntry()
		}
		return err
	})
}

// Chmod implements sys.FS. Only permissions can be changed: no set-user-id.
func (f *FS) Chmod(name string, perm fs.FileMode) sys.Errno {
	return f.change(name, true, func(p string) error { return f.root.Chmod(p, perm.Perm()) })
}

// Rename implements sys.FS.
func (f *FS) Rename(from, to string) sys.Errno {
	return f.change(from, false, func(from string) error {
		return asError(f.change(to, false, func(to string) error {
			f.quota.mu.Lock()
			defer f.quota.mu.Unlock()
			old, oldErr := f.root.Lstat(from)
			replaced, err := f.root.Lstat(to)
			switch {
			case oldErr != nil:
				return oldErr
			case err == nil && os.SameFile(old, replaced):
				return nil
			case strings.HasPrefix(to+"/", strings.TrimRight(from, "/")+"/"):
				return sys.EINVAL
			case err == nil && old.IsDir() && replaced.IsDir():
				// os.Root replaces no folder, where POSIX replaces an empty one.
				if err := f.root.Remove(to); err != nil {
					return err
				}
				f.quota.gone(replaced)
				return f.root.Rename(from, to)
			}
			if err := f.root.Rename(from, to); err != nil {
				return err
			}
			if err == nil {
				f.quota.gone(replaced)
			}
			return nil
		}))
	})
}

// asError is an errno as an error that is nil for 0.
func asError(errno sys.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// Rmdir implements sys.FS.
func (f *FS) Rmdir(name string) sys.Errno { return f.remove(name, true) }

// Unlink implements sys.FS.
func (f *FS) Unlink(name string) sys.Errno { return f.remove(name, false) }

func (f *FS) remove(name string, folder bool) sys.Errno {
	return f.change(name, false, func(p string) error {
		f.quota.mu.Lock()
		defer f.quota.mu.Unlock()
		slash := strings.HasSuffix(p, "/")
		p = strings.TrimRight(p, "/")
		info, err := f.root.Lstat(p)
		switch {
		case err != nil:
			return err
		case folder && !info.IsDir(), slash && !info.IsDir():
			return sys.ENOTDIR
		case !folder && info.IsDir():
			return sys.EISDIR
		}
		if err := f.root.Remove(p); err != nil {
			return err
		}
		f.quota.gone(info)
		return nil
	})
}

// Link implements sys.FS. A link to a symbolic link is one to the link.
func (f *FS) Link(from, to string) sys.Errno {
	return f.change(from, false, func(from string) error {
		return asError(f.change(to, false, func(to string) error {
			if !f.quota.addEntry(to) {
				return sys.EIO
			}
			err := f.root.Link(from, to)
			if err != nil {
				f.quota.dropEntry()
			}
			return err
		}))
	})
}

// Symlink implements sys.FS. A link may hold anything; where it leads is checked
// when it is followed.
func (f *FS) Symlink(target, name string) sys.Errno {
	return f.change(name, false, func(p string) error {
		if !f.quota.addEntry(p) {
			return sys.EIO
		}
		err := f.root.Symlink(target, p)
		if err != nil {
			f.quota.dropEntry()
		}
		return err
	})
}

// Readlink implements sys.FS.
func (f *FS) Readlink(name string) (target string, errno sys.Errno) {
	errno = f.at(name, false, func(p string) (err error) {
		target, err = f.root.Readlink(p)
		return err
	})
	return target, errno
}

// Utimens implements sys.FS.
func (f *FS) Utimens(name string, atim, mtim int64) sys.Errno {
	return f.change(name, true, func(p string) error {
		return f.root.Chtimes(p, timeOf(atim), timeOf(mtim))
	})
}

// timeOf is a time for os.Root, where the zero time leaves it as it is.
func timeOf(ns int64) time.Time {
	if ns == sys.UTIME_OMIT {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// Sub is the file system of a folder: paths start there. Links may still lead to
// all of f.
func (f *FS) Sub(dir string) sys.FS { return f.SubOf(f, dir) }

// SubOf is Sub for a folder of a file system that is mounted in f.
func (f *FS) SubOf(mounted *FS, dir string) sys.FS {
	return &sub{top: f, f: mounted, dir: strings.Trim(dir, "/")}
}
