// Package sandboxtest is the contract of package sandbox as tests: what every
// sandbox.Sandbox must pass. A kind of sandbox runs it from its own tests:
//
//	sandboxtest.Run(t, sandboxtest.Harness{Provider: …})
package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"otelrunner/sandbox"
)

// Harness says how to reach the sandboxes under test, and what they cannot do.
type Harness struct {
	// Provider makes a fresh provider; required.
	Provider func(t *testing.T) sandbox.Provider

	// Spec is the sandbox to open; ID and Log are filled in where empty.
	Spec sandbox.Spec

	// Shell runs a script in the POSIX shell language that is its last
	// argument. Default: sh -c.
	Shell []string

	// NoProcesses leaves out what needs background processes and signals, as
	// a single WebAssembly module has none.
	NoProcesses bool

	// NoSetsid leaves out what needs a setsid program in the sandbox.
	NoSetsid bool

	// NoModes leaves out exact modes of files.
	NoModes bool

	// Outside says that paths inside the sandbox are paths of this machine
	// too, so that the suite can look there after Close.
	Outside bool
}

// counter makes the ids of sandboxes unique in this process.
var counter atomic.Int64 //nolint:gochecknoglobals // a source of unique names

// Run runs the suite as subtests of t.
func Run(t *testing.T, h Harness) {
	if len(h.Shell) == 0 {
		h.Shell = []string{"sh", "-c"}
	}
	for _, group := range []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"command", testCommand},
		{"output", testOutput},
		{"files", testFiles},
		{"errors", testErrors},
		{"cancel", testCancel},
		{"background", testBackground},
		{"stage", testStage},
		{"import", testImport},
		{"hashfiles", testHashFiles},
		{"close", testClose},
	} {
		t.Run(group.name, func(t *testing.T) { group.run(t, h) })
	}
}

// box is an open sandbox and its test.
type box struct {
	sandbox.Sandbox
	t      *testing.T
	h      Harness
	closed bool
}

// open opens a sandbox, which is closed at the end of the test, without an error.
func (h Harness) open(t *testing.T) *box {
	t.Helper()
	spec := h.Spec
	if spec.ID == "" {
		spec.ID = fmt.Sprintf("suite-%d-%d", time.Now().UnixNano()%1e9, counter.Add(1))
	}
	if spec.Repository == "" {
		spec.Repository = "octo/hello"
	}
	if spec.Log == nil {
		spec.Log = func(line string) { t.Log(line) }
	}
	s, err := h.Provider(t).Open(t.Context(), spec)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	b := &box{Sandbox: s, t: t, h: h}
	t.Cleanup(b.close)
	return b
}

func (b *box) close() {
	if b.closed {
		return
	}
	b.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		b.t.Errorf("Close: %v", err)
	}
}

// script is a command of the shell.
func (b *box) script(text string) *sandbox.Command {
	return &sandbox.Command{Args: append(b.h.Shell[:len(b.h.Shell):len(b.h.Shell)], text), Grace: 200 * time.Millisecond}
}

// run runs a command that must not fail and returns its standard output.
func (b *box) run(c *sandbox.Command) (string, sandbox.Result) {
	b.t.Helper()
	var out, errOut bytes.Buffer
	if c.Stdout == nil {
		c.Stdout = &out
	}
	if c.Stderr == nil {
		c.Stderr = &errOut
	}
	res, err := b.Run(b.t.Context(), c)
	if err != nil {
		b.t.Fatalf("Run %q: %v\n%s", c.Args, err, errOut.String())
	}
	return out.String(), res
}

// sh runs a script that must end with 0, and returns its output without the last
// line's end.
func (b *box) sh(text string) string {
	b.t.Helper()
	out, res := b.run(b.script(text))
	if res.ExitCode != 0 {
		b.t.Fatalf("%s: exit code %d, output %q", text, res.ExitCode, out)
	}
	return strings.TrimSuffix(out, "\n")
}

func (b *box) write(path, data string) {
	b.t.Helper()
	f := sandbox.File{Path: path, Data: []byte(data)}
	if err := b.WriteFiles(b.t.Context(), []sandbox.File{f}); err != nil {
		b.t.Fatal(err)
	}
}

// read returns a file's content, "" when it is not there.
func (b *box) read(path string) string {
	data, err := b.ReadFile(context.Background(), path, 1<<20)
	if err != nil {
		return ""
	}
	return string(data)
}

// waitFor waits until a file is there.
func (b *box) waitFor(path string) {
	b.t.Helper()
	for range 500 {
		if b.read(path) != "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("%s has not appeared", path)
}

// beats reports whether the heartbeat goes on, as soon as it does, or after limit.
func (b *box) beats(limit time.Duration) bool {
	before, end := b.read("beat"), time.Now().Add(limit)
	for b.read("beat") == before {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(20 * time.Millisecond)
	}
	return true
}

// soon is how long a process must be silent to be taken for dead, and late how
// long a living one may need on a busy machine.
const (
	soon = 200 * time.Millisecond
	late = 10 * time.Second
)

// heartbeat is a shell loop that appends to the file "beat" until it is killed.
const heartbeat = "while :; do echo beat >> beat; sleep 0.05; done"

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %#v, want %#v", what, got, want)
	}
}

func wantAs[E error](t *testing.T, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("error is %#v (%v), want a %T", err, err, e)
	}
	return e
}
