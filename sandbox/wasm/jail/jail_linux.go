package jail

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/landlock-lsm/go-landlock/landlock"
	lls "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

// Enter jails the whole process, every thread of it, for good: no new
// privileges, Landlock for files, TCP, signals and abstract sockets, no core
// dumps, and a filter of system calls. What the kernel is too old for is in
// Missing; it is an error when Rules.Secure is set and Landlock is not there.
func Enter(r Rules) (Report, error) {
	var report Report
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return report, fmt.Errorf("jail the WASM worker: forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return report, fmt.Errorf("jail the WASM worker: forbid tracing: %w", err)
	}
	if err := restrict(r, &report); err != nil {
		return report, err
	}
	if err := filter(); err != nil {
		report.Missing = append(report.Missing, "seccomp ("+err.Error()+")")
	} else {
		report.InForce = append(report.InForce, "seccomp")
	}
	return report, nil
}

// restrict puts Landlock in force: version 7, or what the kernel has of it.
func restrict(r Rules, report *Report) error {
	abi, err := lls.LandlockGetABIVersion()
	if err != nil || abi < 1 {
		if r.Secure {
			return errors.New("jail the WASM worker: this kernel has no Landlock (Linux 5.13 has it, with lsm=landlock at boot), and the mode wasm-only needs it: enable it, or give up that wall by --allow-weak-sandbox (sandbox.allow_weak)")
		}
		report.Missing = append(report.Missing, "Landlock")
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("jail the WASM worker: %w", err)
		}
		return nil
	}
	access := readWrite
	if abi < 2 {
		// A rule that asks for what the kernel cannot grant would take all rules with
		// it. Without it such a kernel refuses renames between folders.
		access &^= lls.AccessFSRefer
		report.Missing = append(report.Missing, "Landlock's right to rename between folders (Linux 5.19)")
	}
	rules := []landlock.Rule{}
	for _, dir := range r.ReadOnly {
		// Read files and folders; execute nothing.
		rules = append(rules, landlock.PathAccess(lls.AccessFSReadFile|lls.AccessFSReadDir, dir))
	}
	for _, dir := range r.ReadWrite {
		rules = append(rules, landlock.PathAccess(access, dir))
	}
	if err := landlock.V7.BestEffort().Restrict(rules...); err != nil {
		return fmt.Errorf("jail the WASM worker: restrict it with Landlock: %w", err)
	}
	report.InForce = append(report.InForce, "no-new-privs", fmt.Sprintf("Landlock ABI %d", abi))
	if abi < 4 {
		report.Missing = append(report.Missing, "Landlock TCP rules (Linux 6.7)")
	}
	if abi < 6 {
		report.Missing = append(report.Missing, "Landlock scoping (Linux 6.12)")
	}
	return nil
}

// readWrite is all that a guest can do with files: no devices, sockets or FIFOs
// are made, nothing is executed.
const readWrite = landlock.AccessFSSet(lls.AccessFSReadFile | lls.AccessFSReadDir | lls.AccessFSWriteFile |
	lls.AccessFSTruncate | lls.AccessFSRemoveDir | lls.AccessFSRemoveFile | lls.AccessFSMakeDir |
	lls.AccessFSMakeReg | lls.AccessFSMakeSym | lls.AccessFSRefer)

// filterArch is the number that seccomp gives this architecture, 0 where there is
// no filter.
func filterArch() uint32 {
	switch runtime.GOARCH {
	case "amd64":
		return unix.AUDIT_ARCH_X86_64
	case "arm64":
		return unix.AUDIT_ARCH_AARCH64
	}
	return 0
}
