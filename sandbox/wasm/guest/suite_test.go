//go:build patched

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox/wasm/guest/shell"
	"otelrunner/sandbox/wasm/guest/tool"
	"otelrunner/sandbox/wasm/guest/tools"
)

var (
	update = flag.Bool("update", false, "write what bash and the system's tools print as the expected output")
	module = flag.String("module", "", "command that runs the suite's scripts instead of this process, e.g. a WASI runtime with toolbox.wasm")
)

// environ is what both shells see.
func environ(dir string) []string {
	return []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "PWD=" + dir, "TMPDIR=" + dir, "LC_ALL=C.UTF-8", "TZ=UTC"}
}

// outcome is what a script is judged by: standard output and exit status.
func outcome(stdout []byte, status int) string { return fmt.Sprintf("%sexit %d\n", stdout, status) }

func runBash(t *testing.T, script string) string {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", script)
	cmd.Dir, cmd.Env = dir, environ(dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome(out, cmd.ProcessState.ExitCode())
}

func runOurs(t *testing.T, script string) string {
	dir := t.TempDir()
	var out, errs bytes.Buffer
	status := 0
	if *module != "" {
		args := strings.Fields(strings.NewReplacer("DIR", dir, "SCRIPTS", filepath.Dir(script)).Replace(*module))
		cmd := exec.CommandContext(t.Context(), args[0], append(args[1:], "bash", script)...)
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, environ(dir), &out, &errs
		_ = cmd.Run()
		status = cmd.ProcessState.ExitCode()
	} else {
		done := make(chan int, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		go func() {
			sh := shell.New(tools.All(), nil)
			done <- sh.Main(ctx, []string{"bash", script}, tool.Streams{
				Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Dir: dir, Env: environ(dir),
			})
		}()
		select {
		case status = <-done:
		case <-time.After(3 * time.Minute):
			t.Fatal("the script does not end")
		}
	}
	if t.Failed() || testing.Verbose() {
		t.Logf("stderr: %s", errs.String())
	}
	return outcome(out.Bytes(), status)
}

func scripts(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("testdata/scripts/*.sh")
	if err != nil || len(list) < 120 {
		t.Fatalf("%d scripts: %v", len(list), err)
	}
	// awk changes the process's directory: nothing may depend on it later.
	for i := range list {
		if list[i], err = filepath.Abs(list[i]); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestScripts compares the shell with what bash printed.
func TestScripts(t *testing.T) {
	// One of the folders that scripts ran in may be gone before the next starts.
	list := scripts(t)
	t.Chdir(t.TempDir())
	for _, path := range list {
		t.Run(filepath.Base(path), func(t *testing.T) {
			golden := strings.TrimSuffix(path, ".sh") + ".out"
			if *update {
				if err := os.WriteFile(golden, []byte(runBash(t, path)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got := runOurs(t, path); got != string(want) {
				text, _ := os.ReadFile(path)
				t.Errorf("script:\n%s\nbash prints:\n%s\nwe print:\n%s", text, want, got)
			}
		})
	}
}

// TestBashAgrees checks the expected outputs themselves, where the tools that
// made them are.
func TestBashAgrees(t *testing.T) {
	for _, name := range []string{"bash", "jq", "xxd", "hexdump", "timeout"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("no %s on this machine", name)
		}
	}
	list := scripts(t)
	if out, _ := exec.Command("sed", "--version").Output(); !bytes.Contains(out, []byte("GNU")) {
		t.Skip("this machine's sed is not GNU's")
	}
	for _, path := range list {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(strings.TrimSuffix(path, ".sh") + ".out")
			if err != nil {
				t.Fatal(err)
			}
			if got := runBash(t, path); got != string(want) {
				t.Errorf("bash prints:\n%s\nrecorded:\n%s", got, want)
			}
		})
	}
}

// TestTableInReadme keeps the documentation what the commands say of themselves;
// -update writes it.
func TestTableInReadme(t *testing.T) {
	const begin, end = "<!-- commands: go run ./build test -run Readme . -update -->\n", "<!-- end of commands -->\n"
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("README.md lacks its marks")
	}
	want := head + begin + "\n" + tool.Table(shell.New(tools.All(), nil).Tools()) + "\n" + end + tail
	if *update {
		if err := os.WriteFile("README.md", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(data) != want {
		t.Error("README.md does not list the commands as they are: go run ./build test -run Readme . -update")
	}
}

// TestCommandNotFound says which commands exist.
func TestCommandNotFound(t *testing.T) {
	var out, errs bytes.Buffer
	status := shell.New(tools.All(), nil).Main(t.Context(), []string{"sh", "-c", "pythn"}, tool.Streams{Stdout: &out, Stderr: &errs, Dir: t.TempDir()})
	if status != 127 || !strings.Contains(errs.String(), "pythn: command not found") || !strings.Contains(errs.String(), " xargs ") {
		t.Errorf("status %d, %s", status, errs.String())
	}
}

type fakeSpawner struct{ args []string }

func (f *fakeSpawner) Spawn(_ context.Context, _ string, args []string, s tool.Streams) (int, error) {
	f.args = args
	data, _ := io.ReadAll(s.Stdin)
	_, _ = fmt.Fprintf(s.Stdout, "module got %s", data)
	return 3, nil
}

// TestModules runs a *.wasm of PATH in a pipe, by its name with and without the
// ending.
func TestModules(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hello.wasm"), []byte("\x00asm\x01\x00\x00\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	fake := &fakeSpawner{}
	status := shell.New(tools.All(), fake).Main(t.Context(), []string{"bash", "-eo", "pipefail", "-c", "echo in | hello a b | cat"}, tool.Streams{
		Stdout: &out, Stderr: &errs, Dir: dir, Env: []string{"PATH=" + dir},
	})
	if status != 3 || out.String() != "module got in\n" || strings.Join(fake.args, " ") != "hello a b" {
		t.Errorf("status %d, %q, %q, args %q", status, out.String(), errs.String(), fake.args)
	}
}

// TestNesting ends endless recursion long before the stack does.
func TestNesting(t *testing.T) {
	dir := t.TempDir()
	self := filepath.Join(dir, "self.sh")
	if err := os.WriteFile(self, []byte("#!/bin/bash\n$0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "source.sh"), []byte("source ./source.sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for script, says := range map[string]string{
		"f(){ f; }; f; echo no":                           "f: maximum function nesting level exceeded (1000)",
		"f(){ FUNCNEST=2000; f; }; f; echo no":            "f: maximum function nesting level exceeded (1000)",
		"set -eo pipefail; f(){ f | cat; }; f; echo no":   "f: maximum function nesting level exceeded (1000)",
		`set -e; f(){ x=$(f); }; f; echo no`:              "f: maximum function nesting level exceeded (1000)",
		`e='eval "$e"'; eval "$e"; echo no`:               "eval: maximum eval nesting level exceeded (1000)",
		"source ./source.sh; echo no":                     "source: maximum source nesting level exceeded (1000)",
		"set -E; trap f ERR; f(){ false; f; }; f; echo n": "f: maximum function nesting level exceeded (1000)",
		"./self.sh": "200 commands run inside one another, which is the most that this shell can",
	} {
		var out, errs bytes.Buffer
		status := shell.New(tools.All(), nil).Main(t.Context(), []string{"bash", "-c", script}, tool.Streams{Stdout: &out, Stderr: &errs, Dir: dir})
		if status == 0 || strings.Contains(out.String(), "no") || !strings.Contains(errs.String(), says) {
			t.Errorf("%s\nstatus %d, stdout %q, stderr %.300s\nwant %s", script, status, out.String(), errs.String(), says)
		}
	}
}
