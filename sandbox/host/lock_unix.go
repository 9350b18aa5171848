//go:build unix

package host

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a whole file. Go opens files close-on-exec, so that no step
// inherits the lock.
func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		}
		return err
	}
}

// removeLocked removes the file while it is locked, so that nobody can lock a
// file that is about to go.
func removeLocked(l *lock) error {
	return errors.Join(os.Remove(l.path), l.file.Close())
}
