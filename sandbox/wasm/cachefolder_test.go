package wasm_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// TestOldCaches removes what other versions have compiled and not used for long,
// and works on where its own folder was removed.
func TestOldCaches(t *testing.T) {
	cache := t.TempDir()
	old := time.Now().Add(-8 * 24 * time.Hour)
	for name, at := range map[string]time.Time{"0123456789abcdef": old, "fedcba9876543210": time.Now(), "not-a-version": old} {
		if err := os.MkdirAll(filepath.Join(cache, name, "wazero"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(cache, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	p := newProvider(t, func(o *wasm.Options) { o.Cache = cache })
	for name, there := range map[string]bool{"0123456789abcdef": false, "fedcba9876543210": true, "not-a-version": true} {
		if _, err := os.Stat(filepath.Join(cache, name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 2 {
		j := open(t, p)
		out, _, _, err := j.run(hello())
		want(t, "output", out, "hello\n")
		want(t, "error", err, nil)
		all, _ := filepath.Glob(filepath.Join(cache, "*"))
		for _, dir := range all {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCacheOfHostileJob has a job fill the cache of compiled modules, while another one
// brings its first.
func TestCacheOfHostileJob(t *testing.T) {
	p := newProvider(t, func(o *wasm.Options) { o.CompiledSize = 4 << 20 })
	large := func(n byte) []byte {
		m := program(0, "large\n", printTo(1, 1024, 6))
		m.Custom = map[string][]byte{"pad": bytes.Repeat([]byte{n}, 1<<20)}
		return m.Bytes()
	}
	hostile, other := open(t, p), open(t, p)
	for n := range byte(8) {
		out, _, _, err := hostile.run(large(n))
		want(t, "output of the hostile job", out, "large\n")
		want(t, "error", err, nil)
		if n < 3 || n > 5 {
			continue
		}
		out, _, _, err = other.run(large(100 + n))
		want(t, "output of the other job", out, "large\n")
		want(t, "error", err, nil)
	}
}

// TestCacheOfRunningModule gives the room of a module that runs to that of another
// job: what runs is in its worker's memory.
func TestCacheOfRunningModule(t *testing.T) {
	p := newProvider(t, func(o *wasm.Options) { o.CompiledSize = 1 << 20 })
	pad := bytes.Repeat([]byte{1}, 600<<10)
	waits := program(0, "waits\nended\n", printTo(1, 1024, 6), w.Const(0), w.Const(16), w.Store(), w.Const(4), w.Const(8), w.Store(),
		w.Const(0), w.Const(0), w.Const(1), w.Const(8), w.Call(fRead), w.Drop(), printTo(1, 1030, 6))
	waits.Custom = map[string][]byte{"pad": pad}
	one := open(t, p)
	c := one.put(waits.Bytes())
	stdin, typed := io.Pipe()
	out := &notifyWriter{told: make(chan string, 2)}
	c.Stdin, c.Stdout = stdin, out
	ended := make(chan error)
	go func() {
		_, err := one.Run(t.Context(), c)
		ended <- err
	}()
	want(t, "output of the module that runs", <-out.told, "waits\n")
	m := program(0, "", printTo(1, 1024, 0))
	m.Custom = map[string][]byte{"pad": pad}
	_, _, _, err := open(t, p).run(m.Bytes())
	want(t, "error of the other job", err, nil)
	if err := typed.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, "error of the first job", <-ended, nil)
	want(t, "its output", <-out.told, "ended\n")
}

// notifyWriter sends what is written.
type notifyWriter struct{ told chan string }

func (n *notifyWriter) Write(b []byte) (int, error) {
	n.told <- string(b)
	return len(b), nil
}
