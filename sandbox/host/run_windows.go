package host

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"

	"otelrunner/sandbox"
)

func isBusy(err error) bool      { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }
func isTooLong(err error) bool   { return errors.Is(err, windows.ERROR_FILENAME_EXCED_RANGE) }
func isNoProgram(err error) bool { return errors.Is(err, windows.ERROR_BAD_EXE_FORMAT) }

// usage is what the first process consumed.
func usage(state *os.ProcessState) sandbox.Usage {
	if state == nil {
		return sandbox.Usage{}
	}
	return sandbox.Usage{CPU: state.SystemTime() + state.UserTime()}
}
