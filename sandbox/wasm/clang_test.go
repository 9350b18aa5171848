package wasm_test

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
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/wasmtest"
)

// clangVariable in the environment asks for TestClang: it takes minutes, most of
// them to compile a module of 72 MiB.
const clangVariable = "OTELRUNNER_TEST_CLANG"

// clangPackage is clang and wasm-ld as one module, from npm's registry.
const clangPackage = "@yowasp/clang@22.0.0-git20542-10"

// TestClang compiles and links a program of C in the sandbox, and runs it there.
func TestClang(t *testing.T) {
	if os.Getenv(clangVariable) == "" {
		return // not a skipped test: CI asks for all that it can run in its time
	}
	files := clangFiles(t)
	cache, err := wasmtest.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t, func(o *wasm.Options) {
		o.Cache = cache
		o.Limits = wasm.Limits{Wall: 20 * time.Minute, Compile: 15 * time.Minute, Memory: 2 << 30, ModuleSize: 128 << 20}
	})
	j := open(t, p)
	resources := fstest.MapFS{}
	untar(t, bytes.NewReader(files["package/gen/llvm-resources.tar"]), func(name string, data []byte) {
		resources[path.Clean(name)] = &fstest.MapFile{Data: data, Mode: 0o644}
	})
	root, err := j.Stage(t.Context(), "clang", resources)
	if err != nil {
		t.Fatal(err)
	}
	llvm := files["package/gen/llvm.core.wasm"]
	source := "#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v) { printf(\"%d by %s\\n\", atoi(v[1]) * 7, getenv(\"WHO\")); return 5; }\n"
	if err := j.WriteFiles(t.Context(), []sandbox.File{
		{Path: "clang.wasm", Data: llvm}, {Path: "wasm-ld.wasm", Data: llvm}, {Path: "t.c", Data: []byte(source)},
	}); err != nil {
		t.Fatal(err)
	}
	lib := root + "/lib/wasm32-wasip1"
	for _, step := range []struct {
		args string
		code int
		out  string
	}{
		{"./clang.wasm --target=wasm32-wasip1 --sysroot=" + root + " -resource-dir=" + root + " -O2 -c t.c -o t.o", 0, ""},
		{"./clang.wasm --target=wasm32-wasip1 --sysroot=" + root + " -resource-dir=" + root + " -O0 -S t.c -o t.s", 0, ""},
		{"./wasm-ld.wasm -m wasm32 -L" + lib + " " + lib + "/crt1-command.o t.o -lc " + root + "/lib/wasm32-unknown-wasip1/libclang_rt.builtins.a -o t.wasm", 0, ""},
		{"./t.wasm 6", 5, "42 by the sandbox\n"},
	} {
		var out bytes.Buffer
		began := time.Now()
		res, err := j.Run(t.Context(), &sandbox.Command{Args: strings.Fields(step.args), Env: map[string]string{"WHO": "the sandbox"}, Stdout: &out, Stderr: &out})
		t.Logf("%.40s…: %v, %v of CPU time, %d MiB", step.args, time.Since(began).Round(time.Millisecond), res.Usage.CPU.Round(time.Millisecond), res.Usage.PeakMemory>>20)
		if err != nil || res.ExitCode != step.code || out.String() != step.out {
			t.Fatalf("%s: exit code %d, %v\n%s", step.args, res.ExitCode, err, out.String())
		}
	}
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
