package wasm_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// TestRealC runs a program of C, built by clang with wasi-libc.
func TestRealC(t *testing.T) {
	module := filepath.Join(t.TempDir(), "words.wasm")
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("SKIP: no clang; Debian has it in clang lld wasi-libc libclang-rt-14-dev-wasm32")
	}
	out, err := exec.CommandContext(t.Context(), "clang", "--target=wasm32-wasi", "-O2", "-o", module, "testdata/words.c").CombinedOutput()
	if err != nil {
		t.Skipf("SKIP: clang builds nothing for wasm32-wasi here: %v\n%s", err, out)
	}
	data, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, newProvider(t, nil))
	c := j.put(data)
	c.Files = []sandbox.File{{Path: "a.txt", Data: []byte("one two\nthree")}, {Path: "/temp/b.txt", Data: []byte("four")}}
	c.Args = append(c.Args, "a.txt", "/temp/b.txt", "/etc/passwd")
	c.Env = map[string]string{"LABEL": "words of"}
	c.Stdin = strings.NewReader("  in  the\tstream ")
	c.Collect = []string{"words.out"}
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	res, err := j.Run(t.Context(), c)
	want(t, "error", err, nil)
	want(t, "exit code", res.ExitCode, 1)
	want(t, "stdout", stdout.String(), "done\n")
	want(t, "stderr", stderr.String(), "/etc/passwd: No such file or directory\n")
	want(t, "words.out", string(res.Collected["words.out"]), "words of stdin 3\na.txt 3\n/temp/b.txt 1\n")
	if res.Usage.PeakMemory < 20<<20 {
		t.Errorf("peak memory is %d", res.Usage.PeakMemory)
	}
}

// TestRealGo runs a program that the go tool has built for wasip1.
func TestRealGo(t *testing.T) {
	data, err := w.BuildProbe()
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Limits.Memory = 256 << 20 }))
	c := j.put(data)
	c.Args = append(c.Args, "env:WORD", "write:sub/f=text", "read:sub/f", "list:sub", "read:/proc/self/environ", "remove:sub/f", "list:sub", "exit:7")
	c.Env = map[string]string{"WORD": "said"}
	var stdout bytes.Buffer
	c.Stdout = &stdout
	res, err := j.Run(t.Context(), c)
	want(t, "error", err, nil)
	want(t, "exit code", res.ExitCode, 7)
	want(t, "stdout", stdout.String(), "probe "+filepath.Base(c.Args[0])+" in hello\nWORD is said\nf holds text\nsub has f\n"+
		"read:/proc/self/environ: open /proc/self/environ: No such file or directory\n")
}
