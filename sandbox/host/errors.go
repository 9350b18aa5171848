package host

import (
	"errors"
	"fmt"
	"io/fs"
)

// diskError is the one sentence for a file operation of the runner's own that
// failed: what was tried, what was found, what to do.
func diskError(doing, path string, err error) error {
	// A PathError repeats the path and names a system call; its cause is
	// what matters.
	cause := err
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		cause = pe.Err
	}
	advice := "check the disk and its permissions"
	switch {
	case isDiskFull(err):
		advice = "free some space there or set another folder in the configuration"
	case errors.Is(err, fs.ErrPermission):
		advice = "let the runner's user write there or set another folder in the configuration"
	case isReadOnly(err):
		advice = "mount it writable or set another folder in the configuration"
	}
	return fmt.Errorf("%s %s: %w: %s", doing, path, cause, advice)
}
