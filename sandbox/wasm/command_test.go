package wasm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

func file(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tool.wasm")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRunModule(t *testing.T) {
	p := newProvider(t, nil)
	var out bytes.Buffer
	code, err := p.RunModule(t.Context(), wasm.ModuleRun{File: file(t, environ(fArgsSizes, fArgs)), Args: []string{"a", "b c"}, Stdout: &out, Stderr: &out})
	want(t, "exit code", code, 0)
	want(t, "error", err, nil)
	want(t, "output", out.String(), "/temp/tool.wasm\x00a\x00b c\x00")
	code, err = p.RunModule(t.Context(), wasm.ModuleRun{File: file(t, program(0, "", exit(w.Const(9))).Bytes())})
	want(t, "exit code", code, 9)
	want(t, "error", err, nil)
	_, err = p.RunModule(t.Context(), wasm.ModuleRun{File: file(t, []byte("(module)"))})
	if err == nil || !strings.Contains(err.Error(), "wat2wasm") || strings.Contains(err.Error(), "PATH") {
		t.Errorf("error %v", err)
	}
	if err := p.CompileModule(t.Context(), file(t, hello())); err != nil {
		t.Error(err)
	}
	if err := p.CompileModule(t.Context(), file(t, program(0, "", w.Add()).Bytes())); err == nil || !strings.Contains(err.Error(), "does not compile") {
		t.Errorf("error %v", err)
	}
}

func TestInspectModule(t *testing.T) {
	var out bytes.Buffer
	runs, err := wasm.InspectModule(&out, file(t, hello()), wasm.Limits{})
	want(t, "runs", runs, true)
	want(t, "error", err, nil)
	for _, part := range []string{"memory   128 KiB at the start", "imports  wasi_snapshot_preview1: proc_exit fd_write", "exports  func _start", "runs     yes"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is not in\n%s", part, out.String())
		}
	}
	out.Reset()
	bad := program(0, "")
	bad.Imports = append(bad.Imports, w.Import{Module: "env", Name: "x\x1b::error::y"})
	runs, err = wasm.InspectModule(&out, file(t, bad.Bytes()), wasm.Limits{})
	want(t, "runs", runs, false)
	want(t, "error", err, nil)
	if !strings.Contains(out.String(), "runs     no: it imports") || strings.ContainsAny(out.String(), "\x1b") || strings.Contains(out.String(), "::") {
		t.Errorf("%q", out.String())
	}
}
