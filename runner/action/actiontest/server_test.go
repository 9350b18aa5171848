package actiontest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"otelrunner/runner/action/actiontest"
)

// A real git client, where there is one, takes what the server gives.
func TestGitClones(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here")
	}
	s := actiontest.NewServer()
	t.Cleanup(s.Close)
	s.Repo("o/r").Commit(actiontest.Text(map[string]string{"a": "1"}))
	s.Repo("o/r").AnnotatedTag("v1", s.Repo("o/r").Commit(actiontest.Text(map[string]string{"a": "2", "dir/b": "3"})))
	for name, args := range map[string][]string{"shallow": {"--depth=1", "--branch=v1"}, "whole": {}} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "clone")
			c := exec.Command(git, append(append([]string{"-c", "protocol.version=0", "clone", "-q"}, args...), s.URL+"/o/r.git", dir)...)
			c.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "HOME="+t.TempDir())
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("git clone: %v\n%s", err, out)
			}
			for file, want := range map[string]string{"a": "2", "dir/b": "3"} {
				if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
					t.Errorf("%s: got %q, %v", file, got, err)
				}
			}
		})
	}
}
