package runner

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"time"

	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
)

// clangVariable in the environment asks for TestClang, as CI does: it takes a
// minute or two, most of it to compile a module of 72 MiB.
const clangVariable = "OTELRUNNER_TEST_CLANG"

// clangPackage is clang and wasm-ld as one module, from npm's registry.
const clangPackage = "@yowasp/clang@22.0.0-git20542-10"

// TestClang compiles and links a program of C in a job of the WASM sandbox, and
// runs it there.
func TestClang(t *testing.T) {
	t.Parallel()
	if os.Getenv(clangVariable) == "" {
		return // not a skipped test: it is there for whoever asks
	}
	change := wasmOfTests(t)
	files := clangFiles(t)
	c := &jobtest.Case{Name: "clang", Files: map[string]string{
		"bin/clang.wasm":   string(files["package/gen/llvm.core.wasm"]),
		"bin/wasm-ld.wasm": string(files["package/gen/llvm.core.wasm"]),
		"t.c": `#include <stdio.h>
#include <stdlib.h>
int main(int c, char **v) { printf("%d by %s\n", atoi(v[1]) * 7, getenv("WHO")); return 5; }
`,
	}, Workflow: `
on: push
jobs:
  t:
    runs-on: host
    steps:
      - uses: actions/checkout@v4
      - run: echo "$PWD/bin" >> "$GITHUB_PATH"
      - name: compile
        run: clang --target=wasm32-wasip1 --sysroot="$PWD/llvm" -resource-dir="$PWD/llvm" -O2 -c t.c -o t.o
      - name: link
        run: |
          lib=$PWD/llvm/lib
          wasm-ld -m wasm32 -L"$lib/wasm32-wasip1" "$lib/wasm32-wasip1/crt1-command.o" t.o -lc "$lib/wasm32-unknown-wasip1/libclang_rt.builtins.a" -o t.wasm
      - run: ./t.wasm 6
        env: {WHO: the sandbox}
`, Want: jobtest.Want{
		Result: "failure", Steps: []string{"success", "success", "success", "success", "failure"},
		Log: []string{"42 by the sandbox", "##[error]Process completed with exit code 5."},
	}}
	untar(t, bytes.NewReader(files["package/gen/llvm-resources.tar"]), func(name string, data []byte) {
		c.Files[path.Join("llvm", name)] = string(data)
	})
	cfg := suiteConfig(t, t.TempDir())
	cfg.Sandbox.Memory, cfg.Sandbox.ModuleSize, cfg.Sandbox.CompileTime = 2<<30, 128<<20, 15*time.Minute
	r := newRecorders(c)
	o := execOptions(t, c, cfg, r, nil)
	o.seams.wasm = change
	o.Labels = label.List{{Name: "host", Scheme: label.Wasm}}
	result, err := Exec(t.Context(), o)
	checkWorkflow(t, c, result, err, r.outcomes(t))
}

// clangFiles gives the package's files, kept in the user's cache.
func clangFiles(t *testing.T) map[string][]byte {
	t.Helper()
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(user, "otelrunner", "test-clang")
	pattern := filepath.Join(dir, "yowasp-clang-*.tgz")
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "npm", "pack", "--silent", "--pack-destination", dir, clangPackage).CombinedOutput(); err != nil {
			t.Skipf("SKIP: npm does not fetch %s: %v\n%s", clangPackage, err, out)
		}
		found, _ = filepath.Glob(pattern)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	packed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	untar(t, packed, func(name string, data []byte) { files[name] = data })
	return files
}

func untar(t *testing.T, from io.Reader, file func(name string, data []byte)) {
	t.Helper()
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		file(h.Name, data)
	}
}
