package deeptree_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"otelrunner/sandbox/deeptree"
)

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bushy fills a folder with entries of every kind, some of them closed, and says
// what there is. The test ends with all of it gone.
func bushy(t *testing.T, dir string) deeptree.Size {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, "one"), make([]byte, 1000), 0o600))
	must(t, os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "two")))
	size := deeptree.Size{Bytes: 1000, Files: 2}
	for i := range 3000 { // more than are read at a time
		must(t, os.WriteFile(filepath.Join(dir, "f"+strconv.Itoa(i)), []byte("x"), 0))
		size.Bytes, size.Files = size.Bytes+1, size.Files+1
	}
	for _, name := range []string{"a/b/c", "a/d/e", "a/d/f", "closed/in", ".gone-0"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o700))
	}
	size.Files += 9
	if runtime.GOOS != "windows" {
		must(t, os.Symlink("/", filepath.Join(dir, "out")))
		must(t, os.Symlink("a", filepath.Join(dir, "a", "again")))
		size.Files += 2
	}
	must(t, os.WriteFile(filepath.Join(dir, "closed/in/f"), []byte("12345"), 0o600))
	must(t, os.Link(filepath.Join(dir, "one"), filepath.Join(dir, "closed/in/three")))
	size.Bytes, size.Files = size.Bytes+5, size.Files+2
	must(t, os.Chmod(filepath.Join(dir, "closed/in"), 0))
	must(t, os.Chmod(filepath.Join(dir, "closed"), 0))
	return size
}

func TestBushy(t *testing.T) {
	dir := t.TempDir()
	want := bushy(t, dir)
	root := openRoot(t, dir)
	got, err := deeptree.Count(t.Context(), root, 1<<30)
	if err != nil || got != want {
		t.Errorf("counted %+v, %v, want %+v", got, err, want)
	}
	got, err = deeptree.Count(t.Context(), root, 100)
	if !errors.Is(err, deeptree.ErrMany) || got.Files != 101 {
		t.Errorf("of 100 entries at most: %+v, %v", got, err)
	}
	if got, err = deeptree.RemoveAll(t.Context(), root); err != nil || got != want {
		t.Errorf("removed %+v, %v, want %+v", got, err, want)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d entries are left, %v", len(left), err)
	}
	if got, err := deeptree.Count(t.Context(), root, 0); err != nil || got != (deeptree.Size{}) {
		t.Errorf("an empty folder: %+v, %v", got, err)
	}
}

// TestFolder removes a folder that is closed, and one that is not there.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "folder")
	must(t, os.Mkdir(dir, 0o700))
	bushy(t, dir)
	must(t, os.Chmod(dir, 0))
	must(t, deeptree.RemoveFolder(t.Context(), dir))
	must(t, deeptree.RemoveFolder(t.Context(), dir))
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}

// TestEnds ends both with their contexts.
func TestEnds(t *testing.T) {
	dir := t.TempDir()
	bushy(t, dir)
	root := openRoot(t, dir)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := deeptree.Count(ctx, root, 1<<30); !errors.Is(err, cause) {
		t.Errorf("counting: %v", err)
	}
	if _, err := deeptree.RemoveAll(ctx, root); !errors.Is(err, cause) {
		t.Errorf("removing: %v", err)
	}
	must(t, deeptree.RemoveFolder(t.Context(), dir))
}

// within fails a test that has taken too long for work that is linear.
func within(t *testing.T, what string, began time.Time) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %v", what, took)
	if took > 5*time.Minute { // on a machine that has much else to do
		t.Errorf("%s took %v", what, took)
	}
}
