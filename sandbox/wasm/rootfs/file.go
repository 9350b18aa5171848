package rootfs

import (
	"io"
	"os"
	"sync"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// position is an offset in a file. It has a name of its own because vet wants every
// Seek with an int64 to return an error, where wazero's returns an Errno.
type position = int64

// regular is an open file. It keeps its own position, so that the size after a
// write is known before it is made, and O_APPEND can be set and cleared.
type regular struct {
	fs   *FS
	file *os.File
	name string
	id   id

	reads, writes bool

	mu       sync.Mutex
	isAppend bool
	at       int64
	closed   bool
}

var _ sys.File = (*regular)(nil)

func (r *regular) stat() (wsys.Stat_t, sys.Errno) {
	info, err := r.file.Stat()
	if err != nil {
		return wsys.Stat_t{}, errnoOf(err)
	}
	return wsys.NewStat_t(info), 0
}

func (r *regular) Dev() (uint64, sys.Errno)              { return r.id.dev, 0 }
func (r *regular) Ino() (wsys.Inode, sys.Errno)          { return r.id.ino, 0 }
func (r *regular) IsDir() (bool, sys.Errno)              { return false, 0 }
func (r *regular) Stat() (wsys.Stat_t, sys.Errno)        { return r.stat() }
func (r *regular) Readdir(int) ([]sys.Dirent, sys.Errno) { return nil, sys.ENOTDIR }

func (r *regular) IsAppend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isAppend
}

func (r *regular) SetAppend(enable bool) sys.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isAppend = enable
	return 0
}

func (r *regular) Read(buf []byte) (int, sys.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, errno := r.Pread(buf, r.at)
	r.at += int64(n)
	return n, errno
}

func (r *regular) Pread(buf []byte, off int64) (int, sys.Errno) {
	switch {
	case !r.reads:
		return 0, sys.EBADF
	case off < 0:
		return 0, sys.EINVAL
	case len(buf) == 0:
		return 0, 0
	}
	n, err := r.file.ReadAt(buf, off)
	if err == io.EOF || n > 0 { // ReadAt returns it bare
		return n, 0
	}
	return n, errnoOf(err)
}

func (r *regular) Seek(offset position, whence int) (int64, sys.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	base := int64(0)
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		base = r.at
	case io.SeekEnd:
		st, errno := r.stat()
		if errno != 0 {
			return 0, errno
		}
		base = st.Size
	default:
		return 0, sys.EINVAL
	}
	to := base + offset
	if to < 0 || offset > 0 && to < base {
		return 0, sys.EINVAL
	}
	r.at = to
	return to, 0
}

func (r *regular) Write(buf []byte) (int, sys.Errno) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, end, errno := r.put(buf, r.at, r.isAppend)
	if n > 0 {
		r.at = end
	}
	return n, errno
}

func (r *regular) Pwrite(buf []byte, off int64) (int, sys.Errno) {
	if off < 0 {
		return 0, sys.EINVAL
	}
	n, _, errno := r.put(buf, off, false)
	return n, errno
}

// put writes at an offset, or at the file's end, and returns the offset after it.
// The quota's lock is held over looking at the size and changing it.
func (r *regular) put(buf []byte, off int64, atEnd bool) (int, int64, sys.Errno) {
	if !r.writes {
		return 0, off, sys.EBADF
	}
	if len(buf) == 0 {
		return 0, off, 0
	}
	r.fs.quota.mu.Lock()
	defer r.fs.quota.mu.Unlock()
	st, errno := r.stat()
	if errno != 0 {
		return 0, off, errno
	}
	if atEnd {
		off = st.Size
	}
	end := off + int64(len(buf))
	if end < off || !r.fs.quota.mayGrow(r.name, st.Size, end) {
		return 0, off, sys.EIO
	}
	n, err := r.file.WriteAt(buf, off)
	r.fs.quota.wrote(n)
	if after := off + int64(n); after > st.Size && n > 0 {
		r.fs.quota.bytes += after - st.Size
	}
	if n > 0 {
		return n, off + int64(n), 0
	}
	return 0, off, errnoOf(err)
}

func (r *regular) Truncate(size int64) sys.Errno {
	if !r.writes {
		return sys.EBADF
	}
	if size < 0 {
		return sys.EINVAL
	}
	r.fs.quota.mu.Lock()
	defer r.fs.quota.mu.Unlock()
	st, errno := r.stat()
	if errno != 0 {
		return errno
	}
	if !r.fs.quota.mayGrow(r.name, st.Size, size) {
		return sys.EIO
	}
	if err := r.file.Truncate(size); err != nil {
		return errnoOf(err)
	}
	r.fs.quota.bytes = max(0, r.fs.quota.bytes+size-st.Size)
	return 0
}

func (r *regular) Sync() sys.Errno     { return errnoOf(r.file.Sync()) }
func (r *regular) Datasync() sys.Errno { return errnoOf(r.file.Sync()) }

// Utimens goes by the name: a file that was renamed since it was opened keeps its
// times.
func (r *regular) Utimens(atim, mtim int64) sys.Errno { return r.fs.Utimens(r.name, atim, mtim) }

func (r *regular) Close() sys.Errno {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0
	}
	r.closed = true
	r.fs.quota.release(r)
	err := r.file.Close()
	r.fs.quota.closeOne()
	return errnoOf(err)
}

// dir is an open folder.
type dir struct {
	sys.DirFile
	fs   *FS
	file *os.File
	name string

	mu     sync.Mutex
	closed bool
}

var _ sys.File = (*dir)(nil)

func (d *dir) Stat() (wsys.Stat_t, sys.Errno) {
	info, err := d.file.Stat()
	if err != nil {
		return wsys.Stat_t{}, errnoOf(err)
	}
	return wsys.NewStat_t(info), 0
}

func (d *dir) Dev() (uint64, sys.Errno) {
	st, errno := d.Stat()
	return st.Dev, errno
}

func (d *dir) Ino() (wsys.Inode, sys.Errno) {
	st, errno := d.Stat()
	return st.Ino, errno
}

// Seek to the start reads the folder anew, which is all that WASI asks for.
func (d *dir) Seek(offset position, whence int) (int64, sys.Errno) {
	if offset != 0 || whence != io.SeekStart {
		return 0, sys.ENOSYS
	}
	n, err := d.file.Seek(0, io.SeekStart)
	return n, errnoOf(err)
}

// Readdir returns the next entries; inode numbers are left out, and guests ask
// for them where they need them.
func (d *dir) Readdir(n int) ([]sys.Dirent, sys.Errno) {
	entries, err := d.file.ReadDir(n)
	if err != nil && err != io.EOF && len(entries) == 0 { // ReadDir returns it bare
		return nil, errnoOf(err)
	}
	out := make([]sys.Dirent, len(entries))
	for i, e := range entries {
		out[i] = sys.Dirent{Name: e.Name(), Type: e.Type()}
	}
	return out, 0
}

func (d *dir) Sync() sys.Errno     { return errnoOf(d.file.Sync()) }
func (d *dir) Datasync() sys.Errno { return errnoOf(d.file.Sync()) }

// Utimens goes by the name: a file that was renamed since it was opened keeps its
// times.
func (d *dir) Utimens(atim, mtim int64) sys.Errno { return d.fs.Utimens(d.name, atim, mtim) }

func (d *dir) Close() sys.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0
	}
	d.closed = true
	err := d.file.Close()
	d.fs.quota.closeOne()
	return errnoOf(err)
}
