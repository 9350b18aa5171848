package cache

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// filesIn are the regular files below a folder.
func filesIn(t *testing.T, dir ...string) (names []string) {
	t.Helper()
	root := filepath.Join(dir...)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

// TestLookup: the exact key before a prefix, the newest of a prefix, one key after the
// other, and one ref after the other.
func TestLookup(t *testing.T) {
	t.Parallel()
	store := openStore(t, testOptions(t))
	_, main := openDoor(t, store, scopeOf("octo/demo", "refs/heads/main"))
	_, feat := openDoor(t, store, scopeOf("octo/demo", "refs/heads/feat", "refs/heads/main"))
	for _, key := range []string{"go-a-2", "go-a-1", "go-b-1", "go"} { // the last is the newest
		main.save(key, "v", "main "+key)
	}
	feat.save("go-b-0", "v", "feat go-b-0")
	main.save("other", "w", "version w")
	for _, c := range []struct {
		from       *client
		keys, want string
	}{
		{main, "go-a-1", "main go-a-1"},
		{main, "go-a-", "main go-a-1"},
		{main, "go", "main go"},
		{main, "g", "main go"},
		{main, "none,go-b-", "main go-b-1"},
		{main, "go-a-,go-b-1", "main go-a-1"},
		{main, " go-b-1 ,", "main go-b-1"},
		{main, "o", ""},
		{main, "GO", ""},
		{feat, "go-b-1", "main go-b-1"}, // no key of its own ref begins so
		{feat, "go-b-,go-a-1", "feat go-b-0"},
		{feat, "go-a-1,go-b-", "feat go-b-0"}, // its own ref comes first, as on GitHub
		{feat, "go-a-9,go-a-", "main go-a-1"},
	} {
		if got := c.from.content(c.keys, "v"); got != c.want {
			t.Errorf("%s: %q, want %q", c.keys, got, c.want)
		}
	}
}

// TestRestart: what was committed is there for the next process, and what was not is
// gone.
func TestRestart(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	first, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	d, c := openDoor(t, first, scopeOf("octo/demo", "refs/heads/main"))
	c.save("k", "v", "content")
	d.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_, c = openDoor(t, openStore(t, o), scopeOf("octo/demo", "refs/heads/main"))
	if got := c.content("k", "v"); got != "content" {
		t.Errorf("%q", got)
	}
}

// killedVariable makes TestKilled the process that is killed.
const killedVariable = "OTELRUNNER_TEST_CACHE_KILLED"

// TestKilled: a process that is killed while it saves leaves what it has committed,
// and the next one on the folder removes the rest; a process that lives keeps its own.
func TestKilled(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	if dir := os.Getenv(killedVariable); dir != "" {
		o.Dir = dir
		_, c := openDoor(t, openStore(t, o), scopeOf("octo/demo", "refs/heads/main"))
		c.save("done", "v", "content")
		_, id := c.reserve("half", "v", 100)
		c.chunk(id, 0, []byte("some"))
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		t.Fatal(err)
	}
	living := openStore(t, o)
	_, c := openDoor(t, living, scopeOf("octo/demo", "refs/heads/main"))
	_, id := c.reserve("mine", "v", 7)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), killedVariable+"="+o.Dir)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "signal: killed") && !strings.Contains(err.Error(), "exit status 1") {
		t.Fatalf("%v\n%s", err, out)
	}
	if left := filesIn(t, o.Dir, "uploads"); len(left) != 4 {
		t.Fatalf("the processes have the files %v, want two uploads and two locks", left)
	}
	_, next := openDoor(t, openStore(t, o), scopeOf("octo/demo", "refs/heads/main"))
	if got := next.content("done", "v"); got != "content" {
		t.Errorf("what was committed: %q", got)
	}
	if left := filesIn(t, o.Dir, "uploads"); len(left) != 3 { // an upload, and two locks
		t.Errorf("left: %v", left)
	}
	next.save("half", "v", "all of it")
	if status := c.chunk(id, 0, []byte("content")); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if status := c.commit(id, 7); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if got := next.content("mine", "v"); got != "content" {
		t.Errorf("what another process has saved: %q", got)
	}
}

// TestBroken: files that are no entries, and entries that lie in another's place, are
// not found; the former are removed.
func TestBroken(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	_, c := openDoor(t, openStore(t, o), scopeOf("octo/demo", "refs/heads/main"))
	c.save("k", "v", "content")
	file := filesIn(t, o.Dir, "entries")[0]
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, broken := range map[string]string{
		"empty": "", "cut": string(data[:len(data)-1]), "cut in front": string(data[1:]), "only the mark": mark,
		"zeros": string(make([]byte, 100)), "a length beyond": "\x7f\xff\xff\xff" + mark, "JSON that is none": "x\x00\x00\x00\x01" + mark,
	} {
		writeFile(t, file, broken)
		if key, _ := c.find("k", "v"); key != "" {
			t.Errorf("%s: %q is found", name, key)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: it is still there: %v", name, err)
		}
	}
	elsewhere := identity{"https://git.example.com", "octo/other", "refs/heads/main", "v", "k"}
	writeFile(t, filepath.Join(o.Dir, "entries", elsewhere.file()), string(data))
	_, other := openDoor(t, openStore(t, o), scopeOf("octo/other", "refs/heads/main"))
	if key, _ := other.find("k", "v"); key != "" {
		t.Errorf("another repository's entry is found as %q", key)
	}
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// age makes an entry's last use lie in the past.
func age(t *testing.T, s *Store, scope Scope, key string, by time.Duration) {
	t.Helper()
	id := identity{scope.Server, scope.Repository, scope.Write, "v", key}
	at := time.Now().Add(-by)
	if err := os.Chtimes(filepath.Join(s.entries, id.file()), at, at); err != nil {
		t.Fatal(err)
	}
}
