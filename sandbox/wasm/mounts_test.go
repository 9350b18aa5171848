package wasm_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

func TestParseMount(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]wasm.Mount{
		dir + ":/src":     {Host: dir, Guest: "/src"},
		dir + ":/src:ro":  {Host: dir, Guest: "/src", ReadOnly: true},
		dir + ":/a/b:rw":  {Host: dir, Guest: "/a/b"},
		dir:               {Host: dir, Guest: filepath.ToSlash(dir)},
		dir + ":ro":       {Host: dir, Guest: filepath.ToSlash(dir), ReadOnly: true},
		dir + "/../:/up/": {Host: filepath.Dir(dir), Guest: "/up/"},
	} {
		got, err := wasm.ParseMount(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                "names no folder",
		":/src":           "names no folder",
		dir + "/no:/src":  "no such file",
		file + ":/src":    "is no folder",
		dir + ":/":        "of the sandbox itself",
		dir + ":/tmp/:ro": "of the sandbox itself",
	} {
		if _, err := wasm.ParseMount(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// mountFiles makes a folder with what a guest must and must not reach.
func mountFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{"outside": "secret", "shared/in": "seen"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../outside", filepath.Join(dir, "shared/link")); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "shared")
}

// opener opens a path below the folder where it starts and exits with the errno;
// what it opened to read it prints, what it made it writes "made" to.
func opener(fd int32, name string, flags int32, rights int64) []byte {
	return program(0, "made"+name,
		w.Const(20), openat(fd, 1028, int32(len(name)), flags, rights), w.Store(), //nolint:gosec // short
		w.Const(20), w.Load(), w.If(exit(w.Const(20), w.Load())),
		w.Const(flags), w.If(w.Const(0), w.Const(1024), w.Store(), w.Const(4), w.Const(4), w.Store(),
			w.Const(16), w.Load(), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop(), exit(w.Const(0))),
		w.Const(0), w.Const(2048), w.Store(), w.Const(4), w.Const(100), w.Store(),
		w.Const(16), w.Load(), w.Const(0), w.Const(1), w.Const(8), w.Call(fRead), w.Drop(),
		w.Const(4), w.Const(8), w.Load(), w.Store(),
		w.Const(1), w.Const(0), w.Const(1), w.Const(12), w.Call(fWrite), w.Drop(),
	).Bytes()
}

const (
	errnoPerm = 63
	errnoRofs = 69
	errnoIO   = 29
	mountFD   = 5 // after / and /tools
)

func TestMounts(t *testing.T) {
	dir := mountFiles(t)
	p := newProvider(t, nil)
	run := func(t *testing.T, m []byte, mount wasm.Mount) (string, int) {
		t.Helper()
		var out, errOut bytes.Buffer
		code, err := p.RunModule(t.Context(), wasm.ModuleRun{File: file(t, m), Mounts: []wasm.Mount{mount}, Dir: mount.Guest, Stdout: &out, Stderr: &errOut})
		if err != nil {
			t.Fatalf("%v: %s", err, errOut.String())
		}
		return out.String(), code
	}
	whole := wasm.Mount{Host: dir, Guest: "/deep/src"}
	for _, c := range []struct {
		name  string
		m     []byte
		mount wasm.Mount
		out   string
		code  int
	}{
		{"reads by the mount", opener(mountFD, "in", 0, rightsRead), whole, "seen", 0},
		{"starts in the mount", opener(3, "in", 0, rightsRead), whole, "seen", 0},
		{"no link leads out", opener(mountFD, "link", 0, rightsRead), whole, "", errnoPerm},
		{"no dots lead out", opener(mountFD, "../outside", 0, rightsRead), whole, "", errnoPerm},
		{"makes a file", opener(mountFD, "new", create, rightsWrite), whole, "", 0},
		{"not when read-only", opener(mountFD, "other", create, rightsWrite), wasm.Mount{Host: dir, Guest: "/src", ReadOnly: true}, "", errnoRofs},
		{"reads when read-only", opener(mountFD, "in", 0, rightsRead), wasm.Mount{Host: dir, Guest: "/src", ReadOnly: true}, "seen", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, code := run(t, c.m, c.mount)
			want(t, "output", out, c.out)
			want(t, "exit code", code, c.code)
		})
	}
	if data, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(data) != "made" {
		t.Errorf("the new file: %q, %v", data, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "other")); !os.IsNotExist(err) {
		t.Errorf("the read-only folder has a new file: %v", err)
	}
}

// TestMountQuota lets a folder be full of old files: only new ones count.
func TestMountQuota(t *testing.T) {
	dir := mountFiles(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 4096), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newProvider(t, func(o *wasm.Options) { o.Limits.Files = 12; o.Limits.Disk = 10 << 10 })
	s, err := p.OpenMounts(t.Context(), sandbox.Spec{Repository: "o/r"}, []wasm.Mount{{Host: dir, Guest: "/src"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for _, name := range []string{"f", "g", "h", "i", "j", "k", "l", "m"} {
		if err := s.WriteFiles(t.Context(), []sandbox.File{{Path: "/src/tool.wasm", Data: opener(mountFD, name, create, rightsWrite)}}); err != nil {
			t.Fatal(err)
		}
		res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"/src/tool.wasm"}, Dir: "/src"})
		if err != nil {
			want(t, "exit code", res.ExitCode, errnoIO)
			want(t, "error", err.Error(), "limit of 12 files reached")
			if name < "j" {
				t.Errorf("%s was the one too many", name)
			}
			return
		}
	}
	t.Error("the limit of files was not reached")
}

// TestMountFiles uses the methods of the interface on a mount.
func TestMountFiles(t *testing.T) {
	dir := mountFiles(t)
	s, err := newProvider(t, nil).OpenMounts(t.Context(), sandbox.Spec{Repository: "o/r"}, []wasm.Mount{{Host: dir, Guest: "/src/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := s.WriteFiles(t.Context(), []sandbox.File{{Path: "/src/sub/new", Data: []byte("x")}}); err != nil {
		t.Error(err)
	}
	data, err := s.ReadFile(t.Context(), "/src/in", 10)
	want(t, "content", string(data), "seen")
	want(t, "error", err, nil)
	if _, err := s.ReadFile(t.Context(), "/src/link", 10); err == nil {
		t.Error("a link that leads out was read")
	}
	hash, err := s.HashFiles(t.Context(), "/src", []string{"in"}, false)
	if len(hash) != 64 || err != nil {
		t.Errorf("hash %q, %v", hash, err)
	}
	_, err = s.Run(t.Context(), &sandbox.Command{Args: []string{"sh"}, Dir: "/src", Remove: []string{"/src/sub", "/src/in"}})
	if err == nil {
		t.Error("a shell was found")
	}
	for _, name := range []string{"sub", "in"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	if _, err := fs.Stat(os.DirFS(dir), "link"); err != nil {
		t.Error(err)
	}
}
