package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	w "otelrunner/sandbox/wasm/wasmtest"
)

// The functions that the modules of these tests import, in this order.
const (
	fExit = iota
	fWrite
	fArgs
	fArgsSizes
	fEnv
	fEnvSizes
)

// module is a WASI command whose body may use memory from 2048 on.
func module(data string, body ...[]byte) []byte {
	return w.Module{
		Imports: []w.Import{
			w.ProcExit(), w.WASI("fd_write", 4), w.WASI("args_get", 2), w.WASI("args_sizes_get", 2),
			w.WASI("environ_get", 2), w.WASI("environ_sizes_get", 2),
		},
		Pages: 2, Funcs: []w.Func{{Body: w.Cat(body...)}}, Data: []w.Data{{At: 1024, Data: []byte(data)}},
	}.Bytes()
}

// tell prints the strings that a pair of functions gives, each followed by NUL.
func tell(get, sizes int) []byte {
	return w.Cat(
		w.Const(16), w.Const(20), w.Call(sizes), w.Drop(), w.Const(2048), w.Const(8192), w.Call(get), w.Drop(),
		w.Const(0), w.Const(8192), w.Store(), w.Const(4), w.Const(20), w.Load(), w.Store(),
		w.Const(1), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop())
}

func TestWasm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for name, data := range map[string][]byte{
		"tell.wasm": module("", tell(fArgs, fArgsSizes), tell(fEnv, fEnvSizes), w.Const(7), w.Call(fExit)),
		"ok.wasm":   module(""),
		"loop.wasm": module("", w.Loop()),
		"text.wasm": []byte("(module)"),
	} {
		r.write(name, string(data))
	}
	r.env = append(r.env, "TO_PASS=passed")
	for _, c := range []struct {
		name   string
		args   string // separated by |
		code   int
		stdout string
		stderr string
	}{
		{"arguments and variables", "wasm|run|--env|A=b c|--env=TO_PASS|tell.wasm|--|-x|--env|y z", 7,
			"tell.wasm\x00-x\x00--env\x00y z\x00A=b c\x00", ""},
		{"the variable's value here", "wasm|run|--env|TO_PASS|tell.wasm", 7, "\x00TO_PASS=passed\x00", ""},
		{"no other variable", "wasm|run|tell.wasm", 7, "HOME=/home\x00", ""},
		{"starts in the folder", "wasm|run|--dir|.:/src:ro|tell.wasm", 7, "PWD=/src\x00", ""},
		{"succeeds", "wasm|run|ok.wasm", 0, "", ""},
		{"timeout", "wasm|run|--timeout|200ms|loop.wasm", 1, "", "time limit of 200ms reached"},
		{"memory", "wasm|run|--memory|64k|ok.wasm", 1, "", "memory"},
		{"no module", "wasm|run", 2, "", "takes a module and its arguments"},
		{"not there", "wasm|run|none.wasm", 1, "", "none.wasm: no such file"},
		{"no WebAssembly", "wasm|run|text.wasm", 1, "", "wat2wasm"},
		{"no folder", "wasm|run|--dir|none:/src|ok.wasm", 2, "", "none: no such file"},
		{"its own folder", "wasm|run|--dir|.:/tmp|ok.wasm", 2, "", "is a folder of the sandbox itself"},
		{"bad variable", "wasm|run|--env|NOT_SET_ANYWHERE|ok.wasm", 2, "", "there is no environment variable NOT_SET_ANYWHERE"},
		{"bad memory", "wasm|run|--memory|lots|ok.wasm", 2, "", "expected a size from 64k to 4g"},
		{"bad timeout", "wasm|run|--timeout|0s|ok.wasm", 2, "", "expected a time above 0"},
		{"working folder", "wasm|run|--workdir|/nowhere|ok.wasm", 1, "", "working directory /nowhere does not exist"},
		{"inspect", "wasm|inspect|tell.wasm", 0, "runs     yes", ""},
		{"inspect what does not run", "wasm|inspect|text.wasm", 1, "runs     no: ", ""},
		{"inspect nothing", "wasm|inspect", 2, "", "takes one module, found 0"},
		{"compile", "wasm|compile|tell.wasm|ok.wasm", 0, "ok.wasm: compiled in", ""},
		{"compile what does not run", "wasm|compile|ok.wasm|text.wasm", 1, "ok.wasm: compiled in", "text.wasm: "},
		{"compile nothing", "wasm|compile", 2, "", "takes one module or more"},
		{"a group", "wasm", 0, "inspect", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := *r
			r.t = t
			stdout, stderr, code := r.run(strings.Split(c.args, "|")...)
			if code != c.code {
				t.Errorf("exit code %d, want %d: %s", code, c.code, stderr)
			}
			contains(t, "standard output", stdout, c.stdout)
			contains(t, "standard error", stderr, c.stderr)
			if strings.Contains(c.args, "tell.wasm") && !strings.Contains(c.args, "TO_PASS") && strings.Contains(stdout, "passed") {
				t.Errorf("the module sees the runner's environment: %q", stdout)
			}
		})
	}
	t.Cleanup(func() {
		left, _ := filepath.Glob(filepath.Join(r.dir, "home", ".cache", "otelrunner", "wasm", "jobs", "*"))
		if len(left) > 0 {
			t.Errorf("folders are left: %v", left)
		}
	})
}

func TestWasmInterrupt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.write("loop.wasm", string(module("x", w.Const(0), w.Const(1024), w.Store(), w.Const(4), w.Const(1), w.Store(),
		w.Const(1), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop(), w.Loop())))
	p := r.start("wasm", "run", "loop.wasm")
	deadline := time.Now().Add(time.Minute)
	for p.stdout.String() == "" {
		if time.Now().After(deadline) {
			t.Fatal("the module does not run: " + p.stderr.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if code := p.cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	left, err := os.ReadDir(filepath.Join(r.dir, "home", ".cache", "otelrunner", "wasm", "jobs"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, folders are left: %v", err, left)
	}
}
