package jail

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// forbidden are the system calls that a worker never makes after its start, and
// that an attacker would want: running programs, sockets, other processes,
// namespaces and mounts, its own limits, and the kernel's large surfaces. The
// rest stays allowed, because Go's runtime chooses its calls by version.
func forbidden() []uint32 {
	return []uint32{
		unix.SYS_EXECVE, unix.SYS_EXECVEAT,
		unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
		unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG,
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_KCMP, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
		unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
		unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_MOUNT_SETATTR,
		unix.SYS_SETRLIMIT, unix.SYS_PRLIMIT64,
		unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
		unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT,
		unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_SYSLOG,
		unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME,
		unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_MEMFD_CREATE, unix.SYS_MKNODAT, unix.SYS_PERSONALITY,
		unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET,
	}
}

// The classic BPF instructions that a filter needs (linux/filter.h).
const (
	load     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	jumpIfEq = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jumpIfGe = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	answer   = unix.BPF_RET | unix.BPF_K
)

// filter makes the forbidden calls fail with EPERM, on every thread.
func filter() error {
	arch := filterArch()
	if arch == 0 {
		return errors.New("no filter for " + runtime.GOARCH)
	}
	deny := uint32(unix.SECCOMP_RET_ERRNO | int(unix.EPERM)&unix.SECCOMP_RET_DATA)
	program := []unix.SockFilter{
		{Code: load, K: 4}, // struct seccomp_data: arch
		{Code: jumpIfEq, K: arch, Jt: 1},
		{Code: answer, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: 0}, // nr
		// The x32 calls of amd64 have numbers of their own.
		{Code: jumpIfGe, K: 0x40000000, Jf: 1},
		{Code: answer, K: deny},
	}
	for _, nr := range forbidden() {
		program = append(program, unix.SockFilter{Code: jumpIfEq, K: nr, Jf: 1}, unix.SockFilter{Code: answer, K: deny})
	}
	program = append(program, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]} //nolint:gosec // some hundred
	// TSYNC wants no_new_privs on the calling thread, or privileges.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no-new-privs: %w", err)
	}
	r, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return fmt.Errorf("set the filter: %w", errno)
	}
	if r != 0 {
		return fmt.Errorf("thread %d did not take the filter", r)
	}
	return nil
}
