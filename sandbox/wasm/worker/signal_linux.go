package worker

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// dieOfCPULimit gives SIGXCPU its default action, which Go's runtime has replaced
// by ignoring it: the kernel then ends the process when the CPU limit that the
// runner has set is over, whatever the process does.
func dieOfCPULimit() {
	var zero [64]byte // struct sigaction with SIG_DFL
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGXCPU), uintptr(unsafe.Pointer(&zero)), 0, 8, 0, 0)
}
