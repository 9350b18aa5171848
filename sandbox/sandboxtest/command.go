package sandboxtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
)

func testCommand(t *testing.T, h Harness) {
	t.Run("starts in the workspace", func(t *testing.T) {
		b := h.open(t)
		want(t, "pwd", b.sh("pwd -P"), b.Info().Workspace)
		if !strings.HasSuffix(b.Info().Workspace, "hello") {
			t.Errorf("workspace %s is not named after the repository", b.Info().Workspace)
		}
		want(t, "the workspace", b.sh("ls -A"), "")
	})
	t.Run("starts in Dir", func(t *testing.T) {
		b := h.open(t)
		b.write("a/b/file", "x")
		c := b.script("pwd -P")
		c.Dir = "a/b"
		out, _ := b.run(c)
		want(t, "pwd", strings.TrimSpace(out), b.Info().Workspace+"/a/b")
		c = b.script("pwd -P")
		c.Dir = b.Info().Temp
		out, _ = b.run(c)
		want(t, "pwd", strings.TrimSpace(out), b.Info().Temp)
	})
	t.Run("passes arguments as they are", func(t *testing.T) {
		b := h.open(t)
		args := []string{"", "a b", `"q"`, `\`, "$HOME", "*", "ä\n"}
		c := b.script(`for a in "$@"; do printf '[%s]' "$a"; done`)
		c.Args = append(c.Args, append([]string{"name"}, args...)...)
		out, _ := b.run(c)
		want(t, "output", out, "["+strings.Join(args, "][")+"]")
	})
	t.Run("exit codes", func(t *testing.T) {
		b := h.open(t)
		for _, code := range []int{0, 1, 2, 77, 255} {
			_, res := b.run(b.script(fmt.Sprintf("exit %d", code)))
			want(t, "exit code", res.ExitCode, code)
		}
		if h.NoProcesses {
			return
		}
		for name, code := range map[string]int{"KILL": 137, "TERM": 143} {
			_, res := b.run(b.script("kill -" + name + " $$"))
			want(t, "exit code after SIG"+name, res.ExitCode, code)
		}
	})
	t.Run("usage", func(t *testing.T) {
		b := h.open(t)
		_, res := b.run(b.script("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"))
		if res.Usage.CPU < time.Millisecond || res.Usage.CPU > time.Minute {
			t.Errorf("CPU time is %v", res.Usage.CPU)
		}
		if res.Usage.PeakMemory < 0 {
			t.Errorf("peak memory is %d", res.Usage.PeakMemory)
		}
	})
	t.Run("stdin", func(t *testing.T) {
		b := h.open(t)
		want(t, "no stdin", b.sh("cat"), "")
		c := b.script("cat")
		c.Stdin = strings.NewReader("one\ntwo")
		out, _ := b.run(c)
		want(t, "output", out, "one\ntwo")
		c = b.script("true") // does not read
		c.Stdin = strings.NewReader(strings.Repeat("x", 1<<20))
		_, res := b.run(c)
		want(t, "exit code", res.ExitCode, 0)
	})
	testEnvironment(t, h)
}

func testEnvironment(t *testing.T, h Harness) {
	t.Run("environment", func(t *testing.T) {
		h := h
		h.Spec.Env = map[string]string{"OF_SPEC": "spec", "OF_BOTH": "spec"}
		b := h.open(t)
		c := b.script(`printf '%s|%s|%s|%s' "$OF_SPEC" "$OF_BOTH" "$OF_COMMAND" "$LINES_"`)
		c.Env = map[string]string{"OF_BOTH": "command", "OF_COMMAND": "a=b c", "LINES_": "1\n2"}
		out, _ := b.run(c)
		want(t, "output", out, "spec|command|a=b c|1\n2")
		want(t, "the next command's", b.sh(`printf '%s|%s' "$OF_BOTH" "$OF_COMMAND"`), "spec|")
		want(t, "HOME", b.sh(`printf %s "$HOME"`), b.Info().Home)
	})
	t.Run("path", func(t *testing.T) {
		b := h.open(t)
		tool := func(dir string) {
			t.Helper()
			files := []sandbox.File{{Path: dir + "/sandbox-test-tool", Data: []byte("#!/bin/sh\necho " + dir + "\n"), Mode: 0o755}}
			if err := b.WriteFiles(t.Context(), files); err != nil {
				t.Fatal(err)
			}
		}
		tool("one")
		tool("two")
		ws := b.Info().Workspace
		_, err := b.LookPath(t.Context(), "sandbox-test-tool", nil)
		_ = wantAs[*sandbox.NotFoundError](t, err)
		found, err := b.LookPath(t.Context(), "sandbox-test-tool", []string{ws + "/two", ws + "/one"})
		if err != nil {
			t.Fatal(err)
		}
		want(t, "LookPath", found, ws+"/two/sandbox-test-tool")
		found, err = b.LookPath(t.Context(), "one/sandbox-test-tool", nil)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "LookPath of a relative path", found, ws+"/one/sandbox-test-tool")
		for _, c := range []*sandbox.Command{
			{Args: []string{"sandbox-test-tool"}, Path: []string{ws + "/two", ws + "/one"}},
			{Args: []string{"sandbox-test-tool"}, Env: map[string]string{"PATH": ws + "/two"}},
			{Args: []string{"sandbox-test-tool"}, Path: []string{ws + "/two"}, Env: map[string]string{"PATH": ws + "/one"}},
			{Args: []string{"two/sandbox-test-tool"}},
			{Args: []string{"./sandbox-test-tool"}, Dir: "two"},
			{Args: []string{ws + "/two/sandbox-test-tool"}},
		} {
			out, _ := b.run(c)
			want(t, "output", out, "two\n")
		}
		c := b.script("sandbox-test-tool; ls / > /dev/null && echo found")
		c.Path = []string{ws + "/one"}
		out, _ := b.run(c)
		want(t, "output with Path before PATH", out, "one\nfound\n")
	})
}
