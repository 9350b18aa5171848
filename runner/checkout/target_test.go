package checkout_test

import (
	"os"
	"path"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/checkout"
)

func inGit(name string) func(r *actiontest.Repo) string {
	return func(r *actiontest.Repo) string {
		sub := r.Tree(actiontest.Text(map[string]string{"config": "[core]\n\tfsmonitor = touch evil\n", "hooks/post-checkout": "evil"}))
		return r.CommitTree(r.RawTree(object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: hash(sub)}))
	}
}

func TestTarget(t *testing.T) {
	b := newBench(t)
	r := b.server.Repo("octo/demo")
	r.Branch("main", r.Commit(actiontest.Text(map[string]string{"f": "x"})))
	for text, want := range map[string]string{
		"": "/work/demo", ".": "/work/demo", "a": "/work/demo/a", "./a/b/": "/work/demo/a/b", `c\d`: "/work/demo/c/d",
		"/work/demo": "/work/demo", "/work/demo/e": "/work/demo/e",
	} {
		b.must(func(o *checkout.Options) { o.Path = text })
		if _, err := os.Stat(b.files.at(path.Join(want, "f"))); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"..", "../x", "a/../../x", "/etc", "/work/demolition", ".git", "a/.GIT/hooks"} {
		if _, err := b.run(func(o *checkout.Options) { o.Path = text }); err == nil || !strings.Contains(err.Error(), "the path") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
