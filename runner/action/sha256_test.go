package action_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"otelrunner/runner/action"
)

// A repository whose objects are named by SHA-256 cannot be fetched, and the
// sentence says so.
func TestSHA256Repository(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here")
	}
	url, run := realGit(t, git)
	run("init", "-q", "-b", "main", "--object-format=sha256", ".")
	if err := os.WriteFile(filepath.Join(run("rev-parse", "--show-toplevel"), "action.yml"), []byte(nodeAction), 0o600); err != nil {
		t.Fatal(err)
	}
	run("add", ".")
	run("commit", "-q", "-m", "x")
	for _, ref := range []string{"main", run("rev-parse", "HEAD")} {
		j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{Bases: action.Bases{Default: url}})
		_, err = get(t, j, "o/r@"+ref)
		wantError(t, err, "SHA-256")
	}
}
