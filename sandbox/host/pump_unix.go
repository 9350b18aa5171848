//go:build unix

package host

import (
	"os"

	"golang.org/x/sys/unix"
)

// isEmpty reports whether a pipe has nothing to read: on a busy machine its
// reader may be late.
func isEmpty(pipe *os.File) bool {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return true
	}
	waiting := 0
	err = conn.Control(func(fd uintptr) {
		waiting, _ = unix.IoctlGetInt(int(fd), fionread)
	})
	return err != nil || waiting == 0
}
