//go:build unix

package wasm

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks a file until it is closed. A file system without locks (some
// network ones) leaves it unlocked, and two runners must not share it.
func tryLock(f *os.File) error { return flock(f, unix.LOCK_EX) }

// tryShare locks a file until it is closed, against tryLock and not against others
// who share it.
func tryShare(f *os.File) error { return flock(f, unix.LOCK_SH) }

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB) //nolint:gosec // a descriptor
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		}
		return err
	}
}
