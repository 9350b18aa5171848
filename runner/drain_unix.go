//go:build !windows

package runner

import (
	"errors"
	"syscall"
)

// askToDrain sends the signal for which Serve's caller listens.
func askToDrain(pid int) error { return syscall.Kill(pid, syscall.SIGUSR1) }

// alive reports whether there is such a process.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
