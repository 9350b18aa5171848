package wasm

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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
	return ensuredFor(t, c, nobody(), n)
}

// ensuredFor is ensured for a job.
func ensuredFor(t *testing.T, c *cache, by asker, n int32) string {
	t.Helper()
	v, held, err := c.ensure(t.Context(), numbered(n), DefaultLimits(), by, nil)
	held.end()
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
				_, held, err := c.ensure(ctx, numbered(1), DefaultLimits(), nobody(), nil)
				held.end()
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

// TestCacheKeepsShell fills the cache with modules of a job, which is no reason to
// remove the shell, nor to refuse it.
func TestCacheKeepsShell(t *testing.T) {
	const size = 100_000
	c := newCache(t, 2*size+50_000, size, nil)
	shell := func() {
		t.Helper()
		v, held, err := c.ensure(t.Context(), numbered(0), DefaultLimits(), nobody(), func() {})
		held.end()
		if err != nil || v.Error != "" {
			t.Fatalf("the shell: %s, %v", v.Error, err)
		}
	}
	shell()
	setAge(t, c, 0, 2*time.Hour)
	for n := range int32(3) {
		if refused := ensured(t, c, n+1); refused != "" {
			t.Error(refused)
		}
		if !c.valid(sumOf(numbered(0))) {
			t.Fatalf("the shell is gone after %d modules", n+1)
		}
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

// setAge makes it that an entry was used last at a time ago.
func setAge(t *testing.T, c *cache, n int32, ago time.Duration) {
	t.Helper()
	hash := sumOf(numbered(n))
	m, err := c.manifest(hash)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-ago)
	for _, name := range []string{hash + moduleSuffix, hash + manifestSuffix, hash + usedSuffix, m.Entry} {
		if err := os.Chtimes(filepath.Join(c.dir, name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	delete(c.used, hash)
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
	c.listed = time.Time{} // a minute is over
	if refused := ensured(t, c, 2); refused != "" {
		t.Fatal(refused)
	}
	for n := range int32(2) {
		if !c.valid(sumOf(numbered(n + 1))) {
			t.Errorf("module %d is gone", n+1)
		}
	}
}
