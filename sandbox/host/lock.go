package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// locksFolder is the folder in Root with one locked file for each job folder.
// The locks lie beside the folders, not in them, so that a removal that was
// interrupted can be resumed: the lock file goes last.
const locksFolder = ".jobs"

// lock is a job's hold on its name. The system ends it with this process.
type lock struct {
	file *os.File
	path string
}

// record is a lock file's content.
type record struct {
	PID   int               `json:"pid"`
	Owner map[string]string `json:"owner,omitempty"`
	Tree  trace             `json:"tree"`
}

// errLocked says that a living runner holds a lock.
var errLocked = errors.New("locked")

func (p *Provider) lockPath(id string) string {
	return filepath.Join(p.root, locksFolder, id+".json")
}

// sweepPause is how long a sweep may hold the lock of a job that has nothing to
// be swept: the lock file is there for a moment before it is locked, and another
// process that starts just then takes it for a dead runner's.
const sweepPause = 2 * time.Second

// acquire takes the lock of a new job. Whatever a dead runner has left under
// that name is ended first.
func (p *Provider) acquire(id string) (*lock, error) {
	l, err := lockFile(p.lockPath(id), true)
	for began := time.Now(); errors.Is(err, errLocked) && time.Since(began) < sweepPause; {
		time.Sleep(5 * time.Millisecond)
		l, err = lockFile(p.lockPath(id), true)
	}
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("open job %s in %s: a running runner has a job of this name there: give each runner a parent folder of its own", id, p.root)
	}
	if err != nil {
		return nil, diskError("lock the job's folder", p.lockPath(id), err)
	}
	return l, nil
}

// lockFile locks a file, which it creates if it may. errLocked says that
// another process, or another job of this one, has it.
func lockFile(path string, create bool) (*lock, error) {
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	for {
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			return nil, err
		}
		if err := tryLock(f); err != nil {
			_ = f.Close()
			return nil, err
		}
		// Its last holder may have removed it between the two calls.
		mine, err := f.Stat()
		if err == nil {
			if now, lerr := os.Lstat(path); lerr == nil && os.SameFile(mine, now) {
				return &lock{file: f, path: path}, nil
			}
		}
		_ = f.Close()
		if !create {
			return nil, fs.ErrNotExist
		}
	}
}

// record writes what a later runner needs to clean up after this one.
func (l *lock) record(r record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("describe the job for a cleanup: %w", err)
	}
	if err := l.file.Truncate(0); err != nil {
		return diskError("write", l.path, err)
	}
	if _, err := l.file.WriteAt(data, 0); err != nil {
		return diskError("write", l.path, err)
	}
	return nil
}

// read returns what a dead runner recorded; a file that it never came to write
// gives the zero value.
func (l *lock) read() record {
	var r record
	if data, err := io.ReadAll(io.LimitReader(io.NewSectionReader(l.file, 0, 1<<20), 1<<20)); err == nil {
		_ = json.Unmarshal(data, &r)
	}
	return r
}

// release gives the name free.
func (l *lock) release() error {
	err := removeLocked(l)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return diskError("remove", l.path, err)
	}
	return nil
}

// abandon leaves the file for the next sweep.
func (l *lock) abandon() { _ = l.file.Close() }
