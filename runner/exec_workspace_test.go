package runner

import (
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// tree writes files below a new folder and returns it.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// commit makes a folder a repository with the named files in it.
func commit(t testing.TB, dir string, names ...string) string {
	t.Helper()
	repo, err := git.PlainInit(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := tree.Add(name); err != nil {
			t.Fatal(err)
		}
	}
	sha, err := tree.Commit("first", &git.CommitOptions{Author: &object.Signature{Name: "A", Email: "a@example.org", When: time.Unix(1e9, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	return sha.String()
}

// fillFrom copies a folder as exec does and returns where to, and what it said.
func fillFrom(t testing.TB, dir string, exact bool, limits copyLimits) (to, said string, err error) {
	t.Helper()
	repo, err := openRepository(dir, exact)
	if err != nil {
		t.Fatal(err)
	}
	to = filepath.Join(t.TempDir(), "work", "task-1", "demo")
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	f := newFilling(nil, repo, nil)
	if limits != (copyLimits{}) {
		f.limits = limits
	}
	err = f.fill(t.Context(), to, to, func(line string) { said += line + "\n" })
	return to, said, err
}

// listing are the paths of all files of a folder, .git left out.
func listing(t testing.TB, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if e != nil && e.Name() == ".git" {
			return fs.SkipDir
		}
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCopyLeavesOutWhatGitIgnores(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		".gitignore": "build/\n*.log\n!keep.log\n/only-top\n# a comment\n\n", "a.go": "a", "x.log": "x", "keep.log": "k", "only-top": "1",
		"sub/only-top": "2", "sub/.gitignore": "!y.log\n*.tmp\n", "sub/y.log": "y", "sub/z.tmp": "z", "sub/deep/w.tmp": "w", "other.tmp": "o",
		"build/out": "b", "sub/build/out": "b", "build/tracked/file": "t", "untracked.go": "u", "node_modules/m/index.js": "m",
	})
	commit(t, dir, ".gitignore", "a.go", "keep.log", "build/tracked/file")
	if err := os.WriteFile(filepath.Join(dir, ".git", "info", "exclude"), []byte("node_modules\n"), 0o600); err != nil {
		if err = os.MkdirAll(filepath.Join(dir, ".git", "info"), 0o755); err == nil {
			err = os.WriteFile(filepath.Join(dir, ".git", "info", "exclude"), []byte("node_modules\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	to, _, err := fillFrom(t, dir, false, copyLimits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".gitignore", "a.go", "build/tracked/file", "keep.log", "other.tmp", "sub/.gitignore", "sub/only-top", "sub/y.log", "untracked.go"}
	if got := listing(t, to); !slices.Equal(got, want) {
		t.Errorf("copied %q\n   want %q", got, want)
	}
	to, _, err = fillFrom(t, filepath.Join(dir, "sub"), true, copyLimits{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := listing(t, to), []string{".gitignore", "only-top", "y.log"}; !slices.Equal(got, want) {
		t.Errorf("of the folder itself: copied %q, want %q", got, want)
	}
	if _, err := os.Lstat(filepath.Join(to, ".git")); err == nil {
		t.Error("a part of a repository became one")
	}
}

func TestCopyKeepsWhatFilesAre(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"run.sh": "#!/bin/sh\n", "large": strings.Repeat("0123456789", 30_000), "empty": "", "a/b/c": "c"})
	old := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(filepath.Join(dir, "large"), old, old); err != nil {
		t.Fatal(err)
	}
	unix := runtime.GOOS != "windows"
	if unix {
		if err := os.Chmod(filepath.Join(dir, "run.sh"), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		for link, target := range map[string]string{"link": "a/b", "dangling": "/no/where"} {
			if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		if l, err := net.Listen("unix", filepath.Join(dir, "s")); err == nil { // a file is wanted
			defer func() { _ = l.Close() }()
		}
	}
	to, _, err := fillFrom(t, dir, false, copyLimits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"large", "empty", "a/b/c"} {
		a, _ := os.ReadFile(filepath.Join(dir, name))
		b, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || string(a) != string(b) {
			t.Errorf("%s differs (%v)", name, err)
		}
	}
	if info, err := os.Stat(filepath.Join(to, "large")); err != nil || !info.ModTime().Equal(old) {
		t.Errorf("the time of a file: %v, %v", info.ModTime(), err)
	}
	if !unix {
		return
	}
	if info, err := os.Stat(filepath.Join(to, "run.sh")); err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("a program's mode: %v, %v", info.Mode(), err)
	}
	if target, err := os.Readlink(filepath.Join(to, "link")); err != nil || target != "a/b" {
		t.Errorf("a link: %q, %v", target, err)
	}
	if _, err := os.Lstat(filepath.Join(to, "s")); err == nil {
		t.Error("a socket was copied")
	}
}

func TestCopyIsBounded(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for i := range 30 {
		files[fmt.Sprintf("d%d/f", i%7)+fmt.Sprint(i)] = strings.Repeat("x", 1000)
	}
	dir := tree(t, files)
	for _, limits := range []copyLimits{{files: 29, bytes: 1 << 30}, {files: 1000, bytes: 29_000}} {
		_, _, err := fillFrom(t, dir, false, limits)
		if err == nil || !strings.Contains(err.Error(), "--workdir") || !strings.Contains(err.Error(), "--checkout") || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%+v: %v", limits, err)
		}
	}
	if _, _, err := fillFrom(t, dir, false, copyLimits{files: 30, bytes: 30_000}); err != nil {
		t.Error(err)
	}
}

func TestCopyDoesNotCopyItself(t *testing.T) {
	t.Parallel()
	home := tree(t, map[string]string{"project/a": "a", "cache/act/task-2/other/b": "b", "cache/actions/x": "x"})
	to := filepath.Join(home, "cache", "act", "task-1", "demo")
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	repo := &repository{root: home}
	f := newFilling(nil, repo, []string{filepath.Join(home, "cache", "actions")})
	if err := f.fill(t.Context(), to, to, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if got := listing(t, to); !slices.Equal(got, []string{"project/a"}) {
		t.Errorf("copied %q", got)
	}
	repo.root = filepath.Join(home, "cache", "act")
	if err := f.fill(t.Context(), to, to, func(string) {}); err == nil || !strings.Contains(err.Error(), "own work folder") {
		t.Errorf("the work folder itself: %v", err)
	}
}

func TestLargeCopiesAreSaid(t *testing.T) {
	t.Parallel()
	c := &copier{bytes: 100, files: []copyFile{{path: filepath.Join("out", "a"), size: 60}, {path: "b", size: 40}}}
	if got := c.largest(); !strings.Contains(got, "Most of it is out;") {
		t.Error(got)
	}
	c.files[0].size = 30
	if got := c.largest(); got != "" {
		t.Error(got)
	}
}

// TestCopiedRepositories asks git itself, in a copy of a worktree that is linked
// to a repository elsewhere.
func TestCopiedRepositories(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	dir := tree(t, map[string]string{"a": "1", ".gitignore": "ignored\n", "ignored": "i"})
	run := func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.org")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	first := commit(t, dir, "a", ".gitignore")
	run(dir, "tag", "v1")
	linked := filepath.Join(t.TempDir(), "linked")
	run(dir, "worktree", "add", "-q", "-b", "topic", linked)
	if err := os.WriteFile(filepath.Join(linked, "a"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{dir, linked} {
		to, _, err := fillFrom(t, from, false, copyLimits{})
		if err != nil {
			t.Fatal(err)
		}
		before := run(from, "for-each-ref") + run(from, "status", "--porcelain")
		for _, args := range [][]string{{"status", "--porcelain"}, {"rev-parse", "HEAD"}, {"symbolic-ref", "HEAD"}, {"describe", "--tags"}} {
			if got, want := run(to, args...), run(from, args...); got != want {
				t.Errorf("git %v gives %q in the copy and %q in %s", args, got, want, from)
			}
		}
		if got := run(to, "rev-parse", "HEAD"); got != first {
			t.Errorf("HEAD is %s, want %s", got, first)
		}
		run(to, "commit", "-q", "--allow-empty", "-m", "in the copy")
		run(to, "tag", "of-the-copy")
		if after := run(from, "for-each-ref") + run(from, "status", "--porcelain"); after != before {
			t.Errorf("the repository has changed:\n%s\n%s", before, after)
		}
	}
}

func TestGitConfigOfACopy(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{"config": "[core]\n\tbare = false\n\tworktree = ../../elsewhere\n\thooksPath=.hooks\n[user]\n\tname = A = B\n"})
	if err := copyGitConfig(filepath.Join(dir, "copy"), filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(filepath.Join(dir, "copy"))
	if want := "[core]\n\tbare = false\n[user]\n\tname = A = B\n"; string(got) != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// BenchmarkCopy copies a repository of 2,000 files; the floor beside it makes as
// many files with nothing else.
func BenchmarkCopy(b *testing.B) {
	files := map[string]string{}
	for i := range 2000 {
		files[fmt.Sprintf("pkg%d/sub/f%d.go", i/20, i%20)] = strings.Repeat("package x\n", 50+i%200)
	}
	dir := tree(b, files)
	commit(b, dir, slices.Sorted(maps.Keys(files))[:1]...)
	repo, err := openRepository(dir, false)
	if err != nil {
		b.Fatal(err)
	}
	f := newFilling(nil, repo, nil)
	b.Run("copy", func(b *testing.B) {
		for b.Loop() {
			to := b.TempDir()
			if err := f.fill(b.Context(), to, to, func(string) {}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			to := b.TempDir()
			for i := range 100 {
				if err := os.MkdirAll(filepath.Join(to, fmt.Sprintf("pkg%d/sub", i)), 0o755); err != nil {
					b.Fatal(err)
				}
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o600); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
