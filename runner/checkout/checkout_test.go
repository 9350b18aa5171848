package checkout_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"otelrunner/runner/action"
	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/checkout"
)

// folder is a sandbox's files in a folder of this machine. It follows links as the
// system does, so that a test sees what is written by one.
type folder struct{ root string }

func (f folder) at(name string) string { return filepath.Join(f.root, filepath.FromSlash(name)) }

func (f folder) Lstat(name string) (fs.FileMode, error) {
	info, err := os.Lstat(f.at(name))
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

func (f folder) ReadDir(name string) (names []string, err error) {
	entries, err := os.ReadDir(f.at(name))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (f folder) RemoveAll(name string) error       { return os.RemoveAll(f.at(name)) }
func (f folder) Mkdir(name string) error           { return os.Mkdir(f.at(name), 0o755) }
func (f folder) Symlink(target, name string) error { return os.Symlink(target, f.at(name)) }
func (f folder) Create(name string, mode fs.FileMode, data io.Reader) error {
	file, err := os.OpenFile(f.at(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, data)
	return errors.Join(err, file.Close(), os.Chmod(file.Name(), mode))
}

// bench is a git server, a fetcher and a sandbox's files.
type bench struct {
	t       *testing.T
	server  *actiontest.Server
	files   folder
	log     []string
	options checkout.Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, server: actiontest.NewServer(), files: folder{t.TempDir()}}
	t.Cleanup(b.server.Close)
	fetcher, err := action.New(action.Options{Dir: t.TempDir(), Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(b.files.at("/work/demo"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.options = checkout.Options{
		Cloner: fetcher, Files: b.files, Workspace: "/work/demo", Clean: true, Persist: true,
		Clone: action.CloneOptions{URL: b.server.URL + "/octo/demo", Instance: b.server.URL, Depth: 1},
		Log:   func(line string) { b.log = append(b.log, line) },
	}
	return b
}

// run checks out with changed options.
func (b *bench) run(change func(*checkout.Options)) (checkout.Result, error) {
	o := b.options
	if change != nil {
		change(&o)
	}
	return checkout.Run(context.WithoutCancel(b.t.Context()), o)
}

func (b *bench) must(change func(*checkout.Options)) checkout.Result {
	b.t.Helper()
	res, err := b.run(change)
	if err != nil {
		b.t.Fatal(err)
	}
	return res
}

// list gives what is in a folder, but for .git.
func (b *bench) list(dir string) string {
	b.t.Helper()
	var all []string
	err := filepath.WalkDir(b.files.at(dir), func(name string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(b.files.at(dir), name)
		switch {
		case err != nil || rel == ".":
			return err
		case d.Name() == ".git":
			return fs.SkipDir
		case d.Type()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(name)
			rel += "@" + target
		case d.IsDir():
			rel += "/"
		default:
			info, _ := d.Info()
			data, _ := os.ReadFile(name)
			rel += "=" + string(data)
			if info.Mode()&0o100 != 0 {
				rel += "*"
			}
		}
		all = append(all, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		b.t.Error(err)
	}
	return strings.Join(all, " ")
}

// git runs git in a folder of the sandbox.
func (b *bench) git(dir string, args ...string) string {
	b.t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		b.t.Skip("SKIP: no git to look at the result with")
	}
	cmd := exec.CommandContext(b.t.Context(), "git", args...)
	cmd.Dir = b.files.at(dir)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Errorf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}

func tree() actiontest.Files {
	return actiontest.Text(map[string]string{"README": "hi", "src/a.c": "int a;"}).
		With("run", filemode.Executable, "#!/bin/sh").With("link", filemode.Symlink, "src/a.c").With("out", filemode.Symlink, "/etc/passwd")
}

func TestCheckout(t *testing.T) {
	b := newBench(t)
	r := b.server.Repo("octo/demo")
	first := r.Commit(tree())
	second := r.Commit(tree().With("more", filemode.Regular, "2"))
	r.Branch("main", second).Branch("old", first).Tag("v1", first).AnnotatedTag("v2", second)
	r.Ref("refs/pull/1/head", first)

	res := b.must(nil)
	want(t, "commit", res.Commit, second)
	want(t, "ref", res.Ref, "refs/heads/main")
	want(t, "the files", b.list("/work/demo"), "README=hi link@src/a.c more=2 out@/etc/passwd run=#!/bin/sh* src/ src/a.c=int a;")
	want(t, "git status", b.git("/work/demo", "status", "--short", "--branch"), "## main...origin/main")
	want(t, "git log", b.git("/work/demo", "rev-list", "--count", "HEAD"), "1")
	want(t, "git fsck", b.git("/work/demo", "fsck", "--no-progress"), "")
	want(t, "remote", b.git("/work/demo", "remote", "get-url", "origin"), b.server.URL+"/octo/demo")

	for _, c := range []struct{ name, ref, commit, want, head string }{
		{"a branch", "old", "", first, "refs/heads/old"},
		{"a tag", "v1", "", first, ""},
		{"an annotated tag", "v2", "", second, ""},
		{"a commit", first, "", first, ""},
		{"a full name", "refs/heads/old", "", first, "refs/heads/old"},
		{"a pull request", "refs/pull/1/head", "", first, ""},
		{"a branch that has moved on", "refs/heads/main", first, first, "refs/heads/main"},
		{"a branch that is gone", "refs/heads/gone", first, first, "refs/heads/gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			res := b.must(func(o *checkout.Options) { o.Path, o.Clone.Ref, o.Clone.Commit = "deep/"+c.name, c.ref, c.commit })
			want(t, "commit", res.Commit, c.want)
			dir := "/work/demo/deep/" + c.name
			want(t, "HEAD", b.git(dir, "rev-parse", "HEAD"), c.want)
			want(t, "status", b.git(dir, "status", "--short"), "")
			if c.head != "" {
				want(t, "branch", b.git(dir, "symbolic-ref", "HEAD"), c.head)
			}
		})
	}
}

func TestDepth(t *testing.T) {
	b := newBench(t)
	r := b.server.Repo("octo/demo")
	var last string
	for _, text := range []string{"1", "2", "3", "4"} {
		last = r.Commit(actiontest.Text(map[string]string{"f": text}))
		r.Tag("t"+text, last)
	}
	other := r.Commit(actiontest.Text(map[string]string{"f": "other"}))
	r.Branch("other", other).Branch("main", last)
	count := func(depth int) string {
		b.must(func(o *checkout.Options) { o.Clone.Depth, o.Clone.Ref = depth, "main" })
		return b.git("/work/demo", "rev-list", "--count", "HEAD")
	}
	for depth, commits := range map[int]string{1: "1", 2: "2", 0: "4"} {
		want(t, "the history", count(depth), commits)
	}
	b.must(func(o *checkout.Options) { o.Clone.Depth, o.Clone.Ref = 0, "main" })
	want(t, "the refs of all history", b.git("/work/demo", "for-each-ref", "--format=%(refname:short)"), "main\norigin/main\norigin/other\nt1\nt2\nt3\nt4")
	b.must(func(o *checkout.Options) { o.Clone.Tags, o.Clone.Ref = true, "main" })
	want(t, "the refs with tags", b.git("/work/demo", "for-each-ref", "--format=%(refname:short)"), "main\norigin/main\nt1\nt2\nt3\nt4")
}

func TestClean(t *testing.T) {
	b := newBench(t)
	r := b.server.Repo("octo/demo")
	r.Branch("main", r.Commit(tree()))
	write := func(name string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(b.files.at(name)), 0o755), os.WriteFile(b.files.at(name), []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	const files = "README=hi link@src/a.c out@/etc/passwd run=#!/bin/sh* src/ src/a.c=int a;"
	write("/work/demo/stale/file")
	b.must(func(o *checkout.Options) { o.Clean = false })
	want(t, "what was no repository", b.list("/work/demo"), files)
	write("/work/demo/untracked")
	b.must(func(o *checkout.Options) { o.Clean = false })
	want(t, "not clean", b.list("/work/demo"), files+" untracked=x")
	b.must(nil)
	want(t, "clean", b.list("/work/demo"), files)

	// What steps put in the way: links out of the workspace, and other kinds.
	outside := t.TempDir()
	if err := errors.Join(os.RemoveAll(b.files.at("/work/demo/src")), os.Symlink(outside, b.files.at("/work/demo/src")),
		os.Remove(b.files.at("/work/demo/README")), os.Symlink(filepath.Join(outside, "README"), b.files.at("/work/demo/README")),
		os.Remove(b.files.at("/work/demo/link")), os.MkdirAll(b.files.at("/work/demo/link/x"), 0o755)); err != nil {
		t.Fatal(err)
	}
	b.must(func(o *checkout.Options) { o.Clean = false })
	want(t, "with links in the way", b.list("/work/demo"), files)
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside are %v, %v", left, err)
	}
	// A failed fetch leaves what is there.
	if _, err := b.run(func(o *checkout.Options) { o.Clone.Ref = "nope" }); err == nil || !strings.Contains(err.Error(), `no tag or branch "nope"`) {
		t.Errorf("no such ref: %v", err)
	}
	want(t, "after a failure", b.list("/work/demo"), files)
}

func TestToken(t *testing.T) {
	b := newBench(t)
	r := b.server.Repo("octo/demo").RequireToken("s3cr3t")
	r.Branch("main", r.Commit(tree()))
	if _, err := b.run(nil); err == nil || !strings.Contains(err.Error(), "was not found, or") {
		t.Errorf("without a token: %v", err)
	}
	with := func(o *checkout.Options) { o.Clone.Token = "s3cr3t" }
	b.must(with)
	config := func() string {
		data, err := os.ReadFile(b.files.at("/work/demo/.git/config"))
		if err != nil {
			t.Error(err)
		}
		return string(data)
	}
	if !strings.Contains(config(), "extraheader = AUTHORIZATION: basic "+checkout.Credentials("s3cr3t")) {
		t.Errorf("no credentials in\n%s", config())
	}
	b.git("/work/demo", "fetch", "-q", "origin")
	b.must(func(o *checkout.Options) { with(o); o.Persist = false })
	if strings.Contains(config(), "extraheader") || strings.Contains(config(), "s3cr3t") {
		t.Errorf("credentials in\n%s", config())
	}
	// To another server it goes neither by a header nor into the file.
	other := newBench(t)
	ro := other.server.Repo("octo/demo").RequireToken("s3cr3t")
	ro.Branch("main", ro.Commit(tree()))
	if _, err := b.run(func(o *checkout.Options) { with(o); o.Clone.URL = other.server.URL + "/octo/demo" }); err == nil {
		t.Error("the token was sent to another server")
	}
	for _, q := range other.server.Requests() {
		if q.Password != "" {
			t.Errorf("another server got %q", q.Password)
		}
	}
}

func TestSubmodules(t *testing.T) {
	b := newBench(t)
	leaf := b.server.Repo("octo/leaf")
	leafCommit := leaf.Commit(actiontest.Text(map[string]string{"leaf": "3"}))
	leaf.Branch("main", leafCommit)
	lib := b.server.Repo("octo/lib")
	libCommit := lib.Commit(actiontest.Text(map[string]string{
		"lib": "2", ".gitmodules": "[submodule \"l\"]\n\tpath = inner\n\turl = " + b.server.URL + "/octo/leaf\n",
	}).With("inner", filemode.Submodule, leafCommit))
	lib.Branch("main", libCommit)
	top := b.server.Repo("octo/demo")
	top.Branch("main", top.Commit(actiontest.Text(map[string]string{
		"top": "1", ".gitmodules": "[submodule \"x\"]\n\tpath = third/lib\n\turl = ../lib\n",
	}).With("third/lib", filemode.Submodule, libCommit)))
	files := func() string {
		return strings.Join(slices.DeleteFunc(strings.Fields(b.list("/work/demo")), func(s string) bool {
			return strings.Contains(s, "submodule") || strings.Contains(s, "modules") || s == "=" || strings.Contains(s, "url") || strings.Contains(s, "path") || strings.HasPrefix(s, "http") || strings.HasPrefix(s, "..") || strings.HasPrefix(s, "\"") || s == "inner"
		}), " ")
	}
	for _, c := range []struct {
		what checkout.Submodules
		want string
	}{
		{checkout.NoSubmodules, "third/ third/lib/ top=1"},
		{checkout.DirectSubmodules, "third/ third/lib/ third/lib/inner/ third/lib/lib=2 top=1"},
		{checkout.AllSubmodules, "third/ third/lib/ third/lib/inner/ third/lib/inner/leaf=3 third/lib/lib=2 top=1"},
	} {
		b.must(func(o *checkout.Options) { o.Submodules = c.what })
		got := files()
		for _, part := range strings.Fields(c.want) {
			if !slices.Contains(strings.Fields(got), part) && !strings.HasPrefix(part, "third/lib/inner/") && part != "third/lib/lib=2" {
				t.Errorf("submodules %d: %q is not in %q", c.what, part, got)
			}
		}
		for name, there := range map[string]bool{
			"third/lib/lib": c.what >= checkout.DirectSubmodules, "third/lib/inner/leaf": c.what == checkout.AllSubmodules,
		} {
			if _, err := os.Stat(b.files.at("/work/demo/" + name)); (err == nil) != there {
				t.Errorf("submodules %d: %s: %v", c.what, name, err)
			}
		}
	}
	want(t, "status", b.git("/work/demo", "status", "--short"), "")
	for name, modules := range map[string]string{
		"no entry":  "",
		"ssh":       "[submodule \"x\"]\n\tpath = m\n\turl = git@example.com:o/r.git\n",
		"a file":    "[submodule \"x\"]\n\tpath = m\n\turl = file:///etc\n",
		"an option": "[submodule \"x\"]\n\tpath = m\n\turl = --upload-pack=touch evil\n",
	} {
		top.Branch("main", top.Commit(actiontest.Text(map[string]string{".gitmodules": modules}).With("m", filemode.Submodule, libCommit)))
		if _, err := b.run(func(o *checkout.Options) { o.Submodules = checkout.AllSubmodules }); err == nil || !strings.Contains(err.Error(), "the submodule m") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One that holds itself, more or less.
	var circle string
	for range 14 {
		circle = lib.Commit(actiontest.Text(map[string]string{".gitmodules": "[submodule \"x\"]\n\tpath = m\n\turl = ../lib\n"}).With("m", filemode.Submodule, cmpOr(circle, libCommit)))
	}
	lib.Branch("main", circle)
	if _, err := b.run(func(o *checkout.Options) {
		o.Submodules, o.Clone.URL = checkout.AllSubmodules, b.server.URL+"/octo/lib"
	}); err == nil || !strings.Contains(err.Error(), "nest deeper") {
		t.Errorf("a circle: %v", err)
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// TestHostile checks out what a repository could be made of to write elsewhere.
func TestHostile(t *testing.T) {
	outside := t.TempDir()
	for _, c := range []struct {
		name  string
		build func(r *actiontest.Repo) string
		fails string // "" where it is harmless
	}{
		{"dots", func(r *actiontest.Repo) string {
			return r.CommitTree(r.RawTree(object.TreeEntry{Name: "..", Mode: filemode.Dir, Hash: hash(r.Tree(actiontest.Text(map[string]string{"evil": "x"})))}))
		}, "names no file"},
		{"a separator", func(r *actiontest.Repo) string {
			return r.CommitTree(r.RawTree(object.TreeEntry{Name: "../evil", Mode: filemode.Regular, Hash: hash(r.Blob("x"))}))
		}, "separator"},
		{"an absolute name", func(r *actiontest.Repo) string {
			return r.CommitTree(r.RawTree(object.TreeEntry{Name: "/etc/evil", Mode: filemode.Regular, Hash: hash(r.Blob("x"))}))
		}, "separator"},
		{".git", inGit(".git"), "git reserves"},
		{".GIT", inGit(".GIT"), "git reserves"},
		{".Git with a dot", inGit(".Git. ."), "git reserves"},
		{"git~1", inGit("GIT~1"), "git reserves"},
		{"a stream of .git", inGit(".git::$INDEX_ALLOCATION"), "git reserves"},
		{".git with what HFS ignores", inGit(".g\u200cit"), "git reserves"},
		{".git with a backslash", inGit(".git\\hooks"), "git reserves"},
		{"a link twice, first a link and then a folder", func(r *actiontest.Repo) string {
			return r.CommitTree(r.RawTree(
				object.TreeEntry{Name: "a", Mode: filemode.Symlink, Hash: hash(r.Blob(outside))},
				object.TreeEntry{Name: "a", Mode: filemode.Dir, Hash: hash(r.Tree(actiontest.Text(map[string]string{"evil": "x"})))}))
		}, "twice"},
		{"a link and a folder that differ by case", func(r *actiontest.Repo) string {
			return r.Commit(actiontest.Text(map[string]string{"A/evil": "x"}).With("a", filemode.Symlink, outside))
		}, ""},
		{"links out", func(r *actiontest.Repo) string {
			return r.Commit(actiontest.Files{}.With("l", filemode.Symlink, outside).With("m", filemode.Symlink, "../../../..").With("n", filemode.Symlink, ".git/hooks"))
		}, ""},
		{"a link with NUL", func(r *actiontest.Repo) string {
			return r.Commit(actiontest.Files{}.With("l", filemode.Symlink, "a\x00b"))
		}, "which is no path"},
		{"an endless link", func(r *actiontest.Repo) string {
			return r.Commit(actiontest.Files{}.With("l", filemode.Symlink, strings.Repeat("x", 5000)))
		}, "bytes long"},
		{"a device", func(r *actiontest.Repo) string {
			return r.CommitTree(r.RawTree(object.TreeEntry{Name: "dev", Mode: 0o060000, Hash: hash(r.Blob("x"))}))
		}, ""},
		{"deep folders", func(r *actiontest.Repo) string {
			return r.Commit(actiontest.Text(map[string]string{strings.Repeat("d/", 300) + "f": "x"}))
		}, "deeper"},
		{"few objects that are many files", func(r *actiontest.Repo) string {
			sub := r.Tree(actiontest.Text(map[string]string{"f": "x"}))
			for range 6 {
				var entries []object.TreeEntry
				for i := range 10 {
					entries = append(entries, object.TreeEntry{Name: string(rune('a' + i)), Mode: filemode.Dir, Hash: hash(sub)})
				}
				sub = r.RawTree(entries...)
			}
			return r.CommitTree(sub)
		}, "more than 20000 files"},
		{"names that no program could be told", func(r *actiontest.Repo) string {
			return r.CommitTree(r.RawTree(object.TreeEntry{Name: "a\\b", Mode: filemode.Regular, Hash: hash(r.Blob("x"))},
				object.TreeEntry{Name: "\xff\xfe", Mode: filemode.Regular, Hash: hash(r.Blob("x"))}))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			if strings.HasPrefix(c.name, "few objects") {
				b.options.Files, b.options.MaxEntries = nowhere{b.files}, 20_000
			}
			r := b.server.Repo("octo/demo")
			r.Branch("main", c.build(r))
			_, err := b.run(nil)
			switch {
			case c.fails == "" && err != nil:
				t.Errorf("it is refused: %v", err)
			case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
				t.Errorf("%v, want %q", err, c.fails)
			}
			for dir, allowed := range map[string]string{outside: "", b.files.root: "work", b.files.at("/work"): "demo"} {
				entries, err := os.ReadDir(dir)
				if err != nil || len(entries) > 1 || len(entries) == 1 && entries[0].Name() != allowed {
					t.Errorf("%s has %v, %v", dir, entries, err)
				}
			}
			hooks, _ := filepath.Glob(b.files.at("/work/demo/.git/hooks*"))
			if data, err := os.ReadFile(b.files.at("/work/demo/.git/config")); len(hooks) > 0 || err == nil && bytes.Contains(data, []byte("fsmonitor")) {
				t.Errorf("hooks %v, config %s", hooks, data)
			}
		})
	}
}

// nowhere makes only folders, of which it keeps nothing.
type nowhere struct{ folder }

func (nowhere) Lstat(string) (fs.FileMode, error)           { return 0, fs.ErrNotExist }
func (nowhere) Mkdir(string) error                          { return nil }
func (nowhere) Create(string, fs.FileMode, io.Reader) error { return nil }

func hash(text string) plumbing.Hash { return plumbing.NewHash(text) }
