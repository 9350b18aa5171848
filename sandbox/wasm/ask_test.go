package wasm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// grow asks for n pages more and traps where it gets none.
func grow(n int32) []byte {
	return program(0, "", w.Const(n), w.Op(0x40, 0), w.Const(-1), w.Op(0x46), w.If(w.Unreachable())).Bytes()
}

// TestAsk lowers limits by a step's environment.
func TestAsk(t *testing.T) {
	j := open(t, newProvider(t, nil))
	loop, small, large := program(0, "", w.Loop()).Bytes(), grow(100), grow(2000)
	for _, c := range []struct {
		name   string
		module []byte
		env    map[string]string
		says   string // of the error; "" where there is none
		tells  string // of the details
	}{
		{"time", loop, map[string]string{"SANDBOX_LIMIT_TIME": "200ms"}, "time limit of 200ms reached", "time 200ms"},
		{"CPU", loop, map[string]string{"SANDBOX_LIMIT_CPU": " 0.2s "}, "CPU limit of 200ms reached", "cpu 200ms"},
		{"memory", small, map[string]string{"SANDBOX_LIMIT_MEMORY": "4m"}, "memory limit of 4 MiB reached", "memory 4 MiB"},
		{"enough", small, map[string]string{"SANDBOX_LIMIT_MEMORY": "8m", "SANDBOX_LIMIT_FILES": ""}, "", "memory 8 MiB"},
		{"more than the operator's", large, map[string]string{"SANDBOX_LIMIT_MEMORY": "1t"}, "memory limit of 64 MiB reached", "memory 1024 GiB"},
		{"less than it begins with", small, map[string]string{"SANDBOX_LIMIT_MEMORY": "64k"}, "its memory starts with 128 KiB, and the limit is 64 KiB", "memory 64 KiB"},
		{"the next step has its own", small, nil, "", "Used: "},
		{"nothing", small, map[string]string{"SANDBOX_LIMIT_MEMORY": "0"}, `SANDBOX_LIMIT_MEMORY: "0" is no size above 0`, ""},
		{"no time", small, map[string]string{"SANDBOX_LIMIT_TIME": "5"}, `"5" is no time above 0: expected one like`, ""},
		{"no number", small, map[string]string{"SANDBOX_LIMIT_FILES": "many"}, `"many" is no whole number`, ""},
		{"unknown", small, map[string]string{"SANDBOX_LIMIT_MEM": "4m"}, "SANDBOX_LIMIT_MEM asks for a limit that there is not; there are SANDBOX_LIMIT_CPU, ", ""},
		{"neither true nor false", small, map[string]string{"SANDBOX_DETERMINISTIC": "1"}, "expected true or false", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			command := j.put(c.module)
			command.Env = c.env
			res, err := j.Run(t.Context(), command)
			switch {
			case c.says == "" && err != nil:
				t.Error(err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("error %v, want %s", err, c.says)
			}
			if details := strings.Join(res.Details, "\n"); !strings.Contains(details, c.tells) {
				t.Errorf("details %q, want %q", details, c.tells)
			}
		})
	}
}

// TestAskLessThanTheShellTakes is a limit below the memory that the shell, which is
// ready when the step begins, starts with.
func TestAskLessThanTheShellTakes(t *testing.T) {
	shell := program(0, "")
	shell.Pages = 100
	j := open(t, newProvider(t, func(o *wasm.Options) {
		o.Toolbox = func() ([]byte, error) { return shell.Bytes(), nil }
		o.Commands = []string{"sh"}
	}))
	command := &sandbox.Command{Args: []string{"sh", "-c", ":"}, Env: map[string]string{"SANDBOX_LIMIT_MEMORY": "1m"}}
	res, err := j.Run(t.Context(), command)
	var limit *sandbox.LimitError
	if !errors.As(err, &limit) || limit.Text != "memory limit of 1 MiB reached" {
		t.Errorf("error %v, want the memory limit", err)
	}
	if details := strings.Join(res.Details, "\n"); !strings.Contains(details, "(the shell)") {
		t.Errorf("details %q do not name the shell", details)
	}
	command.Env = nil
	if _, err := j.Run(t.Context(), command); err != nil {
		t.Errorf("the next step: %v", err)
	}
}

// TestDeterministicStep asks for it in one step.
func TestDeterministicStep(t *testing.T) {
	j := open(t, newProvider(t, nil))
	m := program(0, "", w.Const(2048), w.Const(16), w.Call(fRandom), w.Drop(), printTo(1, 2048, 16)).Bytes()
	random := func(env map[string]string) string {
		var out strings.Builder
		c := j.put(m)
		c.Env, c.Stdout = env, &out
		if _, err := j.Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	asks := map[string]string{"SANDBOX_DETERMINISTIC": "true"}
	if first, second := random(asks), random(asks); first != second {
		t.Error("two deterministic steps differ")
	}
	if first, second := random(nil), random(nil); first == second {
		t.Error("randomness is not real")
	}
}

// TestOwnWrites counts what the runner writes into a job's folder.
func TestOwnWrites(t *testing.T) {
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Limits.Disk, o.Limits.Files = 1<<20, 50 }))
	fill := program(1, "big", openat(3, 1024, 3, create, rw), w.Drop(),
		w.Const(0), w.Const(0), w.Store(), w.Const(4), w.Const(65536), w.Store(),
		w.While(w.Const(16), w.Load(), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Tee(0), w.Op(0x45)), exit(w.Get(0))).Bytes()
	var limit *sandbox.LimitError
	write := func(name string, size int) error {
		return j.WriteFiles(t.Context(), []sandbox.File{{Path: name, Data: make([]byte, size)}})
	}
	if err := write("a", 900<<10); err != nil {
		t.Fatal(err)
	}
	if err := write("b", 200<<10); !errors.As(err, &limit) || limit.Limit != "disk" || !strings.Contains(err.Error(), "disk limit of 1 MiB reached") {
		t.Errorf("the runner's own write: %v", err)
	}
	// What the guest may write is what is left, and then the runner may not either.
	_, _, res, err := j.run(fill)
	if !errors.As(err, &limit) || limit.Limit != "disk" {
		t.Errorf("the guest's: exit code %d, %v", res.ExitCode, err)
	}
	if info, err := j.ReadFile(t.Context(), "/work/hello/big", 1<<20); err == nil && len(info) > 124<<10 {
		t.Errorf("the guest wrote %d bytes beside the runner's 900 KiB", len(info))
	}
	if err := write("c", 120<<10); !errors.As(err, &limit) {
		t.Errorf("after the guest: %v", err)
	}
	// What is removed makes room.
	if _, err := j.Run(t.Context(), &sandbox.Command{Args: []string{"./nothing"}, Remove: []string{"a", "b", "/work/hello/big", "/big"}}); err == nil {
		t.Error("./nothing ran")
	}
	if err := write("c", 800<<10); err != nil {
		t.Error(err)
	}
	for i := range 60 {
		if err = write("d/"+strings.Repeat("x", i+1), 1); err != nil {
			break
		}
	}
	if !errors.As(err, &limit) || limit.Limit != "files" {
		t.Errorf("60 files: %v", err)
	}
}

// TestLimitsOfATree writes a tree one by one, as a checkout does, over each limit.
func TestLimitsOfATree(t *testing.T) {
	for _, c := range []struct {
		limits wasm.Limits
		limit  string
		says   string
		write  func(f sandbox.Files, i int) error
	}{
		{wasm.Limits{Disk: 1 << 20}, "disk", "disk limit of 1 MiB reached", func(f sandbox.Files, i int) error {
			return f.Create(fmt.Sprintf("/work/hello/f%d", i), 0o644, strings.NewReader(strings.Repeat("x", 300<<10)))
		}},
		{wasm.Limits{FileSize: 1 << 20}, "file-size", "file size limit of 1 MiB reached", func(f sandbox.Files, i int) error {
			return f.Create(fmt.Sprintf("/work/hello/f%d", i), 0o644, strings.NewReader(strings.Repeat("x", 2<<20)))
		}},
		{wasm.Limits{Files: 100}, "files", "limit of 100 files reached", func(f sandbox.Files, i int) error {
			return f.Create(fmt.Sprintf("/work/hello/f%d", i), 0o644, strings.NewReader(""))
		}},
		{wasm.Limits{Files: 100}, "files", "limit of 100 files reached", func(f sandbox.Files, i int) error {
			return f.Mkdir(fmt.Sprintf("/work/hello/d%d", i))
		}},
		{wasm.Limits{Files: 100}, "files", "limit of 100 files reached", func(f sandbox.Files, i int) error {
			return f.Symlink("x", fmt.Sprintf("/work/hello/l%d", i))
		}},
	} {
		j := open(t, newProvider(t, func(o *wasm.Options) { o.Limits = c.limits.Or(o.Limits) }))
		files := j.Sandbox.(sandbox.FileKeeper).Files()
		var err error
		for i := 0; i < 200 && err == nil; i++ {
			err = c.write(files, i)
		}
		var limit *sandbox.LimitError
		if !errors.As(err, &limit) || limit.Limit != c.limit || !strings.HasSuffix(err.Error(), c.says) {
			t.Errorf("error %v, want %s", err, c.says)
		}
	}
}

// TestSweep removes what dead runners left, and nothing of living ones.
func TestSweep(t *testing.T) {
	root := t.TempDir()
	living, err := wasm.New(wasm.Options{Root: root, Command: []string{workerProgram}, NoSpare: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := living.Close(); err != nil {
			t.Error(err)
		}
	}()
	j := open(t, living)
	dead := filepath.Join(root, "jobs", "runner-dead")
	young := filepath.Join(root, "jobs", "runner-young")
	for _, name := range []string{filepath.Join(dead, "job-1", "work", "deep"), filepath.Join(root, "jobs", "runner-dead2", "job-1")} {
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/", filepath.Join(dead, "job-1", "work", "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dead, "job-1", "work", "deep"), 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dead, young, dead + "2", dead + "3"} {
		if err := os.WriteFile(name+".lock", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(dead+"3.lock", old, old); err != nil {
		t.Fatal(err)
	}
	other, err := wasm.New(wasm.Options{Root: root, Command: []string{workerProgram}, NoSpare: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	left, _ := filepath.Glob(filepath.Join(root, "jobs", "runner-dead*"))
	if len(left) > 0 {
		t.Errorf("left is %q", left)
	}
	if _, err := os.Stat(young + ".lock"); err != nil {
		t.Errorf("a runner that starts: %v", err)
	}
	out, _, _, err := j.run(hello())
	want(t, "output of the living runner's job", out, "hello\n")
	want(t, "its error", err, nil)
	_ = os.Remove(young + ".lock")
}
