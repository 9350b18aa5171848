package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == brokenArgument {
		brokenWorker(os.Args[2])
		os.Exit(1)
	}
	name, remove, err := w.BuildWorker()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	workerProgram = name
	status := m.Run()
	remove()
	os.Exit(status)
}

// workerProgram is the worker, built once for all tests.
var workerProgram string //nolint:gochecknoglobals // set by TestMain

// newProvider makes a provider without a spare, so that tests count processes.
func newProvider(t testing.TB, change func(*wasm.Options)) *wasm.Provider {
	t.Helper()
	o := wasm.Options{Root: t.TempDir(), Command: []string{workerProgram}, NoSpare: true, Limits: wasm.Limits{Wall: 20 * time.Second, Memory: 64 << 20}}
	if change != nil {
		change(&o)
	}
	p, err := wasm.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(filepath.Join(o.Root, "jobs"))
		if err != nil || len(left) > 0 {
			t.Errorf("%d folders are left, %v", len(left), err)
		}
	})
	return p
}

var jobs atomic.Int64 //nolint:gochecknoglobals // a source of unique names

// job is an open sandbox with what its log says.
type job struct {
	sandbox.Sandbox
	t   testing.TB
	log *lines
}

type lines struct{ all atomic.Pointer[[]string] }

func (l *lines) add(line string) {
	for {
		old := l.all.Load()
		var next []string
		if old != nil {
			next = append(next, *old...)
		}
		next = append(next, line)
		if l.all.CompareAndSwap(old, &next) {
			return
		}
	}
}

func (l *lines) String() string {
	if all := l.all.Load(); all != nil {
		return strings.Join(*all, "\n")
	}
	return ""
}

func open(t testing.TB, p *wasm.Provider) *job {
	t.Helper()
	log := &lines{}
	s, err := p.Open(t.Context(), sandbox.Spec{ID: fmt.Sprint("t", jobs.Add(1)), Repository: "octo/hello", Log: log.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &job{s, t, log}
}

// put writes a module and returns the command that runs it.
func (j *job) put(m []byte) *sandbox.Command {
	j.t.Helper()
	name := fmt.Sprintf("m%d.wasm", jobs.Add(1))
	if err := j.WriteFiles(context.Background(), []sandbox.File{{Path: name, Data: m}}); err != nil {
		j.t.Fatal(err)
	}
	return &sandbox.Command{Args: []string{"./" + name}}
}

// run runs a module and returns its output.
func (j *job) run(m []byte) (stdout, stderr string, res sandbox.Result, err error) {
	j.t.Helper()
	c := j.put(m)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	res, err = j.Run(context.Background(), c)
	return out.String(), errOut.String(), res, err
}

// The functions that test modules import, in this order.
const (
	fExit = iota
	fWrite
	fRead
	fOpen
	fRenumber
	fClose
	fMkdir
	fPwrite
	fEnviron
	fEnvironSizes
	fPoll
	fYield
	fArgs
	fArgsSizes
	fClock
	fRandom
	fSymlink
	fRename
	first // the module's own first function
)

func imports() []w.Import {
	open := w.WASI("path_open", 9)
	open.Params[5], open.Params[6] = w.I64, w.I64
	pwrite := w.WASI("fd_pwrite", 5)
	pwrite.Params[3] = w.I64
	clock := w.WASI("clock_time_get", 3)
	clock.Params[1] = w.I64
	return []w.Import{
		w.ProcExit(), w.WASI("fd_write", 4), w.WASI("fd_read", 4), open, w.WASI("fd_renumber", 2), w.WASI("fd_close", 1),
		w.WASI("path_create_directory", 3), pwrite, w.WASI("environ_get", 2), w.WASI("environ_sizes_get", 2),
		w.WASI("poll_oneoff", 4), w.WASI("sched_yield", 0), w.WASI("args_get", 2), w.WASI("args_sizes_get", 2), clock, w.WASI("random_get", 2),
		w.WASI("path_symlink", 5), w.WASI("path_rename", 6),
	}
}

// program is a module whose _start is body; memory addresses under 1024 are for
// arguments and results of calls, data starts there.
func program(locals int, data string, body ...[]byte) w.Module {
	return w.Module{
		Imports: imports(), Pages: 2,
		Funcs: []w.Func{{Locals: locals, Body: w.Cat(body...)}},
		Data:  []w.Data{{At: 1024, Data: []byte(data)}},
	}
}

// print writes memory to a file descriptor.
func printTo(fd, at, size int32) []byte {
	return w.Cat(w.Const(0), w.Const(at), w.Store(), w.Const(4), w.Const(size), w.Store(),
		w.Const(fd), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop())
}

// exit ends with the value on the stack.
func exit(status ...[]byte) []byte { return w.Cat(append(status, w.Call(fExit))...) }

// openat opens the path in memory below a preopen (/ is 3), writes the new
// descriptor to address 16, and leaves the errno.
func openat(fd, at, size, flags int32, rights int64) []byte {
	return w.Cat(w.Const(fd), w.Const(1), w.Const(at), w.Const(size), w.Const(flags), w.Const64(rights), w.Const64(0), w.Const(0), w.Const(16), w.Call(fOpen))
}

const (
	create      = 1
	rightsRead  = 1 << 1
	rightsWrite = 1 << 6
)

func hello() []byte { return program(0, "hello\n", printTo(1, 1024, 6)).Bytes() }

func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %#v, want %#v", what, got, want)
	}
}

func TestRun(t *testing.T) {
	j := open(t, newProvider(t, nil))
	for range 3 {
		out, errOut, res, err := j.run(hello())
		want(t, "output", out, "hello\n")
		want(t, "stderr", errOut, "")
		want(t, "exit code", res.ExitCode, 0)
		want(t, "error", err, nil)
		if res.Usage.PeakMemory < 128<<10 {
			t.Errorf("peak memory is %d", res.Usage.PeakMemory)
		}
	}
	for _, code := range []int32{0, 1, 77, 255} {
		_, _, res, err := j.run(program(0, "", exit(w.Const(code))).Bytes())
		want(t, "exit code", res.ExitCode, int(code))
		want(t, "error", err, nil)
	}
}

func TestStdin(t *testing.T) {
	j := open(t, newProvider(t, nil))
	// Copies stdin to stdout until read gives nothing.
	echo := program(0, "", w.While(
		w.Const(0), w.Const(2048), w.Store(), w.Const(4), w.Const(60000), w.Store(),
		w.Const(0), w.Const(0), w.Const(1), w.Const(8), w.Call(fRead), w.Drop(),
		w.Const(4), w.Const(8), w.Load(), w.Store(),
		w.Const(1), w.Const(0), w.Const(1), w.Const(12), w.Call(fWrite), w.Drop(),
		w.Const(8), w.Load(),
	)).Bytes()
	text := strings.Repeat("0123456789abcdef", 20000)
	for _, in := range []string{"", "one\ntwo", text} {
		c := j.put(echo)
		var out bytes.Buffer
		c.Stdin, c.Stdout = strings.NewReader(in), &out
		res, err := j.Run(t.Context(), c)
		want(t, "error", err, nil)
		want(t, "exit code", res.ExitCode, 0)
		if out.String() != in {
			t.Errorf("%d bytes of %d came back", out.Len(), len(in))
		}
	}
	// Without stdin it ends at once, and unread stdin does no harm.
	c := j.put(echo)
	if _, err := j.Run(t.Context(), c); err != nil {
		t.Error(err)
	}
	c = j.put(hello())
	c.Stdin = strings.NewReader(text)
	if _, err := j.Run(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// environ prints the environment, or the arguments.
func environ(sizes, get int) []byte {
	return program(0, "", w.Const(16), w.Const(20), w.Call(sizes), w.Drop(), w.Const(2048), w.Const(8192), w.Call(get), w.Drop(),
		w.Const(0), w.Const(8192), w.Store(), w.Const(4), w.Const(20), w.Load(), w.Store(),
		w.Const(1), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop()).Bytes()
}

func TestEnvironment(t *testing.T) {
	t.Setenv("RUNNER_SECRET", "of the runner")
	j := open(t, newProvider(t, nil))
	c := j.put(environ(fEnvironSizes, fEnviron))
	var out bytes.Buffer
	c.Stdout, c.Env, c.Path, c.Dir = &out, map[string]string{"DECLARED": "a=b\nc"}, []string{"/work/hello/bin"}, "/temp"
	c.Args[0] = "/work/hello/" + c.Args[0]
	if _, err := j.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	all := "\x00" + out.String()
	for _, entry := range []string{"DECLARED=a=b\nc", "PWD=/temp", "HOME=/home", "PATH=/work/hello/bin:/usr/local/bin:/usr/bin:/bin"} {
		if !strings.Contains(all, "\x00"+entry+"\x00") {
			t.Errorf("%q is not in %q", entry, all)
		}
	}
	if strings.Contains(all, "of the runner") || strings.Contains(all, "GOCOVERDIR") {
		t.Errorf("the runner's environment is in %q", all)
	}
	c = j.put(environ(fArgsSizes, fArgs))
	out.Reset()
	c.Stdout, c.Args = &out, append(c.Args, "", "a b", "ä\n")
	if _, err := j.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want(t, "arguments", out.String(), strings.Join(c.Args, "\x00")+"\x00")
}

func TestErrors(t *testing.T) {
	j := open(t, newProvider(t, nil))
	var notFound *sandbox.NotFoundError
	_, err := j.Run(t.Context(), &sandbox.Command{Args: []string{"sh"}})
	if !errors.As(err, &notFound) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("no toolbox: %v", err)
	}
	c := j.put(hello())
	for name, says := range map[string]string{
		"./none.wasm": "./none.wasm: not found in the sandbox; there is no such file",
		"./text":      "./text cannot run: it is no program of a WASM sandbox: those are WebAssembly modules",
	} {
		_, err = j.Run(t.Context(), &sandbox.Command{Args: []string{name}, Files: []sandbox.File{{Path: "text", Data: []byte("words")}}})
		if !errors.As(err, &notFound) || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c.Dir = "nowhere"
	_, err = j.Run(t.Context(), c)
	var dir *sandbox.DirError
	if !errors.As(err, &dir) || dir.Dir != "nowhere" {
		t.Errorf("no folder: %v", err)
	}
	_, err = newProvider(t, nil).Open(t.Context(), sandbox.Spec{Container: &sandbox.Container{Image: "alpine"}})
	if !errors.Is(err, sandbox.ErrUnsupported) {
		t.Errorf("a container: %v", err)
	}
}

func TestCancel(t *testing.T) {
	j := open(t, newProvider(t, nil))
	c := j.put(program(0, "", w.Loop()).Bytes())
	cause := errors.New("stopped")
	for range 3 {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, cause)
		start := time.Now()
		res, err := j.Run(ctx, c)
		cancel()
		want(t, "error", err, cause)
		want(t, "exit code", res.ExitCode, 137)
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("Run took %v", d)
		}
		out, _, _, err := j.run(hello())
		want(t, "output after it", out, "hello\n")
		want(t, "error after it", err, nil)
	}
}

// panics is a writer with a fault.
type panics struct{}

func (panics) Write([]byte) (int, error) { panic("a fault") }

// TestPanic has a fault in what serves a step: it is the step's end, and nobody
// else's.
func TestPanic(t *testing.T) {
	j := open(t, newProvider(t, nil))
	c := j.put(hello())
	c.Stdout = panics{}
	if _, err := j.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the runner failed while it served the step: a fault") {
		t.Errorf("error %v", err)
	}
	out, _, _, err := j.run(hello())
	want(t, "output after it", out, "hello\n")
	want(t, "error after it", err, nil)
}

// TestStuckWriter cancels a step whose output nobody takes.
func TestStuckWriter(t *testing.T) {
	j := open(t, newProvider(t, nil))
	c := j.put(program(0, strings.Repeat("x", 4096), w.Loop(printTo(1, 1024, 4096))).Bytes())
	release := make(chan struct{})
	defer close(release)
	c.Stdout = writerFunc(func(p []byte) (int, error) { <-release; return len(p), nil })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := j.Run(ctx, c)
	want(t, "is the cause", errors.Is(err, context.DeadlineExceeded), true)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("Run took %v", d)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
