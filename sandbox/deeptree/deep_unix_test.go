//go:build unix

package deeptree_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
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

// TestManyNames counts and removes a folder whose folders' names take much memory.
func TestManyNames(t *testing.T) {
	const folders, bound = 10_000, 2 << 20
	dir := t.TempDir()
	long := strings.Repeat("n", 245)
	for i := range folders {
		must(t, os.Mkdir(filepath.Join(dir, long+strconv.Itoa(i)), 0o700))
	}
	root := openRoot(t, dir)
	if got, err := deeptree.CountWithin(t.Context(), root, 1<<30, bound); !errors.Is(err, deeptree.ErrNames) {
		t.Errorf("counted %+v, %v, want the names' error", got, err)
	}
	if got, err := deeptree.Count(t.Context(), root, 1<<30); err != nil || got.Files != folders {
		t.Errorf("counted %+v, %v", got, err)
	}
	taken := peak(func() {
		if got, err := deeptree.RemoveAll(t.Context(), root); err != nil || got.Files != folders {
			t.Errorf("removed %+v, %v", got, err)
		}
	})
	if taken > bound {
		t.Errorf("removing took %d KiB", taken>>10)
	}
	t.Logf("removing took %d KiB", taken>>10)
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
}

// peak is how much more of the heap is used while f runs than before, in bytes, as
// far as looks now and then show it.
func peak(f func()) (taken int64) {
	defer debug.SetGCPercent(debug.SetGCPercent(10)) // what is used and not what was
	runtime.GC()
	used := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // far from the bounds
	}
	before := used()
	done, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-tick.C:
				taken = max(taken, used()-before)
			case <-done:
				tick.Stop()
				return
			}
		}
	}()
	f()
	close(done)
	<-ended
	return taken
}
