//go:build unix

package host

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"otelrunner/sandbox"
)

func isBusy(err error) bool      { return errors.Is(err, syscall.ETXTBSY) }
func isTooLong(err error) bool   { return errors.Is(err, syscall.E2BIG) }
func isNoProgram(err error) bool { return errors.Is(err, syscall.ENOEXEC) }

// usage is what the first process and the children that it waited for consumed.
//
// A child starts in this process's memory until its exec, and Linux counts that
// towards its peak. A peak that is not above this process's own says nothing, and
// is left out.
func usage(state *os.ProcessState) sandbox.Usage {
	if state == nil {
		return sandbox.Usage{}
	}
	u := sandbox.Usage{CPU: state.SystemTime() + state.UserTime()}
	rusage, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return u
	}
	unit := int64(1024)
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	var own syscall.Rusage
	//nolint:unconvert // Maxrss is an int32 on some systems
	if syscall.Getrusage(syscall.RUSAGE_SELF, &own) == nil && int64(rusage.Maxrss) > int64(own.Maxrss) {
		//nolint:unconvert // as above
		u.PeakMemory = int64(rusage.Maxrss) * unit
	}
	return u
}
