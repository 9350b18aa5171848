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
}

// String gives "file:line:column: message"; without a position, "file: message".
func (p Problem) String() string {
	file := p.File
	if file == "" {
		file = "workflow"
	}
	if p.Pos.Line == 0 {
		return file + ": " + p.Msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", file, p.Pos.Line, p.Pos.Column, p.Msg)
}

// Errors is every problem of a file, in the order of the file. It is never
// empty when returned as an error.
type Errors []Problem

// Error has one line a problem.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}
