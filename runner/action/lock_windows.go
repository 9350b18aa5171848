//go:build windows

package action

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockShared marks a file as in use: on Windows being open does, since a file
// that somebody has open cannot be removed.
func lockShared(*os.File) error { return nil }

// tryLock takes a file for oneself unless somebody else has it.
func tryLock(f *os.File) (bool, error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}

// removeUnused removes a file unless somebody has it open.
func removeUnused(name string) (removed bool, err error) {
	err = os.Remove(name)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION), errors.Is(err, windows.ERROR_ACCESS_DENIED), os.IsNotExist(err):
		return false, nil
	}
	return false, err
}
