package wasm_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"otelrunner/sandbox/wasm"
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
