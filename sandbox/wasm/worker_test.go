package wasm_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// TestKilled kills a worker from outside while a step runs in it.
func TestKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("finds the process in /proc")
	}
	p := newProvider(t, nil)
	others := children(t)
	j := open(t, p)
	pid := worker(t, others, 0)
	timer := time.AfterFunc(300*time.Millisecond, func() {
		if proc, err := os.FindProcess(pid); err == nil {
			_ = proc.Kill()
		}
	})
	defer timer.Stop()
	_, _, res, err := j.run(program(0, "", w.Loop()).Bytes())
	if err == nil || !strings.Contains(err.Error(), "killed") || res.ExitCode != 137 {
		t.Errorf("error %v, exit code %d", err, res.ExitCode)
	}
	out, _, _, err := j.run(hello())
	want(t, "output after it", out, "hello\n")
	want(t, "error after it", err, nil)
}

// TestTampering changes a compiled module on the disk.
func TestTampering(t *testing.T) {
	var root string
	p := newProvider(t, func(o *wasm.Options) { root = o.Root })
	j := open(t, p)
	if out, _, _, err := j.run(hello()); err != nil || out != "hello\n" {
		t.Fatalf("%q, %v", out, err)
	}
	entries, err := filepath.Glob(filepath.Join(root, "cache", "*", "wazero-*", "*"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("%d compiled modules, %v", len(entries), err)
	}
	good, err := os.ReadFile(entries[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := slices.Clone(good)
	for i := len(bad) / 2; i < len(bad); i++ {
		bad[i] = 0xcc // traps, where it would run
	}
	if err := os.WriteFile(entries[0], bad, 0o600); err != nil {
		t.Fatal(err)
	}
	other := open(t, p)
	out, _, _, err := other.run(hello())
	want(t, "output", out, "hello\n")
	want(t, "error", err, nil)
	if now, _ := os.ReadFile(entries[0]); string(now) != string(good) {
		t.Error("the tampered entry is still there")
	}
}

// TestJail asks the kernel what a worker may do.
func TestJail(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has the jail")
	}
	others := children(t)
	j := open(t, newProvider(t, nil))
	pid := worker(t, others, 0)
	for field, value := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2"} {
		if got := statusOf(t, pid, field); got != value {
			t.Errorf("the worker's %s is %q, want %q", field, got, value)
		}
	}
	if env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ"); err == nil && len(env) > 0 {
		t.Errorf("its environment is %q", env)
	}
	if score, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/oom_score_adj"); err != nil || string(score) != "1000\n" {
		t.Errorf("the kernel's oom_score_adj for it is %q (%v), want that of a process to end first", score, err)
	}
	details := strings.Join(j.Info().Details, "\n")
	for _, part := range []string{"Landlock ABI", "seccomp", "no-new-privs", "Network: none", "64 MiB of memory", "32 programs at a time", "Limits of a module: 64 MiB, 10000000 table elements"} {
		if !strings.Contains(details, part) {
			t.Errorf("%q is not in the details:\n%s", part, details)
		}
	}
}

// TestDeterministic runs a program that prints the time and random bytes.
func TestDeterministic(t *testing.T) {
	m := program(0, "", w.Const(0), w.Const64(1), w.Const(2048), w.Call(fClock), w.Drop(),
		w.Const(2056), w.Const(32), w.Call(fRandom), w.Drop(), printTo(1, 2048, 40)).Bytes()
	outputs := func(deterministic bool) []string {
		var all []string
		for range 2 {
			j := open(t, newProvider(t, func(o *wasm.Options) { o.Deterministic = deterministic }))
			out, _, _, err := j.run(m)
			if err != nil || len(out) != 40 {
				t.Fatalf("%q, %v", out, err)
			}
			all = append(all, out)
		}
		return all
	}
	if o := outputs(true); o[0] != o[1] {
		t.Error("two deterministic runs differ")
	}
	if o := outputs(false); o[0][:8] == o[1][:8] || o[0][8:] == o[1][8:] {
		t.Error("time or randomness is not real")
	}
}

// BenchmarkStep is a small module's step over a warm worker.
func BenchmarkStep(b *testing.B) {
	j := open(b, newProvider(b, nil))
	c := j.put(hello())
	if _, err := j.Run(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := j.Run(b.Context(), c); err != nil {
			b.Fatal(err)
		}
	}
}
