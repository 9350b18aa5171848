//go:build unix

package deeptree_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"otelrunner/sandbox/deeptree"
	"otelrunner/sandbox/sandboxtest"
)

// depth is far beyond PATH_MAX and the open files of a process; with the default
// limit of a guest's files twenty times as much can be built, which takes twenty
// times as long.
const depth = 10_000

// TestDeep counts and removes what is deeper than paths and open files reach, in
// little memory.
func TestDeep(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { // before that of TempDir, whose stack and files it would exhaust
		if err := deeptree.RemoveFolder(t.Context(), dir); err != nil {
			t.Log(err)
		}
	})
	want := sandboxtest.Dig(t, dir, depth)
	root := openRoot(t, dir)
	sandboxtest.FewFiles(t)

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	got, err := deeptree.Count(t.Context(), root, 1<<30)
	within(t, "counting", began)
	runtime.ReadMemStats(&after)
	if err != nil || got != want {
		t.Errorf("counted %+v, %v, want %+v", got, err, want)
	}
	if taken := int64(after.HeapSys) - int64(before.HeapSys); taken > 200<<20 { //nolint:gosec // far from the bounds
		t.Errorf("counting took %d MiB", taken>>20)
	}
	began = time.Now()
	got, err = deeptree.RemoveAll(t.Context(), root)
	within(t, "removing", began)
	if err != nil || got != want {
		t.Errorf("removed %+v, %v, want %+v", got, err, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
}
