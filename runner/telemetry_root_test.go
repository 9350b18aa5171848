package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"otelrunner/otel"
	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/job"
	"otelrunner/runner/task"
)

// TestRootSpanWithoutJobs: two runners work at the same time on two jobs of a run, of
// which neither needs the other, and the server does not tell the run's jobs. By its list
// of tasks the root span is of the job that was given away first, whichever ends first.
func TestRootSpanWithoutJobs(t *testing.T) {
	for _, c := range []struct {
		name    string
		server  giteatest.Options
		fault   *giteatest.Fault
		attempt int
		before  int // tasks of other runs, between the two
		takes   [2]time.Duration
		roots   []int // whose root spans there are
	}{
		{name: "the first ends first", server: giteatest.Options{TasksAPI: true}, takes: [2]time.Duration{time.Minute, time.Hour}, roots: []int{0}},
		{name: "the first ends last", server: giteatest.Options{TasksAPI: true}, takes: [2]time.Duration{time.Hour, time.Minute}, roots: []int{0}},
		{name: "the jobs may not be read", server: giteatest.Options{TasksAPI: true, RunsAPI: true}, fault: new(giteatest.Status(403).On("RunJobs")), takes: [2]time.Duration{time.Hour, time.Minute}, roots: []int{0}},
		{name: "many tasks of others between them", server: giteatest.Options{TasksAPI: true}, before: 120, takes: [2]time.Duration{time.Hour, time.Minute}, roots: []int{0}},
		// What no list tells, each runner can only guess: both are right to their own mind.
		{name: "a later attempt", server: giteatest.Options{TasksAPI: true}, attempt: 2, takes: [2]time.Duration{time.Minute, time.Minute}, roots: []int{0, 1}},
		{name: "no list at all", takes: [2]time.Duration{time.Minute, time.Minute}, roots: []int{0, 1}},
		{name: "the list is refused", server: giteatest.Options{TasksAPI: true}, fault: new(giteatest.Status(403).On("Tasks")), takes: [2]time.Duration{time.Minute, time.Minute}, roots: []int{0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := giteatest.New(c.server)
				defer s.Close()
				if c.fault != nil {
					s.Inject(*c.fault)
				}
				options := giteatest.TaskOptions{RunID: 5, RunNumber: 3, Attempt: c.attempt}
				var ours []*watchedRunner
				var working sync.WaitGroup
				defer working.Wait()
				for i, takes := range c.takes {
					if i == 1 {
						giveAway(t, s, c.before)
					}
					s.AddWorkflow(anyJob, options)
					w := newWatchedRunner(t, s, fmt.Sprint(i), func(context.Context, <-chan struct{}, job.Sink) task.Result {
						time.Sleep(takes)
						return task.Success
					}, nil)
					ours = append(ours, w)
					working.Go(func() { w.takes(t) })
					time.Sleep(time.Second) // it has the task
				}
				working.Wait()

				var roots []int
				root := otel.Run{Server: s.URL(), Repository: "root1/demo", ID: 5, Attempt: int64(c.attempt)}.RootSpanID()
				for i, w := range ours {
					if slices.ContainsFunc(w.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s.SpanContext().SpanID() == root }) {
						roots = append(roots, i)
					}
				}
				if !slices.Equal(roots, c.roots) {
					t.Errorf("the root spans are of the runners %v, want %v", roots, c.roots)
				}
			})
		})
	}
}

// giveAway has another runner take and end so many tasks of other runs.
func giveAway(t *testing.T, s *giteatest.Server, tasks int) {
	t.Helper()
	if tasks == 0 {
		return
	}
	w := newWatchedRunner(t, s, "other", func(context.Context, <-chan struct{}, job.Sink) task.Result { return task.Success }, nil)
	for range tasks {
		s.AddWorkflow(anyJob, giteatest.TaskOptions{})
		w.takes(t)
	}
}

// TestFactsOfManyJobs: of a run's jobs the server's first page tells; a job that is not
// on it is not the first if one there comes before it.
func TestFactsOfManyJobs(t *testing.T) {
	created := time.Unix(1_700_000_000, 0)
	var page []gitea.RunJob
	for id := range int64(50) {
		page = append(page, gitea.RunJob{ID: 100 + id, Attempt: 1, URL: "u", Created: created})
	}
	for name, c := range map[string]struct {
		id, attempt int64
		want        runFacts
	}{
		"the first":                     {100, 1, runFacts{known: true, first: true, jobs: 50, url: "u", created: created, began: created}},
		"the last of the page":          {149, 1, runFacts{known: true, jobs: 50, url: "u", created: created, began: created}},
		"one of a later page":           {150, 1, runFacts{known: true}},
		"one before all of them":        {99, 1, runFacts{}},
		"of an attempt that has no job": {150, 2, runFacts{}},
	} {
		if got := factsOf(page, c.id, c.attempt); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
