package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// A workplace is the folder in which one process's uploads grow. A lock beside it,
// which ends with the process, says that it is in use.
type workplace struct {
	dir  string
	lock *flock.Flock
}

const (
	lockEnding = ".lock"
	// abandoned is the age from which a folder is taken for a dead process's where
	// the file system has no locks.
	abandoned = 48 * time.Hour
	// patience is how long another process may hold the folder of all.
	patience = 10 * time.Second
)

// newWorkplace makes one below dir, and removes those of dead processes.
func newWorkplace(dir string) (*workplace, error) {
	all := filepath.Join(dir, "uploads")
	if err := os.MkdirAll(all, 0o700); err != nil {
		return nil, err
	}
	unlock := exclusive(dir)
	defer unlock()
	removeAbandoned(all)
	w := &workplace{dir: filepath.Join(all, rand.Text())}
	w.lock = flock.New(w.dir+lockEnding, flock.SetPermissions(0o600))
	_, _ = w.lock.TryLock() // without locks, the age says that it is in use
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

// exclusive keeps the other processes from making and removing in dir, as far as the
// file system has locks and they do not hang.
func exclusive(dir string) (unlock func()) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	lock := flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(0o600))
	unlock = func() { _ = lock.Close() } // the system lets go of it in any case
	if ok, err := lock.TryLockContext(ctx, 10*time.Millisecond); err != nil || !ok {
		unlock()
		return func() {}
	}
	return unlock
}

// removeAbandoned removes the folders, below all, of processes that are gone. What
// cannot be removed is left to the next start.
func removeAbandoned(all string) {
	list, _ := os.ReadDir(all) // it was made just now
	for _, e := range list {
		dir := filepath.Join(all, strings.TrimSuffix(e.Name(), lockEnding))
		lock := flock.New(dir+lockEnding, flock.SetPermissions(0o600))
		locked, err := lock.TryLock()
		if err != nil {
			info, gone := e.Info()
			locked = gone == nil && time.Since(info.ModTime()) > abandoned
		}
		if locked {
			_ = os.RemoveAll(dir)
			_ = lock.Close() // an open file cannot be removed everywhere
			_ = os.Remove(dir + lockEnding)
			continue
		}
		_ = lock.Close() // it was not taken
	}
}

func (w *workplace) close() error {
	err := os.RemoveAll(w.dir)
	err = errors.Join(err, w.lock.Close())
	if e := os.Remove(w.dir + lockEnding); e != nil && !errors.Is(e, os.ErrNotExist) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("remove what was being saved in the cache: %w", err)
	}
	return nil
}
