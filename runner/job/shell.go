package job

import (
	"fmt"
	"slices"
	"strings"
)

// shell is a way to run a script file.
type shell struct {
	// args is the command; {0} in an argument is the script's path.
	args []string
	// ext is the script file's extension.
	ext string
	// before and after are put around the script.
	before, after string
	// crlf asks for "\r\n" line ends.
	crlf bool
}

// builtinShells are the values of `shell` that need no {0}, as on GitHub (docs:
// "Workflow syntax", jobs.<job_id>.steps[*].shell).
var builtinShells = map[string]shell{
	"bash":       {args: []string{"bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"}, ext: ".sh"},
	"sh":         {args: []string{"sh", "-e", "{0}"}, ext: ".sh"},
	"python":     {args: []string{"python", "{0}"}, ext: ".py"},
	"pwsh":       powerShell("pwsh"),
	"powershell": powerShell("powershell"),
	// The script's path is an argument of its own: cmd takes the quotes off
	// what follows /C when that begins with one.
	"cmd": {args: []string{"cmd", "/D", "/E:ON", "/V:OFF", "/S", "/C", "CALL", "{0}"}, ext: ".cmd", before: "@echo off\n", crlf: true},
}

func powerShell(program string) shell {
	return shell{
		args:   []string{program, "-command", ". '{0}'"},
		ext:    ".ps1",
		before: "$ErrorActionPreference = 'stop'\n",
		after:  "\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }",
	}
}

// defaultShells are tried in order where a step names no shell. bash has other
// arguments then than when it is named: no pipefail.
func defaultShells(os string) []shell {
	if os == "windows" {
		return []shell{builtinShells["pwsh"], builtinShells["powershell"]}
	}
	return []shell{{args: []string{"bash", "-e", "{0}"}, ext: ".sh"}, builtinShells["sh"]}
}

// namedShell returns the shell that a step's `shell` asks for.
func namedShell(text string) (shell, error) {
	if s, ok := builtinShells[strings.ToLower(strings.TrimSpace(text))]; ok {
		return s, nil
	}
	args, err := splitWords(text)
	if err != nil {
		return shell{}, fmt.Errorf("shell %q: %w", text, err)
	}
	if !slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "{0}") }) {
		return shell{}, fmt.Errorf("unknown shell %q: use one of bash, sh, python, pwsh, powershell and cmd, "+
			"or a command in which {0} stands for the script's path, as in \"perl {0}\"", text)
	}
	return shell{args: args}, nil
}

// command returns the arguments that run the script at path.
func (s shell) command(path string) []string {
	args := make([]string, len(s.args))
	for i, a := range s.args {
		args[i] = strings.ReplaceAll(a, "{0}", path)
	}
	return args
}

// script returns the file's text for a step's.
func (s shell) script(text string) []byte {
	text = s.before + strings.ReplaceAll(text, "\r\n", "\n") + s.after
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if s.crlf {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return []byte(text)
}

// String is how the log shows the shell.
func (s shell) String() string { return strings.Join(s.args, " ") }

// splitWords cuts a command line at white space; single and double quotes keep a
// word together, and there are no escapes, so that Windows paths need none.
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord := false
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n' || r == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
