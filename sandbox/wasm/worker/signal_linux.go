package worker

import (
	"os"
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

// dieFirst asks the kernel to end this process before any other where the machine's
// memory is used up: what a guest or the compiler of its module takes shall not cost
// the machine its runner, or another program. A system that forbids that decides by
// size, as for all.
func dieFirst() { _ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) }
