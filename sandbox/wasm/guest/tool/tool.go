// Package tool is what the toolbox's commands are written against: a command is
// a Tool with one table of options, from which its parser, its help and the
// table in the documentation come. A command never touches the process: its
// streams, directory and environment are those of its Call, because many
// commands of one pipeline run in one process at the same time.
package tool

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Tool describes one command.
type Tool struct {
	// Name is what it is called; Aliases are further names.
	Name    string
	Aliases []string
	// Usage is what follows the name in the first line of help.
	Usage string
	// Short says in a few words what it does.
	Short string
	// Options is empty for a command that has none or parses its own.
	Options []Option
	// Raw commands get their arguments unparsed; --help still works.
	Raw bool
	// Posix stops looking for options at the first operand (env, xargs).
	Posix bool
	// Notes say what differs from the usual command, one sentence each.
	Notes []string
	// Run does the work and returns the exit status.
	Run func(c *Call) int
}

// Option is one option of a command.
type Option struct {
	// Short and Long are its names without dashes; either may be absent.
	Short byte
	Long  string
	// Arg names its value; "" is an option without one. A value in square
	// brackets may be left out (and is then only read when attached).
	Arg  string
	Help string
}

// Key is the name under which Call knows the option.
func (o Option) Key() string {
	if o.Short != 0 {
		return string(o.Short)
	}
	return o.Long
}

// Call is one run of a command. It belongs to one goroutine.
type Call struct {
	Context context.Context
	// Name is what the command was called by.
	Name string
	// Args are the operands; for a Raw command all arguments.
	Args []string
	// Opts are the options in the order given.
	Opts []Given

	Stdin  io.Reader
	Out    *bufio.Writer // standard output; flushed when Run returns
	Stderr io.Writer

	// Dir is the working directory, absolute.
	Dir string
	// Env is the environment, K=V.
	Env []string

	Host Host
	// Files opens what is no file of the system: process substitutions.
	Files Opener

	tool   *Tool
	stdout io.Writer
}

// Given is one option as it was given.
type Given struct{ Key, Value string }

// Host is what a command may ask of the shell that runs it.
type Host interface {
	// Exec runs a command by name in the call's environment with the given
	// streams, and returns its exit status.
	Exec(ctx context.Context, args []string, io Streams) int
	// Tools lists the commands, sorted.
	Tools() []*Tool
	// LookPath finds a command's path.
	LookPath(name string, c *Call) (string, bool)
}

// Streams are a command's surroundings.
type Streams struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Dir            string
	Env            []string
}

// Opener opens names that are not in the file system. ok is false for all
// others.
type Opener interface {
	OpenSpecial(name string, flag int) (f io.ReadWriteCloser, ok bool, err error)
}

// abort unwinds a command whose output cannot be written.
type abort struct{ status int }

// ExitBroken is the status of a command whose reader has gone: SIGPIPE's.
const ExitBroken = 141

type stdout struct{ c *Call }

func (w stdout) Write(p []byte) (int, error) {
	n, err := w.c.stdout.Write(p)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.ErrClosedPipe) {
		panic(abort{ExitBroken})
	}
	w.c.Errorf("write error: %v", Reason(err))
	panic(abort{1})
}

// Run runs t as a call named args[0] and returns its exit status.
func Run(ctx context.Context, t *Tool, args []string, s Streams, host Host, files Opener) (status int) {
	c := &Call{
		Context: ctx, Name: filepath.Base(args[0]), Args: args[1:],
		Stdin: s.Stdin, Stderr: s.Stderr, Dir: s.Dir, Env: s.Env,
		Host: host, Files: files, tool: t, stdout: s.Stdout,
	}
	if c.Stdin == nil {
		c.Stdin = strings.NewReader("")
	}
	c.Out = bufio.NewWriterSize(stdout{c}, 16<<10)
	defer func() {
		if r := recover(); r != nil {
			a, ok := r.(abort)
			if !ok {
				panic(r)
			}
			status = a.status
		}
	}()
	if len(args) == 2 && args[1] == "--help" && t.Name != "echo" && t.Name != "[" {
		c.Out.WriteString(t.Help())
		c.Out.Flush()
		return 0
	}
	if !t.Raw {
		if err := c.parse(); err != nil {
			c.Errorf("%v", err)
			return t.usageStatus()
		}
	}
	status = t.Run(c)
	c.Out.Flush()
	return status
}

// usageStatus is what the usual command answers wrong options with.
func (t *Tool) usageStatus() int {
	switch t.Name {
	case "grep", "diff", "cmp", "sort", "ls", "expr", "unzip", "zip":
		return 2
	case "env", "timeout":
		return 125
	}
	return 1
}

// Exit ends the command at once.
func (c *Call) Exit(status int) {
	c.Out.Flush()
	panic(abort{status})
}

// Stdout is standard output without the buffer, for commands that pass it on.
// What is in the buffer is flushed first.
func (c *Call) Stdout() io.Writer {
	c.Out.Flush()
	return stdout{c}
}

// RawStdout is the writer that the call was given, for handing on to another
// command.
func (c *Call) RawStdout() io.Writer {
	c.Out.Flush()
	return c.stdout
}

// Errorf writes a line to standard error after the command's name.
func (c *Call) Errorf(format string, args ...any) {
	c.Out.Flush()
	fmt.Fprintf(c.Stderr, "%s: %s\n", c.Name, fmt.Sprintf(format, args...))
}

// Fail is Errorf that returns status 1.
func (c *Call) Fail(format string, args ...any) int {
	c.Errorf(format, args...)
	return 1
}

// FileError reports an error with a file as the usual commands do.
func (c *Call) FileError(name string, err error) {
	c.Errorf("%s: %s", name, Reason(err))
}

// Reason is an error without the path and call that Go puts before it.
func Reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		err = le.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrExist):
		return "File exists"
	case errors.Is(err, fs.ErrPermission):
		return "Permission denied"
	}
	return err.Error()
}

// Path makes name absolute.
func (c *Call) Path(name string) string {
	if name == "" {
		return name
	}
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(c.Dir, name)
}

// Getenv returns the value of the last K=value in the environment.
func (c *Call) Getenv(key string) string {
	v, _ := c.LookupEnv(key)
	return v
}

// LookupEnv is Getenv that tells an empty value from none.
func (c *Call) LookupEnv(key string) (string, bool) {
	for i := len(c.Env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(c.Env[i], "="); ok && k == key {
			return v, true
		}
	}
	return "", false
}

// Has reports whether the option was given.
func (c *Call) Has(key string) bool {
	for _, o := range c.Opts {
		if o.Key == key {
			return true
		}
	}
	return false
}

// Value returns the last value of the option, or "".
func (c *Call) Value(key string) string {
	for i := len(c.Opts) - 1; i >= 0; i-- {
		if c.Opts[i].Key == key {
			return c.Opts[i].Value
		}
	}
	return ""
}

// Values returns all values of the option.
func (c *Call) Values(key string) []string {
	var all []string
	for _, o := range c.Opts {
		if o.Key == key {
			all = append(all, o.Value)
		}
	}
	return all
}

// Last returns which of the keys was given last, or "".
func (c *Call) Last(keys ...string) string {
	for i := len(c.Opts) - 1; i >= 0; i-- {
		for _, k := range keys {
			if c.Opts[i].Key == k {
				return k
			}
		}
	}
	return ""
}

// Streams are the call's own, for running another command in its place.
func (c *Call) Streams() Streams {
	return Streams{Stdin: c.Stdin, Stdout: c.RawStdout(), Stderr: c.Stderr, Dir: c.Dir, Env: c.Env}
}
