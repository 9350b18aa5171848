package runner

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/runner/config"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
)

// execText runs a workflow in a repository and returns what is shown.
func execText(t *testing.T, workflow string, change func(*ExecOptions)) (task.Result, string) {
	t.Helper()
	dir := tree(t, map[string]string{"main.txt": "hello\n", ".gitea/workflows/w.yml": workflow})
	commit(t, dir, "main.txt")
	cfg := config.Default()
	cfg.Host.WorkdirParent = filepath.Join(t.TempDir(), "work")
	cfg.Runner.ActionsDir = filepath.Join(t.TempDir(), "actions")
	cfg.Runner.GithubMirror = "http://127.0.0.1:1" // nothing is fetched
	labels, err := label.ParseList([]string{"linux:host"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := ExecOptions{
		Config: &cfg, Environ: os.Environ(), Log: slog.NewTextHandler(t.Output(), nil), Labels: labels, Out: &out,
		File: filepath.Join(dir, ".gitea", "workflows", "w.yml"), Dir: dir,
	}
	if change != nil {
		change(&o)
	}
	result, err := Exec(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return result, out.String()
}

func TestExecCheckout(t *testing.T) {
	t.Parallel()
	const head = "on: push\ndefaults: {run: {shell: 'nothing {0}'}}\njobs:\n  j:\n    runs-on: linux\n    steps:\n"
	for _, c := range []struct {
		name, steps string
		want        task.Result
		log         string
	}{
		{"the workspace is a copy, whatever the shell",
			"    - uses: actions/checkout@v4\n    - {run: cat main.txt, shell: bash}\n", task.Success, "hello"},
		{"into a folder",
			"    - {uses: actions/checkout@v4, with: {path: \"a/${{ github.job }}\"}}\n    - {run: cat a/j/main.txt, shell: bash}\n", task.Success, "hello"},
		{"into the same folder again, without what steps have left there",
			"    - {uses: actions/checkout@v4, with: {path: a}}\n    - {run: touch a/left, shell: bash}\n    - {uses: actions/checkout@v4, with: {path: ./a/}}\n    - {run: test ! -e a/left && cat a/main.txt, shell: bash}\n", task.Success, "hello"},
		{"its outputs",
			"    - {uses: actions/checkout@v4, id: c}\n    - {run: 'echo \"${{ steps.c.outputs.commit == github.sha && steps.c.outputs.ref == github.ref }}\"', shell: bash}\n", task.Success, "true"},
		{"what means this commit",
			"    - {uses: actions/checkout@v4, with: {ref: \"${{ github.ref_name }}\", repository: \"${{ github.repository }}\"}}\n    - {uses: actions/checkout@v4, with: {ref: \"${{ github.head_ref }}\"}}\n", task.Success, "is a copy of the working directory"},
		{"out of the workspace",
			"    - {uses: actions/checkout@v4, with: {path: ../up}}\n", task.Failure, "path: ../up is not in the workspace"},
		{"another commit is the action's business",
			"    - {uses: actions/checkout@v4, with: {ref: v1.2.3}}\n", task.Failure, "http://127.0.0.1:1/actions/checkout cannot be reached"},
		{"so is another repository",
			"    - {uses: actions/checkout@v4, with: {repository: octo/other}}\n", task.Failure, "http://127.0.0.1:1/actions/checkout cannot be reached"},
		{"without a ref",
			"    - uses: actions/checkout\n", task.Failure, "@"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, log := execText(t, head+c.steps, nil)
			if got != c.want || !strings.Contains(log, c.log) {
				t.Errorf("result %s, want %s, with %q in\n%s", got, c.want, c.log, log)
			}
		})
	}
}
