package journal

import (
	"errors"
	"syscall"
)

// The errors of the system for which package syscall has no name.
const (
	errHandleDiskFull = syscall.Errno(39)  // ERROR_HANDLE_DISK_FULL
	errDiskFull       = syscall.Errno(112) // ERROR_DISK_FULL
)

// IsFull reports whether err says that there is no room on the disk.
func IsFull(err error) bool {
	return errors.Is(err, errDiskFull) || errors.Is(err, errHandleDiskFull)
}
