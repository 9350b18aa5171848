package workflow

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong, or odd, in a workflow file.
type Problem struct {
	File string
	Pos  Pos
	Msg  string
	// Warning tells what could be gone on with from an error.
	Warning bool
}

// String gives "file:line:column: message", or "file: message" without a
// position; a warning's message begins with "warning: ".
func (p Problem) String() string {
	file := p.File
	if file == "" {
		file = "workflow"
	}
	msg := p.Msg
	if p.Warning {
		msg = "warning: " + msg
	}
	if p.Pos.Line == 0 {
		return file + ": " + msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", file, p.Pos.Line, p.Pos.Column, msg)
}

// Errors is every problem of a file, in the order of the file: at least one
// error, and the warnings beside it, which often say what led to it (a
// misspelt key is then a missing one).
type Errors []Problem

// Error has one line a problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
