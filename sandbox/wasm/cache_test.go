package wasm

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	w "otelrunner/sandbox/wasm/wasmtest"
)

// newCache makes a cache whose compiler writes size bytes.
func newCache(t *testing.T, most int64, size int, compiling func(context.Context) error) *cache {
	t.Helper()
	c := &cache{dir: filepath.Join(t.TempDir(), "version"), most: most, log: slog.New(slog.DiscardHandler), turns: NewTurns(100)}
	c.compile = func(ctx context.Context, data []byte, to string) error {
		if compiling != nil {
			if err := compiling(ctx); err != nil {
				return err
			}
		}
		name := filepath.Join(to, "wazero-1", sumOf(data))
		if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		return os.WriteFile(name, make([]byte, size), 0o600)
	}
	return c
}

// nobody is a job whose log nobody reads.
func nobody() asker { return asker{"job", func(string) {}} }

// numbered is a module of its own for each number.
func numbered(n int32) []byte {
	return w.Module{Imports: []w.Import{w.ProcExit()}, Pages: 1, Funcs: []w.Func{{Body: w.Cat(w.Const(n), w.Call(0))}}}.Bytes()
}

// ensured has a module compiled, and returns why it was refused.
func ensured(t *testing.T, c *cache, n int32) string {
	t.Helper()
	v, err := c.ensure(t.Context(), numbered(n), DefaultLimits(), nobody(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.Error
}

// TestCanceledCompile cancels the job for which a module is compiled while another
// one waits for the same.
func TestCanceledCompile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, 0, 10, func(ctx context.Context) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		cause := errors.New("the first job was canceled")
		first, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 2)
		for _, ctx := range []context.Context{first, t.Context()} {
			go func() {
				_, err := c.ensure(ctx, numbered(1), DefaultLimits(), nobody(), nil)
				ended <- err
			}()
			synctest.Wait()
		}
		cancel(cause)
		if err := <-ended; !errors.Is(err, cause) {
			t.Errorf("the first job: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("the other job: %v", err)
		}
	})
}

// TestCacheBound removes what was not used for longest.
func TestCacheBound(t *testing.T) {
	const size = 100_000
	compiled := atomic.Int64{}
	c := newCache(t, 3*size+50_000, size, func(context.Context) error { compiled.Add(1); return nil })
	age := func(by time.Duration, numbers ...int32) {
		at := time.Now().Add(-by)
		c.used = nil
		for _, n := range numbers {
			l := DefaultLimits()
			v, err := c.ensure(t.Context(), numbered(n), l, nobody(), nil)
			if err != nil || v.Error != "" {
				t.Fatal(v.Error, err)
			}
			for _, suffix := range []string{moduleSuffix, manifestSuffix, usedSuffix} {
				if err := os.Chtimes(filepath.Join(c.dir, strings.TrimSuffix(v.File, moduleSuffix)+suffix), at, at); err != nil {
					t.Fatal(err)
				}
			}
			m, err := c.manifest(strings.TrimSuffix(v.File, moduleSuffix))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(filepath.Join(c.dir, m.Entry), at, at); err != nil {
				t.Fatal(err)
			}
		}
		c.used = nil
	}
	for n := range int32(3) {
		if refused := ensured(t, c, n); refused != "" {
			t.Fatal(refused)
		}
	}
	// All are in use: the fourth has no room.
	if refused := ensured(t, c, 3); !strings.Contains(refused, "does not fit into") || !strings.Contains(refused, "sandbox.compiled_size") {
		t.Errorf("one too many is refused with %q", refused)
	}
	age(3*time.Hour, 0)
	age(4*time.Hour, 1)
	age(2*time.Hour, 2)
	if refused := ensured(t, c, 0); refused != "" { // it is used again
		t.Fatal(refused)
	}
	before := compiled.Load()
	if refused := ensured(t, c, 3); refused != "" {
		t.Errorf("with room: %s", refused)
	}
	for n, want := range map[int32]bool{0: true, 1: false, 2: true, 3: true} {
		if got := c.valid(sumOf(numbered(n))); got != want {
			t.Errorf("is module %d there: %v, want %v", n, got, want)
		}
	}
	if n := compiled.Load() - before; n != 1 {
		t.Errorf("%d modules were compiled, want 1", n)
	}
	files, err := filepath.Glob(filepath.Join(c.dir, "*.*"))
	if inner, e := filepath.Glob(filepath.Join(c.dir, "wazero-*", "*")); err != nil || e != nil || len(files) != 3*3 || len(inner) != 3 {
		t.Errorf("there are %q and %q", files, inner)
	}
}

// TestCacheKeepsShell fills the cache with modules of a job, which is no reason to
// remove the shell, nor to refuse it.
func TestCacheKeepsShell(t *testing.T) {
	const size = 100_000
	c := newCache(t, 2*size+50_000, size, nil)
	shell := func() {
		t.Helper()
		v, err := c.ensure(t.Context(), numbered(0), DefaultLimits(), nobody(), func() {})
		if err != nil || v.Error != "" {
			t.Fatalf("the shell: %s, %v", v.Error, err)
		}
	}
	shell()
	entry := filepath.Join(c.dir, sumOf(numbered(0)))
	old := time.Now().Add(-time.Hour)
	files, err := filepath.Glob(filepath.Join(c.dir, "wazero-*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, name := range append(files, entry+moduleSuffix, entry+manifestSuffix, entry+usedSuffix) {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	refused := ensured(t, c, 1) + ensured(t, c, 2)
	if !c.valid(sumOf(numbered(0))) || !strings.Contains(refused, "does not fit into") {
		t.Errorf("the shell is gone; a module too many: %q", refused)
	}
	if err := os.RemoveAll(c.dir); err != nil { // as an operator may
		t.Fatal(err)
	}
	for n := range int32(2) {
		if refused := ensured(t, c, n+1); refused != "" {
			t.Fatal(refused)
		}
	}
	shell()
}

// TestCacheSweep removes what a crash has left, and nothing that is young.
func TestCacheSweep(t *testing.T) {
	c := newCache(t, 1<<30, 10, nil)
	if refused := ensured(t, c, 1); refused != "" {
		t.Fatal(refused)
	}
	old := time.Now().Add(-2 * time.Hour)
	for name, want := range map[string]bool{
		".new-1": true, "0123.wasm": true, "0123.used": true, "compile-1/wazero-1/x": true, "wazero-1/0123": true,
		".new-young": false, "compile-2/x": false, "bad.json": true,
	} {
		full := filepath.Join(c.dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if want {
			for _, at := range []string{full, filepath.Join(c.dir, strings.Split(name, "/")[0])} {
				if err := os.Chtimes(at, old, old); err != nil {
					t.Fatal(err)
				}
			}
		}
		defer func() {
			if _, err := os.Lstat(full); (err != nil) != want {
				t.Errorf("%s: %v; want removed: %v", name, err, want)
			}
		}()
	}
	if refused := ensured(t, c, 2); refused != "" {
		t.Fatal(refused)
	}
	for n := range int32(2) {
		if !c.valid(sumOf(numbered(n + 1))) {
			t.Errorf("module %d is gone", n+1)
		}
	}
}
