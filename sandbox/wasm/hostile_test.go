package wasm_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// attack is a hostile module and how it must end.
type attack struct {
	name   string
	module []byte
	beside []byte // another module, /work/hello/beside.wasm
	limits wasm.Limits

	limit   string // the LimitError's name, "" where none
	says    string // a part of the error, of stderr or of the log
	exit    int    // where there is no error
	refused bool   // it does not run at all
	within  time.Duration
}

// rights to open for reading and writing
const rw = rightsRead | rightsWrite

// fib calls itself twice, n times deep.
func exponential() w.Module {
	m := program(0, "")
	body := w.Cat(w.Get(0), w.If(w.Get(0), w.Const(1), w.Sub(), w.Call(first), w.Get(0), w.Const(1), w.Sub(), w.Call(first)))
	m.Funcs = []w.Func{{Params: []byte{w.I32}, Body: body}, {Body: w.Cat(w.Const(60), w.Call(first))}}
	return m
}

// bomb is a small module that takes the compiler long: many loops, at each of which
// it asks for each of many variables which value it has.
func bomb(loops int) []byte {
	const variables = 1000
	var body []byte
	for i := range loops {
		a, b, c := i%variables, (i*7+1)%variables, (i*13+2)%variables
		body = append(body, w.While(w.Get(a), w.Get(b), w.Add(), w.Set(c), w.Get(b))...)
	}
	for i := range variables {
		body = append(body, w.Cat(w.Get(i), w.Set((i+1)%variables))...)
	}
	return program(variables, "", body).Bytes()
}

// graft makes a tree deeper than paths reach: again and again it makes perTurn folders
// in one another, moves the tree of the turn before into the last, and the whole to
// o. Then it goes on for ever.
func graft(turns int32) []byte {
	const perTurn = 100
	names := strings.Repeat("d/", perTurn)
	// At 1024 d/d/…/d/, behind it o.
	const chain, old = 1024, 1024 + 2*perTurn
	rename := func(from, fromLen, to, toLen int32) []byte {
		return w.Cat(w.Const(3), w.Const(from), w.Const(fromLen), w.Const(3), w.Const(to), w.Const(toLen), w.Call(fRename), w.Drop())
	}
	return program(2, names+"o", w.Const(turns), w.Set(0), w.While(
		w.Const(1), w.Set(1),
		w.While(
			w.Const(3), w.Const(chain), w.Get(1), w.Call(fMkdir), w.Drop(),
			w.Get(1), w.Const(2), w.Add(), w.Tee(1), w.Const(2*perTurn), w.Op(0x48)), // i32.lt_s
		// o to d/…/d/o, of which there is none in the first turn
		rename(old, 1, chain, 2*perTurn+1),
		rename(chain, 1, old, 1),
		w.Get(0), w.Const(1), w.Sub(), w.Tee(0)),
		w.Loop()).Bytes()
}

// letter writes four bits of local 1 to a byte of the name at 1024.
func letter(at, shift int32) []byte {
	return w.Cat(w.Const(1024+at), w.Get(1), w.Const(shift), w.Op(0x76), w.Const(15), w.Op(0x71), w.Const('a'), w.Add(), w.Op(0x3a, 0, 0))
}

// secretText is in a file of this machine that no guest may read.
const secretName = "secret"

const secretText = "the machine's secret"

func attacks(outside string) []attack {
	short := wasm.Limits{Wall: 700 * time.Millisecond}
	cpu := wasm.Limits{CPU: 300 * time.Millisecond}
	startLoop := program(0, "", w.Loop())
	startLoop.Start = true
	bigTable := program(0, "")
	bigTable.Tables = [][2]uint32{{1 << 27}, {1 << 27}, {1 << 27}, {1 << 27}}
	growTable := program(0, "", w.While(w.Op(0xd0, 0x70), w.Const(1<<20), w.Op(0xfc, 15, 0), w.Const(-1), w.Op(0x47)), exit(w.Const(3)))
	growTable.Tables = [][2]uint32{{1, 0}}
	unknown := program(0, "")
	unknown.Imports = append(unknown.Imports, w.Import{Module: "env", Name: "system\n::error::pwned"})
	shared := program(0, "").Bytes()
	shared = bytes.Replace(shared, w.Section(5, []byte{1, 0, 2}), w.Section(5, []byte{1, 3, 1, 2}), 1)
	trap := program(0, "", w.Unreachable())
	trap.Names = map[int]string{first: "x\n::error file=a::pwned\x1b[31m\n##[group]y"}
	exports := program(0, "").Bytes()
	exports = append(exports[:8:8], w.Section(7, w.Cat(w.U(1_000_000), make([]byte, 3_000_000)))...)
	custom := program(0, "")
	custom.Custom = map[string][]byte{"x": make([]byte, 40<<20)}
	const deepest = 600
	good := hello()
	up := strings.Repeat("../", 9) + "etc/passwd"
	slash := int32(strings.LastIndexByte(outside, '/')) //nolint:gosec // short
	path := func(p string) []byte {
		return program(0, p, openat(3, 1024, int32(len(p)), 0, rightsRead), exit()).Bytes() //nolint:gosec // short
	}
	return []attack{
		{name: "endless loop", module: program(0, "", w.Loop()).Bytes(), limits: short, limit: "time", says: "time limit of 700ms reached"},
		{name: "endless loop, CPU", module: program(0, "", w.Loop()).Bytes(), limits: cpu, limit: "cpu", says: "CPU limit of 300ms reached"},
		{name: "exponential calls", module: exponential().Bytes(), limits: short, limit: "time"},
		{name: "exponential calls, CPU", module: exponential().Bytes(), limits: cpu, limit: "cpu"},
		// The engine cannot stop a goroutine in a call, so that a collection waits
		// for it, and everything for the collection: the clock is in the runner.
		{name: "garbage collection during exponential calls", beside: exponential().Bytes(), limits: short, limit: "time", module: parent(request("/work/hello/beside.wasm"),
			w.Loop(printTo(1, 1024, 1))).Bytes()},
		{name: "compile bomb", module: bomb(2000), limits: wasm.Limits{Compile: time.Second}, refused: true, says: "CPU limit of 1s for compiling a module reached", within: 20 * time.Second},
		{name: "atomic wait", module: program(0, "", w.Const(0), w.Const(0), w.Const64(-1), w.Op(0xfe, 1, 2, 0), w.Drop()).Bytes(), refused: true, says: "does not compile"},
		{name: "start section loop", module: startLoop.Bytes(), limits: short, limit: "time"},
		{name: "one hour of poll_oneoff", limits: short, limit: "time", module: program(0, "",
			// one clock subscription: tag 0 at 8, timeout at 24
			w.Const(64+24), w.Const64(int64(time.Hour)), w.Op(0x37, 3, 0),
			w.Const(64+16), w.Const(1), w.Store(),
			w.Const(64), w.Const(256), w.Const(1), w.Const(16), w.Call(fPoll), w.Drop()).Bytes()},
		{name: "memory.fill in a loop", limits: short, limit: "time", module: program(0, "", w.Loop(
			w.Const(1000), w.Op(0x40, 0), w.Drop(), w.Const(0), w.Const(1), w.Op(0x3f, 0), w.Const(16), w.Op(0x74), w.Op(0xfc, 11, 0))).Bytes()},
		{name: "more memory than there is", limit: "memory", says: "memory limit of 64 MiB reached", module: program(0, "",
			w.Const(2000), w.Op(0x40, 0), w.Const(-1), w.Op(0x46), w.If(w.Unreachable())).Bytes()},
		{name: "four huge tables", module: bigTable.Bytes(), refused: true, says: "elements, and the limit is 10000000"},
		{name: "table.grow", module: growTable.Bytes(), exit: 3},
		{name: "fd_renumber to the last descriptor", limit: "", exit: -2, within: 10 * time.Second, module: program(0, "",
			w.Const(3), w.Const(1<<31-1), w.Call(fRenumber), exit()).Bytes()},
		{name: "20,000 opens", limits: wasm.Limits{OpenFiles: 100}, limit: "open-files", says: "limit of 100 open files reached", module: program(1, "f",
			w.While(openat(3, 1024, 1, create, rw), w.Tee(0), w.Op(0x45)), exit(w.Get(0))).Bytes()},
		{name: "a sparse file of 1 TiB", limit: "file-size", says: "file size limit of 1 GiB reached", module: program(0, "sparse",
			openat(3, 1024, 6, create, rw), w.Drop(), w.Const(0), w.Const(1024), w.Store(), w.Const(4), w.Const(1), w.Store(),
			w.Const(16), w.Load(), w.Const(0), w.Const(1), w.Const64(1<<40), w.Const(8), w.Call(fPwrite), w.Call(fExit)).Bytes()},
		{name: "a full disk", limits: wasm.Limits{Disk: 1 << 20}, limit: "disk", says: "disk limit of 1 MiB reached", module: program(1, "big",
			openat(3, 1024, 3, create, rw), w.Drop(), w.Const(0), w.Const(0), w.Store(), w.Const(4), w.Const(65536), w.Store(),
			w.While(w.Const(16), w.Load(), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Tee(0), w.Op(0x45)), exit(w.Get(0))).Bytes()},
		{name: "many folders", limits: wasm.Limits{Files: 300}, limit: "files", says: "limit of 300 files reached", module: program(2, "aaaa",
			w.While(
				// a new name each time: a number in letters
				w.Get(1), w.Const(1), w.Add(), w.Set(1),
				letter(0, 0), letter(1, 4), letter(2, 8),
				w.Const(3), w.Const(1024), w.Const(4), w.Call(fMkdir), w.Tee(0), w.Op(0x45)),
			exit(w.Get(0))).Bytes()},
		{name: "many small files", limits: wasm.Limits{Files: 300}, limit: "files", says: "limit of 300 files reached", module: program(2, "aaaa",
			w.While(
				w.Get(1), w.Const(1), w.Add(), w.Set(1),
				letter(0, 0), letter(1, 4), letter(2, 8),
				openat(3, 1024, 4, create, rw), w.Tee(0), w.Const(16), w.Load(), w.Call(fClose), w.Drop(), w.Op(0x45)),
			exit(w.Get(0))).Bytes()},
		{name: "deep folders", exit: 37, within: 30 * time.Second, module: program(2, strings.Repeat("d/", deepest), // ENAMETOOLONG
			w.While(
				w.Get(1), w.Const(2), w.Add(), w.Set(1),
				w.Const(3), w.Const(1024), w.Get(1), w.Const(1), w.Sub(), w.Call(fMkdir), w.Tee(0), w.Op(0x45)),
			exit(w.Get(0))).Bytes()},
		// The step is killed, so that the runner counts what it has left, and removes it
		// at the end: with paths, that would take minutes and gigabytes.
		{name: "folders moved into one another", limits: wasm.Limits{Wall: 4 * time.Second}, limit: "time", within: 15 * time.Second, module: graft(200)},
		{name: "endless output", limits: wasm.Limits{Output: 1 << 20}, limit: "output", says: "output limit of 1 MiB reached", module: program(0, strings.Repeat("x", 4096), w.Loop(printTo(1, 1024, 4096))).Bytes()},
		{name: "trap with a forged command", module: trap.Bytes(), exit: 134, says: "unreachable"},
		{name: "a component", module: append([]byte("\x00asm\x0d\x00\x01\x00"), good[8:]...), refused: true, says: "component"},
		{name: "truncated", module: good[:len(good)-5], refused: true, says: "truncated"},
		{name: "not a module", module: []byte("<html>"), refused: true, says: "not a WebAssembly module"},
		{name: "unknown import", module: unknown.Bytes(), refused: true, says: "env"},
		{name: "a million exports", module: exports, refused: true, says: "1000000 exports"},
		{name: "huge custom section", module: custom.Bytes(), refused: true, says: "strip"},
		{name: "shared memory", module: shared, refused: true, says: "threads"},
		{name: "invalid code", module: program(0, "", w.Add()).Bytes(), refused: true, says: "does not compile"},
		{name: "/etc/passwd", module: path("etc/passwd"), exit: 44},
		{name: "/etc/passwd/", module: path("etc/passwd/"), exit: 44},
		{name: "/proc/self", module: path("proc/self"), exit: 44},
		{name: "/proc/self/environ", module: path("proc/self/environ"), exit: 44},
		{name: "a link to the secret", exit: 44, module: program(0, outside+"link", // target, then the name
			w.Const(1024), w.Const(int32(len(outside))), w.Const(3), w.Const(1024+int32(len(outside))), w.Const(4), w.Call(fSymlink), w.Drop(),
			openat(3, 1024+int32(len(outside)), 4, 0, rightsRead), exit()).Bytes()},
		{name: "a link to the secret's folder, with slashes", exit: 44, module: program(0, outside[:slash]+"link/"+secretName+"/",
			w.Const(1024), w.Const(slash), w.Const(3), w.Const(1024+slash), w.Const(4), w.Call(fSymlink), w.Drop(),
			openat(3, 1024+slash, 5, 0, rightsRead), w.Const(44), w.Op(0x47), w.If(exit(w.Const(1))),
			openat(3, 1024+slash, int32(len("link/"+secretName)), 0, rightsRead), w.Const(44), w.Op(0x47), w.If(exit(w.Const(2))),
			openat(3, 1024+slash, int32(len("link/"+secretName+"/")), 0, rightsRead), exit()).Bytes()},
		{name: "a link upwards", exit: 63, module: program(0, up+"link", // target, then the name
			w.Const(1024), w.Const(int32(len(up))), w.Const(3), w.Const(1024+int32(len(up))), w.Const(4), w.Call(fSymlink), w.Drop(),
			openat(3, 1024+int32(len(up)), 4, 0, rightsRead), exit()).Bytes()},
	}
}

// TestHostile runs each attack while another job of the same provider goes on.
func TestHostile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), secretName)
	if err := os.WriteFile(secret, []byte(secretText), 0o644); err != nil { //nolint:gosec // the jail shall keep it
		t.Fatal(err)
	}
	for _, a := range attacks(secret) {
		t.Run(a.name, func(t *testing.T) { a.run(t) })
	}
}

func (a attack) run(t *testing.T) {
	p := newProvider(t, func(o *wasm.Options) { o.Limits = a.limits.Or(o.Limits) })
	other, victim := open(t, p), open(t, p)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	steps := 0
	wg.Go(func() {
		c := other.put(hello())
		for {
			var out bytes.Buffer
			c.Stdout = &out
			if _, err := other.Run(context.Background(), c); err != nil || out.String() != "hello\n" {
				t.Errorf("the other job: %q, %v", out.String(), err)
				return
			}
			steps++
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	if len(a.beside) > 0 {
		if err := victim.WriteFiles(t.Context(), []sandbox.File{{Path: "beside.wasm", Data: a.beside}}); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	out, errOut, res, err := victim.run(a.module)
	took := time.Since(start)
	close(stop)
	wg.Wait()
	a.check(t, out, errOut, victim.log.String(), res, err)
	within := a.within
	if within == 0 {
		within = 5 * time.Second
	}
	if took > within {
		t.Errorf("it took %v", took)
	}
	// The job goes on too.
	var next bytes.Buffer
	c := &sandbox.Command{Args: []string{"./next.wasm"}, Files: []sandbox.File{{Path: "next.wasm", Data: hello()}}, Stdout: &next}
	if _, err := victim.Run(context.Background(), c); err != nil || next.String() != "hello\n" {
		t.Errorf("the next step: %q, %v", next.String(), err)
	}
	t.Logf("after %v, with %d steps of the other job: %v, exit code %d, stderr %q", took.Round(time.Millisecond), steps, err, res.ExitCode, errOut)
}

func (a attack) check(t *testing.T, out, errOut, log string, res sandbox.Result, err error) {
	t.Helper()
	all := errOut + log
	if err != nil {
		all += err.Error()
	}
	if !strings.Contains(all, a.says) {
		t.Errorf("%q does not say %q", all, a.says)
	}
	if strings.Contains(out+all, secretText) {
		t.Error("the secret came out")
	}
	for _, bad := range []string{"::error", "\x1b", "##["} {
		if strings.Contains(all, bad) {
			t.Errorf("%q in %q", bad, all)
		}
	}
	var limit *sandbox.LimitError
	var notFound *sandbox.NotFoundError
	switch {
	case a.exit == -2: // however it ends
	case a.limit != "":
		if !errors.As(err, &limit) || limit.Limit != a.limit {
			t.Errorf("error is %v (%T), want the limit %q", err, err, a.limit)
		}
	case a.refused:
		if !errors.As(err, &notFound) {
			t.Errorf("error is %v (%T), want a refusal", err, err)
		}
	default:
		if err != nil {
			t.Errorf("error %v", err)
		}
		if res.ExitCode != a.exit {
			t.Errorf("exit code %d, want %d", res.ExitCode, a.exit)
		}
	}
}
