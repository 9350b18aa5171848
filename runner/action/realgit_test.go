package action_test

import (
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// realGit serves a folder by git's own http-backend at o/r, and runs git in it.
func realGit(t *testing.T, git string) (url string, run func(args ...string) string) {
	t.Helper()
	root := t.TempDir()
	repo := filepath.Join(root, "o", "r")
	if err := os.MkdirAll(repo, 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"GIT_CONFIG_NOSYSTEM=1", "HOME=" + root,
		"GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.com",
	}
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"},
		Env: append(env, "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1"),
	})
	t.Cleanup(server.Close)
	return server.URL, func(args ...string) string {
		t.Helper()
		c := exec.Command(git, args...)
		c.Dir = repo
		c.Env = append(os.Environ(), env...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
}
