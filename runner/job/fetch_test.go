package job_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
)

// besides runs a job of a container label whose step uses octo/act of a server that
// fault stands before.
func besides(t *testing.T, f *fake, fault func(w http.ResponseWriter, r *http.Request) bool) jobtest.Outcome {
	t.Helper()
	s := actiontest.NewServer()
	t.Cleanup(s.Close)
	s.Action("octo/act", map[string]string{"action.yml": "runs: {using: composite, steps: [{run: true, shell: bash}]}"})
	s.Fault(fault)
	f.run = func(context.Context, *sandbox.Command, string) (sandbox.Result, error) { return sandbox.Result{}, nil }
	c := newCase(`{jobs: {t: {runs-on: box, steps: [{run: one}, {uses: octo/act@v1, if: false}]}}}`)
	c.GitHub = map[string]any{"gitea_default_actions_url": s.URL}
	o := options(t, f)
	o.Providers["docker"] = f
	o.Actions = fetcher(t)
	var got jobtest.Outcome
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, got = run(t, o, c.Task(7), nil)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the job does not end: opening and fetching wait for each other")
	}
	if f.opened != f.closed {
		t.Errorf("opened %d, closed %d", f.opened, f.closed)
	}
	return got
}

func waitFor(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// TestActionsAreFetchedBesideTheOpening: opening ends after the server was asked for
// the action, and the answer comes after opening has ended.
func TestActionsAreFetchedBesideTheOpening(t *testing.T) {
	asked, opened := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f := &fake{opening: func(ctx context.Context) error {
		defer close(opened)
		return waitFor(ctx, asked)
	}}
	got := besides(t, f, func(_ http.ResponseWriter, r *http.Request) bool {
		once.Do(func() { close(asked) })
		return waitFor(r.Context(), opened) != nil
	})
	if got.Result != task.Success {
		t.Fatalf("result %s\n%s", got.Result, strings.Join(got.Rows, "\n"))
	}
	index := func(part string) int {
		return slices.IndexFunc(got.Rows, func(row string) bool { return strings.Contains(row, part) })
	}
	sandbox, actions, line := index(job.RowGroup+"Sandbox"), index(job.RowGroup+"Actions"), index("octo/act@v1")
	if sandbox < 0 || actions < sandbox || line < actions {
		t.Errorf("the rows are out of order\n%s", strings.Join(got.Rows, "\n"))
	}
}

// TestFailedFetchEndsTheOpening: nobody waits for an image whose job cannot run.
func TestFailedFetchEndsTheOpening(t *testing.T) {
	f := &fake{opening: func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	got := besides(t, f, func(w http.ResponseWriter, _ *http.Request) bool {
		http.NotFound(w, nil)
		return true
	})
	if got.Result != task.Failure || !hasRow(got.Rows, job.RowError+"octo/act@v1") {
		t.Errorf("result %s\n%s", got.Result, strings.Join(got.Rows, "\n"))
	}
}

// TestFailedOpeningEndsTheFetch: the reason in the log is the sandbox's.
func TestFailedOpeningEndsTheFetch(t *testing.T) {
	asked := make(chan struct{})
	var once sync.Once
	f := &fake{opening: func(ctx context.Context) error {
		return errors.Join(waitFor(ctx, asked), errors.New("the image box:1 was not found"))
	}}
	got := besides(t, f, func(_ http.ResponseWriter, r *http.Request) bool {
		once.Do(func() { close(asked) })
		<-r.Context().Done()
		return true
	})
	var errs []string
	for _, row := range got.Rows {
		if strings.HasPrefix(row, job.RowError) {
			errs = append(errs, row)
		}
	}
	if got.Result != task.Failure || len(errs) != 1 || errs[0] != job.RowError+"The image box:1 was not found" {
		t.Errorf("result %s, errors %q\n%s", got.Result, errs, strings.Join(got.Rows, "\n"))
	}
}
