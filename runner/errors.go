// Package runner puts the rooms below it together: Register makes a runner known
// to a server, Serve takes and runs its tasks until it is told to stop, Exec runs
// a workflow file with no server.
package runner

import "errors"

// ErrUnregistered is wrapped by the errors of a runner that has no usable
// registration, or that the server does not know any more. Starting it again is
// of no use before it has been registered.
var ErrUnregistered = errors.New("not registered")

// ErrSettings is wrapped by the errors of a configuration that cannot be used,
// though its file is well-formed: of what it names. Starting again is of no use before
// that is mended.
var ErrSettings = errors.New("unusable settings")

// settings is an error of settings, with its own text.
func settings(err error) error { return &explained{err.Error(), errors.Join(err, ErrSettings)} }

// explained is an error whose text says what to do; what it wraps is for
// errors.Is.
type explained struct {
	text string
	err  error
}

func (e *explained) Error() string { return e.text }
func (e *explained) Unwrap() error { return e.err }
