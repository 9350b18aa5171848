package shell

import (
	"context"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// ownPrefix marks a call of a builtin that this package runs in place of the
// interpreter's.
const ownPrefix = "toolbox builtin "

// ignoredOption reports whether a `set -o` option of bash changes nothing in a
// shell that is not interactive, or is in force anyway.
func ignoredOption(name string) bool {
	switch name {
	case "errtrace", "functrace", "hashall", "braceexpand", "histexpand", "monitor", "notify",
		"posix", "physical", "privileged", "history", "ignoreeof", "emacs", "vi", "interactive-comments":
		return true
	}
	return false
}

// ignoredShopt lists options of shopt that change nothing here.
var ignoredShopt = []string{
	"inherit_errexit", "checkwinsize", "cmdhist", "histappend", "huponexit", "autocd", "cdspell",
	"dirspell", "direxpand", "progcomp", "interactive_comments", "sourcepath", "promptvars", "checkjobs",
	"checkhash", "execfail", "extquote", "gnu_errfmt", "globasciiranges",
}

// callHandler rewrites calls of builtins whose interpreter lacks what scripts
// use; the rewritten call means the same.
func (sh *Shell) callHandler(ctx context.Context, args []string) ([]string, error) {
	hc := interp.HandlerCtx(ctx)
	if isFunc(hc, args[0]) {
		return args, nil
	}
	switch args[0] {
	case "echo":
		return splitEcho(args), nil
	case "set":
		if on, said := errTrace(args); said {
			setErrTrace(hc, on)
		}
		return filterSet(args), nil
	case "shopt":
		return filterShopt(args), nil
	case "printf", "kill", "trap", "umask", "ulimit":
		return slices.Concat([]string{ownPrefix + args[0]}, args[1:]), nil
	case "read":
		if needsOwnRead(args[1:]) {
			return slices.Concat([]string{ownPrefix + "read"}, args[1:]), nil
		}
	case "help":
		return slices.Concat([]string{ownPrefix + "help"}, args[1:]), nil
	case "pwd":
		if len(args) > 1 && args[1] == "-P" {
			return []string{"realpath", "."}, nil
		}
	case "command", "builtin":
		if len(args) > 2 && args[1] == "-p" {
			args = slices.Delete(slices.Clone(args), 1, 2)
		}
		if len(args) > 1 && (args[1] == "printf" || args[1] == "echo" || args[1] == "read" || args[1] == "kill") {
			return sh.callHandler(ctx, args[1:])
		}
		if len(args) > 1 && args[1] == "-V" {
			return slices.Concat([]string{"type"}, args[2:]), nil
		}
	}
	return args, nil
}

// splitEcho turns -ne into -n -e.
func splitEcho(args []string) []string {
	i := 1
	for i < len(args) && len(args[i]) > 1 && args[i][0] == '-' && strings.Trim(args[i][1:], "neE") == "" {
		i++
	}
	if i == 1 {
		return args
	}
	out := []string{"echo"}
	for _, a := range args[1:i] {
		for _, f := range a[1:] {
			out = append(out, "-"+string(f))
		}
	}
	// What follows must not be taken for an option again: the interpreter
	// stops at the first word that is none, and args[i] is none.
	return append(out, args[i:]...)
}

// errTrace is what a call of set says of -E.
func errTrace(args []string) (on, said bool) {
	for i, a := range args[1:] {
		if a == "--" || len(a) < 2 || a[0] != '-' && a[0] != '+' {
			break
		}
		if strings.Contains(a, "E") || strings.Contains(a, "o") && i+2 < len(args) && args[i+2] == "errtrace" {
			on, said = a[0] == '-', true
		}
	}
	return on, said
}

func filterSet(args []string) []string {
	out := []string{"set"}
	for i := 1; i < len(args); i++ {
		a := args[i]
		if a == "--" || a == "-" || len(a) < 2 || a[0] != '-' && a[0] != '+' {
			return append(out, args[i:]...)
		}
		var keep strings.Builder
		for _, f := range a[1:] {
			switch f {
			case 'E', 'T', 'B', 'H', 'h', 'm', 'b', 'p', 'P', 'C', 'k', 'v':
			case 'o':
				if i+1 >= len(args) {
					out = append(out, a[:1]+"o")
					continue
				}
				i++
				if !ignoredOption(args[i]) {
					out = append(out, a[:1]+"o", args[i])
				}
			default:
				keep.WriteRune(f)
			}
		}
		if keep.Len() > 0 {
			out = append(out, a[:1]+keep.String())
		}
	}
	if len(out) == 1 && len(args) > 1 {
		return []string{"true"}
	}
	return out
}

func filterShopt(args []string) []string {
	var out []string
	names := 0
	for _, a := range args {
		if slices.Contains(ignoredShopt, a) {
			names++
			continue
		}
		out = append(out, a)
	}
	if names > 0 && !slices.ContainsFunc(out[1:], func(a string) bool { return !strings.HasPrefix(a, "-") }) {
		return []string{"true"}
	}
	return out
}
