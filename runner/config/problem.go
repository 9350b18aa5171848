package config

import (
	"fmt"
	"strings"
)

// origin is where a value was set: a line of the file, or a variable.
type origin struct {
	file string // or the variable's name
	line int    // 0 where it is a variable
}

func (o origin) String() string {
	if o.line == 0 {
		return o.file
	}
	return fmt.Sprintf("%s:%d", o.file, o.line)
}

// Problem is one thing that is wrong.
type Problem struct {
	// Where is file:line, or the name of an environment variable.
	Where string
	// Key is the path of the setting, or empty where the file as a whole is
	// meant.
	Key string
	// Text says what was found and what was expected.
	Text string
}

func (p Problem) String() string {
	if p.Key == "" {
		return p.Where + ": " + p.Text
	}
	return p.Where + ": " + p.Key + ": " + p.Text
}

// Error lists everything that is wrong with a configuration.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	if len(e.Problems) == 1 {
		return "configuration: " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}
