//go:build unix

package action

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Locks are flock(2): they belong to the open file, so that two goroutines which
// opened it exclude each other as two processes do, and end with the process. A
// file system without them (some network ones) is used unlocked: renames keep it
// whole, and the worst is that something is fetched twice.

// lockShared marks a file as in use.
func lockShared(f *os.File) error {
	return noLocks(flock(f, unix.LOCK_SH))
}

// tryLock takes a file for oneself unless somebody else has it.
func tryLock(f *os.File) (bool, error) {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return noLocks(err) == nil, noLocks(err)
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func noLocks(err error) error {
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOLCK) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

// removeUnused removes a file that nobody has marked as in use. One that is
// opened in the very moment stays readable for its opener.
func removeUnused(name string) (removed bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		if os.IsNotExist(err) {
			err = nil
		}
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if ok, err := tryLock(f); !ok || err != nil {
		return false, err
	}
	return true, os.Remove(name)
}
