package wasm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"otelrunner/sandbox"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// The functions of the host module otelrunner, after those of imports.
const (
	hSpawn = first + iota
	hWrite
	hCloseStdin
	hRead
	hWait
	hKill
	hLastError
)

// parent is a module that spawns the request at 1024 and then does body; address
// 32 has the handle.
func parent(request string, body ...[]byte) w.Module {
	i32 := func(name string, n int) w.Import {
		f := w.WASI(name, n)
		f.Module = "otelrunner"
		return f
	}
	m := program(2, request, append([][]byte{
		w.Const(1024), w.Const(int32(len(request))), w.Const(32), w.Call(hSpawn), w.Set(0), //nolint:gosec // short
		w.Get(0), w.If(w.Const(9000), w.Const(500), w.Const(40), w.Call(hLastError), w.Drop(), relay(1, 9000, 40), exit(w.Get(0))),
	}, body...)...)
	m.Imports = append(m.Imports, i32("spawn", 3), i32("write", 4), i32("close_stdin", 1), i32("read", 5), i32("wait", 2), i32("kill", 1), i32("last_error", 3))
	return m
}

// relay writes as many bytes of memory as the address size says.
func relay(fd, at, size int32) []byte {
	return w.Cat(w.Const(0), w.Const(at), w.Store(), w.Const(4), w.Const(size), w.Load(), w.Store(),
		w.Const(fd), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop())
}

func handle() []byte { return w.Cat(w.Const(32), w.Load()) }

// untilDone calls until the errno is not EAGAIN, and leaves it in local 1.
func untilDone(call ...[]byte) []byte {
	return w.While(w.Cat(call...), w.Tee(1), w.Const(6), w.Op(0x46), w.Call(fYield), w.Drop())
}

func request(path string, args ...string) string {
	data, err := json.Marshal(map[string]any{"path": path, "args": append([]string{path}, args...), "env": []string{"A=b"}, "dir": "/work/hello"})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// drain copies a child's output to stdout until it ends, and exits with its status.
func drain() []byte {
	return w.Cat(
		w.While(
			untilDone(handle(), w.Const(1), w.Const(9000), w.Const(4096), w.Const(40), w.Call(hRead)),
			relay(1, 9000, 40), w.Const(40), w.Load()),
		untilDone(handle(), w.Const(44), w.Call(hWait)),
		exit(w.Const(44), w.Load()),
	)
}

func TestChildren(t *testing.T) {
	j := open(t, newProvider(t, nil))
	put := func(name string, m w.Module) {
		t.Helper()
		if err := j.WriteFiles(t.Context(), []sandbox.File{{Path: name, Data: m.Bytes()}}); err != nil {
			t.Fatal(err)
		}
	}
	put("child.wasm", program(0, "from the child\n", printTo(1, 1024, 15), exit(w.Const(5))))
	put("trap.wasm", program(0, "", w.Unreachable()))
	put("loop.wasm", program(0, "", w.Loop()))
	put("text.wasm", w.Module{Imports: []w.Import{{Module: "env", Name: "x"}}, Funcs: []w.Func{{}}})
	for _, c := range []struct {
		name   string
		module w.Module
		exit   int
		out    string
	}{
		{"output and status", parent(request("/work/hello/child.wasm"), drain()), 5, "from the child\n"},
		{"a trap", parent(request("/work/hello/trap.wasm"), drain()), 134, ""},
		{"no such file", parent(request("/work/hello/none.wasm"), drain()), 44, "none.wasm: no such file"},
		{"no module that runs", parent(request("/work/hello/text.wasm"), drain()), 45, `imports the func "x" of "env"`},
		{"a relative path", parent(request("child.wasm"), drain()), 28, "absolute path"},
		{"no JSON", parent("{", drain()), 28, "not JSON"},
		{"one that computes is left behind", parent(request("/work/hello/loop.wasm"), exit(w.Const(3))), 3, ""},
		{"and killing it changes nothing", parent(request("/work/hello/loop.wasm"), handle(), w.Call(hKill), w.Drop(), exit(w.Const(4))), 4, ""},
		{"no such handle", parent(request("/work/hello/child.wasm"), exit(w.Const(99), w.Const(44), w.Call(hWait))), 8, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errOut, res, err := j.run(c.module.Bytes())
			want(t, "error", err, nil)
			want(t, "exit code", res.ExitCode, c.exit)
			if !strings.Contains(out, c.out) {
				t.Errorf("output %q, stderr %q, want …%s…", out, errOut, c.out)
			}
		})
	}
	out, _, _, err := j.run(hello())
	want(t, "a step after them", fmt.Sprint(out, err), "hello\n<nil>")
}
