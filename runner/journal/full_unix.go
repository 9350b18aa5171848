//go:build !windows

package journal

import (
	"errors"
	"syscall"
)

// IsFull reports whether err says that there is no room: on the disk, or in what a
// quota or a limit leaves of it to this user.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
