// Package first is the program of a job's container: its first process, which
// serves the runner over its standard input and output.
package first

import (
	"runtime/debug"
)

// Word is the argument that makes a program the helper; the helper itself takes
// it, too. What starts a container uses PROGRAM Word.
const Word = "__helper"

// Asked reports whether a command line asks for Main. A program that can be the
// helper calls it before anything else.
func Asked(args []string) bool { return len(args) > 1 && args[1] == Word }

// build is the version of the program's source, as far as the go command knew it.
func build() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
