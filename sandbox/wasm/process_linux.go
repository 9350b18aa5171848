package wasm

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isolate gives a worker a process group of its own, so that no terminal signals
// it, an end with the runner's, and namespaces: it sees no network, no process and
// no IPC object. It stays in the runner's session: the host sandbox takes a child of
// the runner in another one for a host job's, and ends it with that job.
func isolate(cmd *exec.Cmd, namespaces bool) {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if namespaces {
		attr.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | pidNamespace
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
}

const canNamespace = true

// slack is what a worker may use beside the guests' memories: the engine's own
// structures, tables, stacks and the compiled code.
const slack = 256 << 20

// limit sets the kernel's limits for the next step. The worker cannot raise them:
// its filter forbids the call.
func (w *process) limit(l Limits) error {
	pid := w.cmd.Process.Pid
	cpu := w.cpu() + l.CPU + time.Second
	for _, r := range []struct {
		name     string
		resource int
		value    uint64
	}{
		{"memory", unix.RLIMIT_DATA, uint64(w.idle + l.Memory + slack)}, //nolint:gosec // positive
		{"file size", unix.RLIMIT_FSIZE, uint64(l.FileSize)},            //nolint:gosec // positive
		{"open files", unix.RLIMIT_NOFILE, uint64(l.OpenFiles + 64)},    //nolint:gosec // positive
		{"CPU time", unix.RLIMIT_CPU, uint64((cpu + time.Second - 1) / time.Second)},
	} {
		var old unix.Rlimit
		if err := unix.Prlimit(pid, r.resource, nil, &old); err != nil {
			return fmt.Errorf("read the %s limit of a WASM worker: %w", r.name, err)
		}
		limit := unix.Rlimit{Cur: min(r.value, old.Max), Max: old.Max}
		if err := unix.Prlimit(pid, r.resource, &limit, nil); err != nil {
			return fmt.Errorf("set the %s limit of a WASM worker: %w", r.name, err)
		}
	}
	return nil
}

// cpu is the CPU time of the process; 0 where it is gone.
func (w *process) cpu() time.Duration {
	// The clock of another process, see clock_getcpuclockid(3).
	clock := int32(^w.cmd.Process.Pid<<3 | 2) //nolint:gosec // a pid has 22 bits
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// dataSize is what RLIMIT_DATA counts of a process, in bytes.
func dataSize(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return slack
	}
	for line := range strings.Lines(string(data)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmData: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	return slack
}

// cpuLimitHit reports whether the kernel has ended the process for its CPU time.
func (w *process) cpuLimitHit() bool {
	status, ok := w.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGXCPU
}
