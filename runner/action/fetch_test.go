package action_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"otelrunner/runner/action"
	"otelrunner/runner/action/actiontest"
)

const nodeAction = "name: A\nruns: {using: node20, main: x.js}\n"

func newServer(t *testing.T) *actiontest.Server {
	t.Helper()
	s := actiontest.NewServer()
	t.Cleanup(s.Close)
	return s
}

func newFetcher(t *testing.T, o action.Options) *action.Fetcher {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.RetryWait == 0 {
		o.RetryWait = time.Microsecond
	}
	f, err := action.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// lines collects a job's log.
type lines struct {
	mu   sync.Mutex
	list []string
}

func (l *lines) add(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, s)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.list...)
}

func newJob(t *testing.T, f *action.Fetcher, o action.JobOptions) *action.Job {
	t.Helper()
	j := f.Job(o)
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func get(t *testing.T, j *action.Job, uses string) (*action.Action, error) {
	t.Helper()
	ref, err := j.Parse(uses)
	if err != nil {
		t.Fatal(err)
	}
	return j.Action(t.Context(), ref)
}

func mustGet(t *testing.T, j *action.Job, uses string) *action.Action {
	t.Helper()
	a, err := get(t, j, uses)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("got error %q\nwithout %q", err, p)
		}
	}
}

// Every form of a ref gives its commit, and the tree of it.
func TestRefs(t *testing.T) {
	s := newServer(t)
	repo := s.Repo("o/r")
	first := repo.Commit(actiontest.Text(map[string]string{"action.yml": nodeAction, "v": "1"}))
	second := repo.Commit(actiontest.Text(map[string]string{"action.yml": nodeAction, "v": "2"}))
	third := repo.Commit(actiontest.Text(map[string]string{"action.yml": nodeAction, "v": "3"}))
	repo.Tag("v1", first).Branch("v1", second).Branch("feature/x", second).Branch("deadbeef", first)
	annotated := repo.AnnotatedTag("v2", second)

	for ref, want := range map[string]string{
		"v1":                    first, // a tag goes before a branch
		"refs/heads/v1":         second,
		"refs/tags/v1":          first,
		"feature/x":             second,
		"deadbeef":              first,
		"v2":                    second,
		"main":                  third,
		"HEAD":                  third,
		first:                   first, // no ref is needed for a full SHA
		strings.ToUpper(second): second,
	} {
		t.Run(ref, func(t *testing.T) {
			j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
			a := mustGet(t, j, "o/r@"+ref)
			if a.SHA != want || a.Cached {
				t.Errorf("got %s (cached %v), want %s", a.SHA, a.Cached, want)
			}
			v, err := fs.ReadFile(a.Tree, "v")
			if content := map[string]string{first: "1", second: "2", third: "3"}[want]; err != nil || string(v) != content {
				t.Errorf("got contents %q, %v; want %s", v, err, content)
			}
			if a.Metadata.Name != "A" || a.Size == 0 {
				t.Errorf("got %+v", a)
			}
		})
	}
	t.Run("the id of an annotated tag", func(t *testing.T) {
		j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
		if v, err := fs.ReadFile(mustGet(t, j, "o/r@"+annotated).Tree, "v"); err != nil || string(v) != "2" {
			t.Errorf("got %q, %v", v, err)
		}
	})
}

func TestModesAndNotes(t *testing.T) {
	s := newServer(t)
	repo := s.Repo("o/r")
	files := actiontest.Text(map[string]string{
		"sub/action.yaml": nodeAction, "dir/deep/f": "deep",
		"big.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
	})
	files.With("bin/run", filemode.Executable, "#!/bin/sh\n").
		With("link", filemode.Symlink, "dir/deep").
		With("dir/up", filemode.Symlink, "../bin/run").
		With("dangling", filemode.Symlink, "dir/none").
		With("absolute", filemode.Symlink, "/etc/passwd").
		With("out", filemode.Symlink, "../../etc/passwd").
		With("a/b/top", filemode.Symlink, "../..").
		With("a/sneaky", filemode.Symlink, "b/top/../x").
		With("through", filemode.Symlink, "a/sneaky").
		With("module", filemode.Submodule, sha40)
	repo.Branch("main", repo.Commit(files))
	log := &lines{}
	j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}, Log: log.add})
	a := mustGet(t, j, "o/r/sub@main")

	got := map[string]string{}
	err := fs.WalkDir(a.Tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		got[name] = info.Mode().String()
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := fs.ReadLink(a.Tree, name)
			if err != nil {
				return err
			}
			got[name] += " " + target
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dir, file, link := "drwxr-xr-x", "-rw-r--r--", "Lrwxrwxrwx "
	want := map[string]string{
		".": dir, "sub": dir, "sub/action.yaml": file, "dir": dir, "dir/deep": dir, "dir/deep/f": file, "big.bin": file,
		"bin": dir, "bin/run": "-rwxr-xr-x", "link": link + "dir/deep", "dir/up": link + "../bin/run",
		"dangling": link + "dir/none", "a": dir, "a/b": dir, "a/b/top": link + "../..", "module": dir,
		"through": link + "a/sneaky",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]string{"link/f": "deep", "dir/up": "#!/bin/sh\n", "a/b/top/dir/deep/f": "deep"} {
		if data, err := fs.ReadFile(a.Tree, name); err != nil || string(data) != want {
			t.Errorf("%s: got %q, %v", name, data, err)
		}
	}
	for _, note := range []string{
		`1 submodule ("module") not fetched, as on GitHub`,
		`1 file ("big.bin") left as a pointer: Git LFS is not fetched`,
		`3 symbolic links ("a/sneaky") left out, which would lead out of the repository`,
	} {
		if !strings.Contains(log.all()[0], note) {
			t.Errorf("the line %q\nhas no %q", log.all()[0], note)
		}
	}
}

func TestRawTreesRefused(t *testing.T) {
	s := newServer(t)
	for name, want := range map[string]string{
		"..": "names no file", ".": "names no file", "a/b": "holds a separator", ".git": "git reserves", ".GIT": "git reserves",
	} {
		repo := s.Repo("o/r")
		blob := plumbing.NewHash(repo.Blob("x"))
		repo.CommitTree(repo.RawTree(
			object.TreeEntry{Name: "action.yml", Mode: filemode.Regular, Hash: plumbing.NewHash(repo.Blob(nodeAction))},
			object.TreeEntry{Name: name, Mode: filemode.Regular, Hash: blob},
		))
		j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
		_, err := get(t, j, "o/r@main")
		wantError(t, err, want, "it is not unpacked")
	}
	repo := s.Repo("o/twice")
	blob := plumbing.NewHash(repo.Blob("x"))
	repo.CommitTree(repo.RawTree(
		object.TreeEntry{Name: "a", Mode: filemode.Symlink, Hash: blob},
		object.TreeEntry{Name: "a", Mode: filemode.Regular, Hash: blob},
	))
	j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
	_, err := get(t, j, "o/twice@main")
	wantError(t, err, "twice")
}

// A job whose actions are pinned and cached asks nobody; a ref that can move
// costs one request a job.
func TestRequestCounts(t *testing.T) {
	s := newServer(t)
	sha := s.Action("o/r", map[string]string{"action.yml": nodeAction, "sub/action.yml": nodeAction})
	f := newFetcher(t, action.Options{})
	options := action.JobOptions{Bases: action.Bases{Default: s.URL}}
	prepare := func(want int, uses ...string) {
		t.Helper()
		s.Reset()
		if err := newJob(t, f, options).Prepare(t.Context(), uses); err != nil {
			t.Fatal(err)
		}
		if got := len(s.Requests()); got != want {
			t.Errorf("%q: %d requests, want %d: %+v", uses, got, want, s.Requests())
		}
	}
	prepare(2, "o/r@"+sha)
	prepare(0, "o/r@"+sha, "o/r/sub@"+sha)
	prepare(1, "o/r@v1", "o/r/sub@v1", "o/r@v1")
	moved := s.Repo("o/r").Commit(actiontest.Text(map[string]string{"action.yml": nodeAction, "new": ""}))
	s.Repo("o/r").Tag("v1", moved)
	prepare(2, "o/r@v1")
	prepare(0, "o/r@"+moved)

	j := newJob(t, f, options)
	if a := mustGet(t, j, "o/r@v1"); a.SHA != moved {
		t.Errorf("the moved tag gives %s", a.SHA)
	}
	s.Repo("o/r").Tag("v1", sha)
	s.Reset()
	if a := mustGet(t, j, "o/r@v1"); a.SHA != moved || len(s.Requests()) != 0 {
		t.Errorf("within a job a ref moved to %s, or was asked again (%d requests)", a.SHA, len(s.Requests()))
	}
}

func TestPrepareNestedAndLog(t *testing.T) {
	s := newServer(t)
	leaf := s.Action("o/leaf", map[string]string{"action.yml": nodeAction})
	top := s.Action("o/top", map[string]string{"action.yml": `
runs:
  using: composite
  steps:
    - uses: o/leaf@v1
    - uses: ./local
    - uses: docker://alpine
    - uses: o/${{ inputs.which }}@v1
    - {run: x, shell: sh}
`})
	log := &lines{}
	f := newFetcher(t, action.Options{})
	options := action.JobOptions{Bases: action.Bases{Default: s.URL}, Log: log.add}
	j := newJob(t, f, options)
	if err := j.Prepare(t.Context(), []string{"o/top@v1", "./x", "docker://x", "o/top@v1"}); err != nil {
		t.Fatal(err)
	}
	got := log.all()
	if len(got) != 2 || !strings.HasPrefix(got[0], "o/top@v1 → "+top+" (fetched in ") ||
		!strings.HasPrefix(got[1], "o/leaf@v1 → "+leaf+" (fetched in ") || !strings.Contains(got[1], " ms, 42 B)") {
		t.Errorf("got %q", got)
	}
	log2 := &lines{}
	options.Log = log2.add
	if err := newJob(t, f, options).Prepare(t.Context(), []string{"o/leaf@v1"}); err != nil {
		t.Fatal(err)
	}
	if want := "o/leaf@v1 → " + leaf + " (cached, 42 B)"; log2.all()[0] != want {
		t.Errorf("got %q, want %q", log2.all()[0], want)
	}

	s.Action("o/circle", map[string]string{"action.yml": "runs: {using: composite, steps: [{uses: o/circle@v1}]}"})
	wantError(t, newJob(t, f, options).Prepare(t.Context(), []string{"o/circle@v1"}), "o/circle@v1: composite actions nest deeper than 10")

	// Ten levels are GitHub's bound.
	s.Action("o/level10", map[string]string{"action.yml": nodeAction})
	for level := 9; level >= 0; level-- {
		s.Action(fmt.Sprint("o/level", level), map[string]string{
			"action.yml": fmt.Sprintf("runs: {using: composite, steps: [{uses: o/level%d@v1}]}", level+1),
		})
	}
	if err := newJob(t, f, options).Prepare(t.Context(), []string{"o/level1@v1"}); err != nil {
		t.Errorf("ten levels: %v", err)
	}
	wantError(t, newJob(t, f, options).Prepare(t.Context(), []string{"o/level0@v1"}), "o/level10@v1: composite actions nest deeper")

	err := newJob(t, f, options).Prepare(t.Context(), []string{"o/none@v1", "o/leaf@v1", "bad", "o/leaf@v7"})
	wantError(t, err, "o/none@v1: the repository", `"bad" has no @ref`, `o/leaf@v7: `+s.URL+`/o/leaf has no tag or branch "v7"`)
}

func TestNotFound(t *testing.T) {
	s := newServer(t)
	repo := s.Repo("o/r")
	sha := repo.Commit(actiontest.Text(map[string]string{"README": "x", "file/action.yml": "oops: [", "docker/Dockerfile": "FROM x"}))
	repo.Tag("v1.2.0", sha).Tag("v1.3.0", sha).Tag("v10", sha).Branch("feature", sha)
	j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
	for uses, parts := range map[string][]string{
		"o/none@v1":                      {"o/none@v1: the repository " + s.URL + "/o/none was not found", "check owner, name and address"},
		"o/r@v1":                         {`o/r has no tag or branch "v1"; did you mean v1.2.0, v1.3.0, v10?`},
		"o/r@1.2.0":                      {"did you mean v1.2.0"},
		"o/r@featrue":                    {"did you mean feature?"},
		"o/r@zzzzzzzzz":                  {"check the part after the '@'"},
		"o/r@" + sha[:7]:                 {"shortened commit SHA, that is not supported: use the full one, " + sha},
		"o/r@0000000":                    {"use the full one, its 40 digits"},
		"o/r@" + sha40:                   {"has no commit " + sha40},
		"o/r@v1.2.0":                     {"no action.yml, action.yaml or Dockerfile at the top of " + s.URL + "/o/r at " + sha},
		"o/r/none@v1.2.0":                {"there is no folder none in " + s.URL + "/o/r at " + sha},
		"o/r/README@v1.2.0":              {"there is no folder README"},
		"o/r/file@v1.2.0":                {"o/r/file@v1.2.0: file/action.yml:"},
		"o/r@" + strings.Repeat("a", 64): {"SHA-256"},
	} {
		_, err := get(t, j, uses)
		wantError(t, err, parts...)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: more than a sentence: %q", uses, err)
		}
	}
	if a := mustGet(t, j, "o/r/docker@v1.2.0"); a.Metadata.Runs.Using != action.DockerImage || a.Metadata.Runs.Image != "Dockerfile" {
		t.Errorf("a Dockerfile alone: %+v", a.Metadata)
	}
}

// The commit of a server that hands out tips only is found in their history.
func TestTipsOnly(t *testing.T) {
	s := newServer(t)
	repo := s.Repo("o/r").TipsOnly()
	old := repo.Commit(actiontest.Text(map[string]string{"action.yml": nodeAction}))
	repo.Commit(actiontest.Text(map[string]string{"action.yml": nodeAction, "x": ""}))
	j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
	if a := mustGet(t, j, "o/r@"+old); a.SHA != old {
		t.Errorf("got %s", a.SHA)
	}
	_, err := get(t, j, "o/r@"+sha40)
	wantError(t, err, "has no commit "+sha40)

	s.Repo("o/deep").NoShallow().Commit(actiontest.Text(map[string]string{"action.yml": nodeAction}))
	mustGet(t, j, "o/deep@main")
	tagged := s.Repo("o/tag").TipsOnly()
	tagged.AnnotatedTag("v1", tagged.Commit(actiontest.Text(map[string]string{"action.yml": nodeAction})))
	mustGet(t, j, "o/tag@v1")
}

func TestTemporaryFailures(t *testing.T) {
	s := newServer(t)
	s.Action("o/r", map[string]string{"action.yml": nodeAction, "big": strings.Repeat("0123456789", 100_000)})
	cut := func(path string) func() {
		return func() {
			var once sync.Once
			s.Fault(func(w http.ResponseWriter, r *http.Request) bool {
				hit := false
				if strings.HasSuffix(r.URL.Path, path) {
					once.Do(func() { hit = true })
				}
				if hit {
					w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
					_, _ = w.Write([]byte("00"))
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
				return false
			})
		}
	}
	for name, fault := range map[string]func(){
		"503":      func() { s.FailNext(2, http.StatusServiceUnavailable) },
		"429":      func() { s.FailNext(3, http.StatusTooManyRequests) },
		"cut refs": cut("/info/refs"),
		"cut pack": cut("/git-upload-pack"),
	} {
		t.Run(name, func(t *testing.T) {
			fault()
			j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
			mustGet(t, j, "o/r@v1")
		})
	}
}

// A moving ref is never taken from the cache while its server is away; a full
// SHA is.
func TestServerAway(t *testing.T) {
	s := newServer(t)
	sha := s.Action("o/r", map[string]string{"action.yml": nodeAction})
	f := newFetcher(t, action.Options{})
	options := action.JobOptions{Bases: action.Bases{Default: s.URL}}
	mustGet(t, newJob(t, f, options), "o/r@v1")
	s.FailNext(1000, http.StatusBadGateway)
	_, err := get(t, newJob(t, f, options), "o/r@v1")
	wantError(t, err, s.URL+"/o/r cannot be reached after 4 attempts", "502", `which commit "v1" names now is not known`, "pin a full commit SHA")
	mustGet(t, newJob(t, f, options), "o/r@"+sha)

	s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = fmt.Fprint(w, "<html>Welcome</html>")
		return true
	})
	_, err = get(t, newJob(t, f, options), "o/r@v1")
	wantError(t, err, "does not answer as a git server does")
}

func TestStallAndCancel(t *testing.T) {
	s := newServer(t)
	s.Action("o/r", map[string]string{"action.yml": nodeAction})
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	s.Fault(func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
		return true
	})
	f := newFetcher(t, action.Options{StallTimeout: 20 * time.Millisecond, Attempts: 2})
	_, err := get(t, newJob(t, f, action.JobOptions{Bases: action.Bases{Default: s.URL}}), "o/r@v1")
	wantError(t, err, "after 2 attempts", "sent nothing for too long")

	f = newFetcher(t, action.Options{})
	j := newJob(t, f, action.JobOptions{Bases: action.Bases{Default: s.URL}})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was cancelled")
	go func() {
		for len(s.Requests()) < 3 {
			time.Sleep(time.Millisecond)
		}
		cancel(why)
	}()
	ref, err := j.Parse("o/r@v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Action(ctx, ref); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	s.Fault(nil)
	if _, err := j.Action(t.Context(), ref); err != nil {
		t.Errorf("after a cancel, in a cleanup step: %v", err)
	}
}

func TestLimits(t *testing.T) {
	s := newServer(t)
	s.Action("o/r", map[string]string{"action.yml": nodeAction, "big": strings.Repeat("x", 10_000)})
	j := newJob(t, newFetcher(t, action.Options{MaxActionBytes: 8 << 10}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
	_, err := get(t, j, "o/r@v1")
	wantError(t, err, "larger than the 8.0 KiB that an action may have")
	j = newJob(t, newFetcher(t, action.Options{MaxActionBytes: 100}), action.JobOptions{Bases: action.Bases{Default: s.URL}})
	_, err = get(t, j, "o/r@v1")
	wantError(t, err, "larger than an action may be")
}

func TestNewErrors(t *testing.T) {
	_, err := action.New(action.Options{})
	wantError(t, err, "no folder is configured")
	_, err = action.New(action.Options{Dir: "/dev/null/x"})
	wantError(t, err, "give the runner a folder that it can write to")
}
