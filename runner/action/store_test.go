package action_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/runner/action"
	"otelrunner/runner/action/actiontest"
)

// Environment of the second process of TestSharedFolder.
const (
	childDir  = "ACTION_TEST_DIR"
	childURL  = "ACTION_TEST_URL"
	childUses = "ACTION_TEST_USES"
)

func TestMain(m *testing.M) {
	if os.Getenv(childDir) != "" {
		os.Exit(childMain())
	}
	os.Exit(m.Run())
}

// childMain fetches with many goroutines, as one of several processes.
func childMain() int {
	f, err := action.New(action.Options{Dir: os.Getenv(childDir)})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if err := fetchMany(f, os.Getenv(childURL), strings.Fields(os.Getenv(childUses))); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// fetchMany runs eight jobs at once and reads every file of every action.
func fetchMany(f *action.Fetcher, url string, uses []string) error {
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() { errs <- fetchAndRead(f, url, uses) }()
	}
	var first error
	for range cap(errs) {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func fetchAndRead(f *action.Fetcher, url string, uses []string) error {
	j := f.Job(action.JobOptions{Bases: action.Bases{Default: url}})
	defer func() { _ = j.Close() }()
	if err := j.Prepare(context.Background(), uses); err != nil {
		return err
	}
	for _, u := range uses {
		ref, err := j.Parse(u)
		if err != nil {
			return err
		}
		a, err := j.Action(context.Background(), ref)
		if err != nil {
			return err
		}
		err = fs.WalkDir(a.Tree, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = fs.ReadFile(a.Tree, name)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", u, err)
		}
	}
	return nil
}

// Many jobs in three processes want the same commits of an empty cache: all get
// them, and each commit is downloaded once.
func TestSharedFolder(t *testing.T) {
	s := newServer(t)
	var uses []string
	for i := range 5 {
		name := fmt.Sprintf("o/r%d", i)
		files := map[string]string{"action.yml": nodeAction}
		for k := range 50 {
			files[fmt.Sprintf("dir%d/file%d", k%7, k)] = strings.Repeat(fmt.Sprint(i, k), 100)
		}
		uses = append(uses, name+"@"+s.Action(name, files))
	}
	dir := t.TempDir()
	var children []*exec.Cmd
	for range 2 {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+s.URL, childUses+"="+strings.Join(uses, " "))
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		children = append(children, c)
	}
	// Two fetchers in one process are as far apart as two processes.
	var wg sync.WaitGroup
	for range 2 {
		f := newFetcher(t, action.Options{Dir: dir})
		wg.Go(func() {
			if err := fetchMany(f, s.URL, uses); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, c := range children {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	if n := len(s.Requests()); n != 2*len(uses) {
		t.Errorf("%d requests for %d commits; each should be downloaded once", n, len(uses))
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) != 0 {
		t.Errorf("%d folders are left aside, %v", len(left), err)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "v1", "*.zip"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The least recently used go first, and what a job has stays.
func TestEviction(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	f := newFetcher(t, action.Options{Dir: dir, MaxBytes: 25_000})
	options := action.JobOptions{Bases: action.Bases{Default: s.URL}}
	fetch := func(name string) *action.Job {
		j := f.Job(options)
		mustGet(t, j, name+"@v1")
		return j
	}
	for _, name := range []string{"o/a", "o/b", "o/c", "o/d"} {
		s.Action(name, map[string]string{"action.yml": nodeAction, "data": strings.Repeat(name, 3000)})
	}
	first := fetch("o/a")
	tree := mustGet(t, first, "o/a@v1").Tree
	for _, name := range []string{"o/b", "o/c", "o/d"} {
		if err := fetch(name).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(entries(t, dir)); n != 2 {
		t.Errorf("%d entries are kept, want 2: the one in use and the last", n)
	}
	if _, err := fs.ReadFile(tree, "data"); err != nil {
		t.Errorf("what is in use cannot be read: %v", err)
	}
	s.Reset()
	if a := mustGet(t, newJob(t, f, options), "o/a@v1"); !a.Cached {
		t.Error("what was in use is gone")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestEvictionByAge(t *testing.T) {
	s := newServer(t)
	s.Action("o/a", map[string]string{"action.yml": nodeAction})
	dir := t.TempDir()
	f := newFetcher(t, action.Options{Dir: dir, MaxAge: time.Hour})
	j := f.Job(action.JobOptions{Bases: action.Bases{Default: s.URL}})
	mustGet(t, j, "o/a@v1")
	old := time.Now().Add(-2 * time.Hour)
	age := func() {
		for _, name := range entries(t, dir) {
			if err := os.Chtimes(name, old, old); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if age(); len(entries(t, dir)) != 1 {
		t.Error("an old entry in use is gone")
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if age(); len(entries(t, dir)) != 0 {
		t.Error("an old entry is still there")
	}
}

// What a crash leaves aside is never taken for an entry, and goes.
func TestCrashLeftovers(t *testing.T) {
	s := newServer(t)
	s.Action("o/a", map[string]string{"action.yml": nodeAction})
	dir := t.TempDir()
	f := newFetcher(t, action.Options{Dir: dir})
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{"fetch-old", "fetch-new", "fetch-bare"} {
		crash := filepath.Join(dir, "tmp", name)
		if err := os.MkdirAll(filepath.Join(crash, "git1"), 0o700); err != nil {
			t.Fatal(err)
		}
		if name != "fetch-bare" {
			if err := os.WriteFile(filepath.Join(crash, "lock"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if name != "fetch-new" {
			if err := os.Chtimes(crash, old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) != 1 || left[0].Name() != "fetch-new" {
		t.Errorf("left are %v, %v; want the one that may still be in use", left, err)
	}
}

// An entry that the disk broke is fetched again.
func TestBrokenEntry(t *testing.T) {
	s := newServer(t)
	sha := s.Action("o/a", map[string]string{"action.yml": nodeAction})
	dir := t.TempDir()
	f := newFetcher(t, action.Options{Dir: dir})
	options := action.JobOptions{Bases: action.Bases{Default: s.URL}}
	if err := f.Job(options).Prepare(t.Context(), []string{"o/a@v1"}); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(string) error{
		"cut":   func(name string) error { return os.Truncate(name, 100) },
		"empty": func(name string) error { return os.Truncate(name, 0) },
		"other": func(name string) error { return os.WriteFile(name, []byte("no archive"), 0o600) },
	} {
		if err := damage(entries(t, dir)[0]); err != nil {
			t.Fatal(err)
		}
		if a := mustGet(t, newJob(t, f, options), "o/a@"+sha); a.Cached {
			t.Errorf("%s: a broken entry was used", name)
		}
		if a := mustGet(t, newJob(t, f, options), "o/a@"+sha); !a.Cached {
			t.Errorf("%s: the entry was not mended", name)
		}
	}
}

// TestRealGit lets git serve, where there is one: its answers differ from ours.
func TestRealGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here")
	}
	url, run := realGit(t, git)
	run("init", "-q", "-b", "main", ".")
	write := func(name, data string) {
		if err := os.WriteFile(filepath.Join(run("rev-parse", "--show-toplevel"), name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("action.yml", nodeAction)
	for i := range 20 {
		write("data", strings.Repeat(fmt.Sprint("line ", i, "\n"), 500))
		run("add", ".")
		run("commit", "-q", "-m", fmt.Sprint("commit ", i))
	}
	middle := run("rev-parse", "HEAD~10")
	tip := run("rev-parse", "HEAD")
	run("tag", "-a", "-m", "x", "v1", middle)
	run("tag", "light", middle)

	for _, allow := range []string{"true", "false"} {
		run("config", "uploadpack.allowAnySHA1InWant", allow)
		j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: url}})
		before := run("rev-parse", "HEAD~3")
		for ref, want := range map[string]string{"v1": middle, "light": middle, "main": tip, before: before} {
			if a := mustGet(t, j, "o/r@"+ref); a.SHA != want || a.Cached && ref != "light" && ref != "v1" {
				t.Errorf("allow %s, %s: got %s, want %s", allow, ref, a.SHA, want)
			}
		}
		_, err = get(t, j, "o/r@"+sha40)
		wantError(t, err, "has no commit "+sha40)
	}
}

func BenchmarkCachedJob(b *testing.B) {
	s := actiontest.NewServer()
	defer s.Close()
	files := map[string]string{"action.yml": nodeAction}
	for k := range 500 {
		files[fmt.Sprintf("dir%d/file%d", k%17, k)] = "x"
	}
	sha := s.Action("o/r", files)
	f, err := action.New(action.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j := f.Job(action.JobOptions{Bases: action.Bases{Default: s.URL}})
		if err := j.Prepare(b.Context(), []string{"o/r@" + sha}); err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
