package wasm_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/sandboxtest"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/toolbox"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// shell is the toolbox, where `make toolbox` has built it; TOOLBOX names another
// file.
func shell(t testing.TB) func() ([]byte, error) {
	t.Helper()
	load := toolbox.Module
	if name := os.Getenv("TOOLBOX"); name != "" {
		load = func() ([]byte, error) { return os.ReadFile(name) } //nolint:gosec // a test's own
	}
	if _, err := load(); errors.Is(err, toolbox.ErrMissing) {
		t.Skip("no toolbox: make toolbox builds it")
	}
	return load
}

// cacheOfTests is a folder of compiled modules that outlives a test: the shell takes
// half a minute where the machine is busy.
func cacheOfTests(t testing.TB) string {
	t.Helper()
	dir, err := w.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestConformance runs the suite that every sandbox passes, by the shell.
func TestConformance(t *testing.T) {
	box := shell(t)
	root := t.TempDir() // one cache for all
	sandboxtest.Run(t, sandboxtest.Harness{
		NoProcesses: true, NoSetsid: true, NoModes: true, // WASI has none of them
		Provider: func(t *testing.T) sandbox.Provider {
			return newProvider(t, func(o *wasm.Options) {
				o.Root, o.Toolbox, o.Limits.Memory = root, box, 512<<20
			})
		},
	})
}

// TestCommands compares the list that the runner has with the shell's own.
func TestCommands(t *testing.T) {
	box := shell(t)
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Toolbox, o.Cache, o.Limits.Memory = box, cacheOfTests(t), 512<<20 }))
	var out bytes.Buffer
	if _, err := j.Run(t.Context(), &sandbox.Command{Args: []string{"bash", "-c", "help --markdown"}, Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		if cells := strings.Split(line, "|"); len(cells) > 2 && strings.Contains(cells[1], "`") {
			names = append(names, strings.Fields(strings.ReplaceAll(cells[1], "`", ""))...)
		}
	}
	slices.Sort(names)
	list := slices.Sorted(slices.Values(toolbox.Commands()))
	if !slices.Equal(names, list) {
		t.Errorf("the shell has\n%s\nand commands.go lists\n%s", strings.Join(names, " "), strings.Join(list, " "))
	}
}

// TestShellOutOfMemory ends a script that grows without end by the limit's sentence
// alone: Go's runtime would write its goroutines too.
func TestShellOutOfMemory(t *testing.T) {
	box := shell(t)
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Toolbox, o.Cache, o.Limits.Memory = box, cacheOfTests(t), 128<<20 }))
	var out, errs bytes.Buffer
	run := func(script string) (sandbox.Result, error) {
		return j.Run(t.Context(), &sandbox.Command{Args: []string{"bash", "-c", script}, Stdout: &out, Stderr: &errs})
	}
	res, err := run("echo begin; x=aaaaaaaaaa; while :; do x=$x$x; done")
	var limit *sandbox.LimitError
	if !errors.As(err, &limit) || limit.Text != "memory limit of 128 MiB reached" || res.ExitCode != 137 {
		t.Errorf("status %d, error %v, want 137 and the memory limit", res.ExitCode, err)
	}
	if out.String() != "begin\n" || errs.Len() > 0 {
		t.Errorf("the shell said %q and, on stderr,\n%.2000s", out.String(), errs.String())
	}
	out.Reset()
	if _, err := run("seq 3 | tac"); err != nil || out.String() != "3\n2\n1\n" {
		t.Errorf("the next step: %v, %q", err, out.String())
	}
}

// TestShellRecursion ends endless recursion by a sentence, and not by the end of the
// module's stack, which takes a minute to reach.
func TestShellRecursion(t *testing.T) {
	box := shell(t)
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Toolbox, o.Cache, o.Limits.Memory = box, cacheOfTests(t), 512<<20 }))
	for script, says := range map[string]string{
		"f() { f; }; f": "f: maximum function nesting level exceeded (1000)",
		"set -eo pipefail; f() { x=$(f | cat); }; f":                                          "f: maximum function nesting level exceeded (1000)",
		"echo 'sh ./again' > again; sh ./again":                                               "200 commands run inside one another",
		"f() { if [ $1 -gt 0 ]; then f $(($1 - 1)); else echo deep >&2; exit 3; fi; }; f 900": "deep\n",
	} {
		var errs bytes.Buffer
		res, err := j.Run(t.Context(), &sandbox.Command{Args: []string{"bash", "-c", script}, Stderr: &errs})
		if err != nil || res.ExitCode == 0 || !strings.Contains(errs.String(), says) || strings.Contains(errs.String(), "stack overflow") {
			t.Errorf("%s\nstatus %d, %v: %.500s", script, res.ExitCode, err, errs.String())
		}
	}
}

// BenchmarkShell is a step of the shell over a warm worker.
func BenchmarkShell(b *testing.B) {
	box := shell(b)
	j := open(b, newProvider(b, func(o *wasm.Options) { o.Toolbox, o.Limits.Memory, o.Limits.Wall = box, 512<<20, time.Minute }))
	for b.Loop() {
		if _, err := j.Run(b.Context(), &sandbox.Command{Args: []string{"sh", "-c", "echo hello"}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJob is a whole job of one step of the shell, without a spare worker.
func BenchmarkJob(b *testing.B) {
	box := shell(b)
	p := newProvider(b, func(o *wasm.Options) { o.Toolbox, o.Limits.Memory, o.Limits.Wall = box, 512<<20, time.Minute })
	if err := p.Warm(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s, err := p.Open(b.Context(), sandbox.Spec{ID: "bench", Repository: "octo/hello"})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Run(b.Context(), &sandbox.Command{Args: []string{"sh", "-c", "echo hello"}}); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
