package otel

import "errors"

// ErrSettings is wrapped by the errors of settings that cannot be used: of standard
// variables (OTEL_…), and of files that settings name. Trying again is of no use.
var ErrSettings = errors.New("unusable settings")

// settingsError is an error of settings, with the text of what it wraps.
type settingsError struct{ err error }

func (e *settingsError) Error() string   { return e.err.Error() }
func (e *settingsError) Unwrap() []error { return []error{e.err, ErrSettings} }
