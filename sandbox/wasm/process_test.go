package wasm_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// children are the processes that this one has started and not waited for.
func children(t *testing.T) []int {
	t.Helper()
	var pids []int
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range tasks {
		data, _ := os.ReadFile(name)
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// statusOf is a field of a process in /proc; "" where it is gone.
func statusOf(t *testing.T, pid int, field string) string {
	t.Helper()
	data, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kilobytes is a field of statusOf that is a size.
func kilobytes(t *testing.T, pid int, field string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(statusOf(t, pid, field), " kB"))
	if err != nil {
		t.Fatalf("the worker's %s: %v", field, err)
	}
	return n
}

// worker waits until one process beside others is there, and is not the one called
// not, which it returns.
func worker(t *testing.T, others []int, not int) int {
	t.Helper()
	var pids []int
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		pids = slices.DeleteFunc(children(t), func(pid int) bool { return slices.Contains(others, pid) })
		if len(pids) == 1 && pids[0] != not {
			return pids[0]
		}
	}
	t.Fatalf("the workers are %v, want one that is not %d", pids, not)
	return 0
}

// ready is worker for a spare that the next job takes.
func ready(t *testing.T, p *wasm.Provider, others []int, not int) int {
	t.Helper()
	pid := worker(t, others, not)
	for deadline := time.Now().Add(time.Minute); p.Spares() == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the next spare does not get ready")
		}
	}
	return pid
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); slices.Contains(children(t), pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the process %d is still there", pid)
		}
	}
}

func needProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("looks at processes in /proc")
	}
}

// TestSpare takes a job's worker from the spare, and starts the next when the job
// has ended. A spare that has died is not taken.
func TestSpare(t *testing.T) {
	needProc(t)
	others := children(t)
	p := newProvider(t, func(o *wasm.Options) { o.NoSpare = false })
	if err := p.Warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	spare := 0
	for range 3 {
		spare = ready(t, p, others, spare)
		s, err := p.Open(t.Context(), sandbox.Spec{ID: "spare", Repository: "octo/hello"})
		if err != nil {
			t.Fatal(err)
		}
		j := &job{s, t, &lines{}}
		out, _, _, err := j.run(hello())
		want(t, "output", out, "hello\n")
		want(t, "error", err, nil)
		if !slices.Contains(children(t), spare) {
			t.Error("the spare is gone, and the job has another worker")
		}
		if err := j.Close(t.Context()); err != nil {
			t.Error(err)
		}
		gone(t, spare) // it was the job's
	}
	dead := ready(t, p, others, spare)
	proc, err := os.FindProcess(dead)
	if err == nil {
		err = proc.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	gone(t, dead)
	out, _, _, err := open(t, p).run(hello())
	want(t, "output after the spare's death", out, "hello\n")
	want(t, "error after the spare's death", err, nil)
}

// TestMany runs a thousand steps that use six megabytes each in one worker, which
// keeps none of it.
func TestMany(t *testing.T) {
	needProc(t)
	others := children(t)
	j := open(t, newProvider(t, nil))
	pid := worker(t, others, 0)
	c := j.put(program(0, "", w.Const(98), w.Op(0x40, 0), w.Drop(), w.Const(0), w.Const(7), w.Const(100*65536), w.Op(0xfc, 0x0b, 0)).Bytes())
	var resident, mapped int
	for i := range 1000 {
		if _, err := j.Run(t.Context(), c); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if i == 99 {
			resident, mapped = kilobytes(t, pid, "VmRSS"), kilobytes(t, pid, "VmSize")
		}
	}
	// 900 steps use 5.9 GB, and reserve 4 GiB of addresses each.
	if now := kilobytes(t, pid, "VmRSS"); now > resident+32<<10 {
		t.Errorf("resident memory has grown from %d to %d KiB", resident, now)
	}
	if now := kilobytes(t, pid, "VmSize"); now > mapped+(1<<20) {
		t.Errorf("mapped memory has grown from %d to %d KiB", mapped, now)
	}
}

// TestTimeWhileCompiling has a step that ends for its time while a module is compiled
// for it: the compiler, which may take minutes and gigabytes, ends with the step, or
// each step of a job could leave one behind.
func TestTimeWhileCompiling(t *testing.T) {
	needProc(t)
	others := children(t)
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Limits.Wall = 3 * time.Second }))
	c := j.put(bomb(20_000))
	ours := func() int {
		return len(slices.DeleteFunc(children(t), func(pid int) bool { return slices.Contains(others, pid) }))
	}
	ended := make(chan error, 1)
	go func() {
		_, err := j.Run(context.Background(), c)
		ended <- err
	}()
	most := 0
	for err := error(nil); err == nil; {
		select {
		case err = <-ended:
			if !strings.Contains(fmt.Sprint(err), "time limit of 3s reached") {
				t.Fatalf("error %v", err)
			}
		case <-time.After(5 * time.Millisecond):
			most = max(most, ours())
		}
	}
	if most < 2 {
		t.Fatal("nothing was compiled")
	}
	for deadline := time.Now().Add(10 * time.Second); ours() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d processes are left of a step that has ended", ours())
		}
	}
}

// TestRetire ends the worker, and leaves the job's folder to Close.
func TestRetire(t *testing.T) {
	needProc(t)
	var root string
	others := children(t)
	p := newProvider(t, func(o *wasm.Options) { root = o.Root })
	s, err := p.Open(t.Context(), sandbox.Spec{ID: "retired", Repository: "octo/hello"})
	if err != nil {
		t.Fatal(err)
	}
	pid := worker(t, others, 0)
	if err := s.(sandbox.Retirer).Retire(t.Context()); err != nil {
		t.Error(err)
	}
	gone(t, pid)
	folders := filepath.Join(root, "jobs", "*", "job-*")
	if left, _ := filepath.Glob(folders); len(left) != 2 {
		t.Errorf("after Retire there are %q, want the job's folder and that of its actions", left)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(folders); len(left) > 0 {
		t.Errorf("left after Close: %q", left)
	}
}
