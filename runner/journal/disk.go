package journal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Disk is what a Journal writes with: everything that is to outlive the process,
// or the machine's power, goes through it. Reading does not. It is there for tests,
// which put a disk in its place that is full, fails or hangs (package journaltest).
// Its methods are safe for concurrent use; their errors are those of package os.
type Disk interface {
	// Create makes a file, for this user only, that must not be there yet.
	Create(name string) (File, error)
	// Mkdir makes a folder, for this user only.
	Mkdir(name string) error
	// SyncDir brings a folder's list of names to the disk: of what was made in
	// it, nothing is sure to be found after a power cut before that.
	SyncDir(name string) error
	// Remove removes a file, RemoveAll a folder with all that is in it.
	Remove(name string) error
	RemoveAll(name string) error
}

// File is a file that is being written. Sync brings what was written to the disk,
// but not the file's name.
type File interface {
	io.WriteCloser
	Sync() error
}

// System is the operating system's Disk.
type System struct{}

var _ Disk = System{}

// Create implements Disk.
func (System) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return systemFile{f}, nil
}

// Mkdir implements Disk.
func (System) Mkdir(name string) error { return os.Mkdir(name, 0o700) }

// SyncDir implements Disk.
func (System) SyncDir(name string) error { return syncDir(name) }

// Remove implements Disk.
func (System) Remove(name string) error { return os.Remove(name) }

// RemoveAll implements Disk.
func (System) RemoveAll(name string) error { return os.RemoveAll(name) }

// systemFile is a file whose Sync fails only where it could have succeeded.
type systemFile struct{ *os.File }

// Sync implements File.
func (f systemFile) Sync() error { return unlessUnable(f.File.Sync()) }

// unlessUnable is a sync's err, but nil for one that says that the file system
// has no such thing, as some in user space: a journal there is as good as it gets.
func unlessUnable(err error) error {
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}

// mkdirAll makes a folder with its parents, and brings the names of what it makes
// to the disk.
func mkdirAll(disk Disk, dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := mkdirAll(disk, parent); err != nil {
			return err
		}
	}
	if err := disk.Mkdir(dir); err != nil {
		if info, e := os.Stat(dir); errors.Is(err, fs.ErrExist) && e == nil && info.IsDir() {
			return nil // somebody else was faster
		}
		return err
	}
	if err := disk.SyncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) { // one may write to folders that one may not read
		return err
	}
	return nil
}
