package runner

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/runner/job"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
)

// TestTerminalCutsBesideSecrets has a line that is too long and ends within a
// secret.
func TestTerminalCutsBesideSecrets(t *testing.T) {
	t.Parallel()
	var sink job.Sink = &execSink{terminal: newTerminal(newScreen(&bytes.Buffer{}, false, false, 0), nil, []string{"abcdefghij"}, nil)}
	line := strings.Repeat("x", 1000)
	if got := sink.(job.Cutter).Cut([]byte(line + "abcde")); got > len(line) {
		t.Errorf("the line is cut at %d, within the secret, want at most %d", got, len(line))
	}
}

// TestTerminalTitles has a step whose title gets a value of several lines.
func TestTerminalTitles(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	dir := t.TempDir()
	file := filepath.Join(dir, "w.yml")
	writeFile(t, file, `
on: push
jobs:
  a:
    runs-on: host
    strategy: {matrix: {v: ["first\nsecond"]}}
    steps: [{run: "echo '${{ matrix.v }}'"}]
`, 0o644)
	labels, err := label.ParseList([]string{"host:host"})
	if err != nil {
		t.Fatal(err)
	}
	result, err := Exec(t.Context(), ExecOptions{
		Config: suiteConfig(t, filepath.Join(t.TempDir(), "work")), Log: slog.NewTextHandler(t.Output(), nil),
		File: file, Dir: dir, Exact: true, Labels: labels, Out: &out,
	})
	if err != nil || result != task.Success {
		t.Fatal(result, err)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "second") {
			t.Errorf("a title has more than one line:\n%s", out.String())
		}
	}
	if !strings.Contains(out.String(), "● Run echo 'first\n") {
		t.Errorf("no title with the value's first line:\n%s", out.String())
	}
}
