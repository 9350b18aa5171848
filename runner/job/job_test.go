package job_test

import (
	"context"
	"log/slog"
	"os"
	"testing"

	"otelrunner/runner/action"
	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
)

// hostProvider returns a provider of host sandboxes in a folder of the test.
func hostProvider(t testing.TB) sandbox.Provider {
	t.Helper()
	p, err := host.New(t.Context(), host.Options{Root: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// options returns what the tests' runners have in common.
func options(t testing.TB, p sandbox.Provider) job.Options {
	t.Helper()
	labels, err := label.ParseList([]string{"host:host", "second:host", "box:docker://box:1"})
	if err != nil {
		t.Fatal(err)
	}
	return job.Options{
		Name: "tester", Version: "v9.9.9", Labels: labels,
		Providers: map[label.Scheme]sandbox.Provider{label.Host: p},
		Env:       map[string]string{"FROM_RUNNER": "runner-envs"},
		Logger:    slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
}

// run runs a task and checks the order of the sink's calls.
func run(t testing.TB, o job.Options, tk *task.Task, cancel <-chan struct{}) (*jobtest.Recorder, jobtest.Outcome) {
	t.Helper()
	rec := jobtest.NewRecorder(tk)
	result := job.New(o).Run(context.WithoutCancel(t.Context()), cancel, tk, rec)
	for _, p := range rec.Problems() {
		t.Error(p)
	}
	return rec, rec.Outcome(result)
}

// fetcher returns what finds actions, with a cache of the test's own.
func fetcher(t testing.TB) *action.Fetcher {
	t.Helper()
	f, err := action.New(action.Options{Dir: t.TempDir(), Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestCases runs every case of testdata on the host sandbox.
func TestCases(t *testing.T) {
	cases, err := jobtest.Load(os.DirFS("testdata"))
	if err != nil {
		t.Fatal(err)
	}
	p := hostProvider(t)
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.SkipUnless(t)
			c.Serve(t)
			o := options(t, c.WithFiles(p))
			o.Actions = fetcher(t)
			_, got := run(t, o, c.Task(int64(i+1)), nil)
			c.Check(t, got)
		})
	}
}
