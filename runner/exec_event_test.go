package runner

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/runner/task"
)

func TestExecEvent(t *testing.T) {
	t.Parallel()
	const job = "\njobs:\n  j:\n    runs-on: linux\n    steps:\n      - run: |\n          cat << 'EOF'\n          "
	for _, c := range []struct{ name, on, text, want string }{
		{"the commit of a push", "on: push", "${{ github.event.head_commit.message }}|${{ github.event.commits[0].author.email }}|${{ github.event.head_commit.id == github.sha }}", "first|a@example.org|true"},
		{"what a push changes", "on: push", "${{ github.event.ref }} ${{ github.event.before }} ${{ github.event.after == github.sha }}", "refs/heads/master 0000000000000000000000000000000000000000 true"},
		{"the workflow's file", "on: push", "${{ github.workflow_ref }} ${{ github.workflow_sha == github.sha }}", "local/demo/.gitea/workflows/w.yml@refs/heads/master true"},
		{"the repository", "on: push", "${{ github.event.repository.default_branch }} ${{ github.event.repository.full_name }} ${{ github.event.repository.owner.login }}", "master local/demo local"},
		{"a pull request", "on: pull_request", "${{ github.event_name }} ${{ github.event.pull_request.title }} ${{ github.event.number }} ${{ github.head_ref }} ${{ github.base_ref }} ${{ github.event.pull_request.head.sha == github.sha }}", "pull_request first 1 master master true"},
		{"the inputs of a dispatch are all there", "on: {workflow_dispatch: {inputs: {who: {default: world}, n: {type: number, default: 3}, b: {type: boolean}}}}",
			"${{ toJSON(github.event.inputs) == toJSON(fromJSON('{\"b\": false, \"n\": \"3\", \"who\": \"world\"}')) }} ${{ inputs.n == 3 }} ${{ github.event.workflow }}", "true true w.yml"},
		{"a schedule", "on: {schedule: [{cron: '5 4 * * *'}]}", "${{ github.event_name }} ${{ github.event.schedule }}", "schedule 0 0 * * *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, log := execText(t, c.on+job+c.text+"\n          EOF\n", nil)
			if got != task.Success || !strings.Contains(log, c.want) {
				t.Errorf("result %s, want %q in\n%s", got, c.want, log)
			}
		})
	}
}

// A repository of git's other kind can be worked on, without what git knows.
func TestExecSHA256Repository(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here")
	}
	dir := t.TempDir()
	if out, err := exec.Command(git, "init", "-q", "--object-format=sha256", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r, err := openRepository(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.odd, "SHA-256") || r.root != dir && filepath.Base(r.root) != filepath.Base(dir) || r.sha != noCommit {
		t.Errorf("odd %q, root %s, sha %s", r.odd, r.root, r.sha)
	}
}

// What the engine says of a place in the workflow is said of the file.
func TestExecNamesTheFile(t *testing.T) {
	t.Parallel()
	_, log := execText(t, "on: push\njobs:\n  j:\n    runs-on: linux\n    colour: red\n    steps: [{run: 'true'}]\n", nil)
	if !strings.Contains(log, "warning: ") || !strings.Contains(log, "w.yml:5:5: jobs.j: unknown key \"colour\"") {
		t.Errorf("the log is\n%s", log)
	}
}
