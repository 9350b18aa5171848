package job_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/task"
)

// hasRow reports whether a row contains text.
func hasRow(rows []string, text string) bool {
	return slices.ContainsFunc(rows, func(r string) bool { return strings.Contains(r, text) })
}

// waitRow calls f when a row that contains text comes.
type waitRow struct {
	*jobtest.Recorder
	text string
	f    func()
}

func (w waitRow) Row(t time.Time, line string) {
	w.Recorder.Row(t, line)
	if line == w.text {
		w.f()
	}
}

func posix(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the scripts are for a POSIX shell")
	}
}

func newCase(workflow string) *jobtest.Case {
	return &jobtest.Case{Workflow: workflow}
}

// runUntil runs a workflow and cancels it when a row comes.
func runUntil(t *testing.T, o job.Options, workflow, row string) (*jobtest.Recorder, jobtest.Outcome) {
	t.Helper()
	tk := newCase(workflow).Task(1)
	rec := jobtest.NewRecorder(tk)
	cancel := make(chan struct{})
	began := time.Now()
	result := job.New(o).Run(context.Background(), cancel, tk, waitRow{rec, row, func() { close(cancel) }})
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("took %s", d)
	}
	for _, p := range rec.Problems() {
		t.Error(p)
	}
	return rec, rec.Outcome(result)
}

func checkSteps(t *testing.T, rec *jobtest.Recorder, got jobtest.Outcome, result task.Result, steps ...task.Result) {
	t.Helper()
	if got.Result != result || !slices.Equal(got.Steps, steps) {
		t.Errorf("result %s, steps %v; want %s, %v", got.Result, got.Steps, result, steps)
	}
	if t.Failed() {
		t.Log(strings.Join(rec.Rows(), "\n"))
	}
}

func TestCancelRunsCleanup(t *testing.T) {
	posix(t)
	t.Parallel()
	rec, got := runUntil(t, options(t, hostProvider(t)), `
jobs:
  t:
    runs-on: host
    steps:
      - run: |
          echo started
          sleep 100
          echo never
      - run: echo never
      - if: failure()
        run: echo never
      - if: cancelled()
        run: echo "cancelled ${{ job.status }}"
      - if: always()
        run: echo cleanup
`, "started")
	checkSteps(t, rec, got, task.Cancelled, task.Cancelled, task.Skipped, task.Skipped, task.Success, task.Success)
	if !hasRow(got.Rows, "cancelled cancelled") || slices.Contains(got.Rows, "never") || !slices.Contains(got.Rows, "cleanup") {
		t.Log(strings.Join(got.Rows, "\n"))
		t.Error("the cleanup did not run as it should")
	}
}

// A step that would run after a cancel is left alone by it.
func TestCancelLeavesAlwaysSteps(t *testing.T) {
	posix(t)
	t.Parallel()
	rec, got := runUntil(t, options(t, hostProvider(t)), `
jobs:
  t:
    runs-on: host
    steps:
      - if: always()
        run: |
          echo started
          sleep 0.3
          echo finished
      - run: echo never
`, "started")
	checkSteps(t, rec, got, task.Cancelled, task.Success, task.Skipped)
	if !slices.Contains(got.Rows, "finished") {
		t.Error("the step was ended")
	}
}

func TestCancelKillsTheTree(t *testing.T) {
	posix(t)
	t.Parallel()
	mark := filepath.Join(t.TempDir(), "alive")
	_, got := runUntil(t, options(t, hostProvider(t)), fmt.Sprintf(`
jobs:
  t:
    runs-on: host
    steps:
      - run: |
          trap '' TERM
          (trap '' TERM; for i in $(seq 100); do sleep 0.1; date +%%s%%N > %s; done) &
          echo started
          wait
`, mark), "started")
	if got.Result != task.Cancelled {
		t.Errorf("result %s", got.Result)
	}
	before, _ := os.ReadFile(mark)
	time.Sleep(300 * time.Millisecond)
	if after, _ := os.ReadFile(mark); string(after) != string(before) {
		t.Error("a process has outlived the job")
	}
}

func TestTimeouts(t *testing.T) {
	posix(t)
	for _, c := range []struct {
		name, workflow string
		timeout        time.Duration
		result         task.Result
		steps          []task.Result
		row            string
	}{
		{"step", `
jobs:
  t:
    runs-on: host
    steps:
      - {run: sleep 100, timeout-minutes: 0.005}
      - {run: echo never}
      - {if: failure(), run: echo after}
`, 0, task.Failure, []task.Result{task.Failure, task.Skipped, task.Success}, "longer than its limit of 0.005 minutes"},
		{"step with an expression", `
jobs:
  t:
    runs-on: host
    env: {LIMIT: "0.005"}
    steps:
      - {run: sleep 100, timeout-minutes: "${{ fromJSON(env.LIMIT) }}", continue-on-error: "true"}
      - {run: echo on}
`, 0, task.Success, []task.Result{task.Success, task.Success}, "limit of 0.005 minutes"},
		{"job", `
jobs:
  t:
    runs-on: host
    timeout-minutes: "0.01"
    steps:
      - {run: sleep 100}
      - {run: echo never}
      - {if: always(), run: "echo cleanup"}
`, 0, task.Failure, []task.Result{task.Cancelled, task.Skipped, task.Success}, "The job has run for longer than its limit of 0.01 minutes"},
		{"default of the job", `
jobs:
  t:
    runs-on: host
    steps:
      - {run: sleep 100}
`, 500 * time.Millisecond, task.Failure, []task.Result{task.Cancelled}, "The job has run for longer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, hostProvider(t))
			o.Timeout = c.timeout
			rec, got := run(t, o, newCase(c.workflow).Task(1), nil)
			checkSteps(t, rec, got, c.result, c.steps...)
			if !hasRow(got.Rows, c.row) {
				t.Errorf("no row %q in\n%s", c.row, strings.Join(got.Rows, "\n"))
			}
		})
	}
}

// Cleanup has a bound of its own, and the end of the context ends everything.
func TestCleanupIsBounded(t *testing.T) {
	posix(t)
	t.Parallel()
	o := options(t, hostProvider(t))
	o.Grace, o.CleanupTimeout = 100*time.Millisecond, 3*time.Second
	_, got := runUntil(t, o, `
jobs:
  t:
    runs-on: host
    steps:
      - {run: "echo started; sleep 100"}
      - {if: always(), run: sleep 100}
      - {if: always(), run: echo never}
`, "started")
	if got.Result != task.Cancelled || got.Steps[1] != task.Cancelled || got.Steps[2] != task.Skipped {
		t.Errorf("result %s, steps %v", got.Result, got.Steps)
	}
}

func TestHardEnd(t *testing.T) {
	posix(t)
	t.Parallel()
	tk := newCase(`{jobs: {t: {runs-on: host, steps: [{if: always(), run: "echo started; sleep 100"}, {if: always(), run: echo never}]}}}`).Task(1)
	rec := jobtest.NewRecorder(tk)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	result := job.New(options(t, hostProvider(t))).Run(ctx, nil, tk, waitRow{rec, "started", cancel})
	if result != task.Cancelled || slices.Contains(rec.Rows(), "never") {
		t.Errorf("result %s\n%s", result, strings.Join(rec.Rows(), "\n"))
	}
}

func TestCancelBeforeStart(t *testing.T) {
	t.Parallel()
	tk := newCase(`{jobs: {t: {runs-on: host, steps: [{run: echo never}]}}}`).Task(1)
	cancel := make(chan struct{})
	close(cancel)
	_, got := run(t, options(t, hostProvider(t)), tk, cancel)
	if got.Result != task.Cancelled || slices.Contains(got.Rows, "never") {
		t.Errorf("result %s\n%s", got.Result, strings.Join(got.Rows, "\n"))
	}
}
