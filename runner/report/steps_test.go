package report_test

import (
	"strings"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

type span struct {
	result        task.Result
	index, length int64
}

func spans(steps []giteatest.Step) (out []span) {
	for _, s := range steps {
		out = append(out, span{s.Result, s.LogIndex, s.LogLength})
	}
	return out
}

func checkSpans(w *world, want ...span) {
	w.t.Helper()
	got := w.task()
	if diff := cmp.Diff(want, spans(got.Steps), cmp.AllowUnexported(span{})); diff != "" {
		w.t.Errorf("steps (-want +got):\n%s", diff)
	}
	// As Gitea finds "Complete job": nothing may lie between two steps.
	end := want[0].index
	for i, s := range want {
		if s.index != end {
			w.t.Errorf("step %d begins at %d, the one before it ended at %d", i, s.index, end)
		}
		end += s.length
	}
}

func TestWhichRowsAreWhose(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		now := time.Now()
		w.row("set up 0")
		w.row("set up 1")
		w.r.StepStarted(0, now)
		w.row("first\nof two lines")
		w.r.StepFinished(0, task.Success, now)
		w.row("between: belongs to the next step")
		w.r.StepFinished(1, task.Skipped, now)
		w.row("this, too")
		w.r.StepStarted(2, now)
		w.row("third")
		w.r.StepFinished(2, task.Failure, now)
		w.r.StepStarted(3, now)
		w.r.StepFinished(3, task.Success, now)
		w.r.StepFinished(4, task.Skipped, now)
		w.row("post step")
		w.row("complete job")
		w.finish(task.Failure)
		checkSpans(w, span{task.Success, 2, 2}, span{task.Skipped, 4, 0}, span{task.Failure, 4, 3},
			span{task.Success, 7, 0}, span{task.Skipped, 7, 0})
		if got := w.task(); got.RowCount != 10 || got.Result != task.Failure {
			w.t.Errorf("%+v", got)
		}
	})
}

func TestALongLineCountsAsItsRows(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.r.StepStarted(0, time.Now())
		w.row(strings.Repeat("l", 3*report.MaxRow))
		w.r.StepFinished(0, task.Success, time.Now())
		w.finish(task.Success)
		checkSpans(w, span{task.Success, 0, 3})
	})
}

func TestStepsThatTheJobLeftOpen(t *testing.T) {
	for _, result := range []task.Result{task.Failure, task.Cancelled} {
		inBubble(t, report.Options{}, func(w *world) {
			w.r.StepFinished(0, task.Skipped, time.Now())
			w.r.StepStarted(2, time.Now())
			w.row("x")
			w.finish(result)
			checkSpans(w, span{task.Skipped, 0, 0}, span{task.Skipped, 0, 0}, span{result, 0, 1})
			for i, s := range w.task().Steps {
				if s.Started.IsZero() || s.Stopped.IsZero() {
					w.t.Errorf("step %d has no times", i)
				}
			}
		})
	}
}

func TestAJobWithoutStepsOrRows(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.finish(task.Success)
		delivered(w, []string{}, task.Success)
		if n := len(w.s.Calls("")); n != 2 {
			w.t.Errorf("%d calls, want the seal and the state", n)
		}
	})
}

// A job that ended before its steps were known leaves none of them waiting.
func TestStepsThatNothingWasSaidOfAreSkipped(t *testing.T) {
	inBubble(t, report.Options{Steps: 2}, func(w *world) {
		w.row("The workflow cannot be run")
		w.finish(task.Failure)
		checkSpans(w, span{task.Skipped, 1, 0}, span{task.Skipped, 1, 0})
	})
	inBubble(t, report.Options{Steps: 3}, func(w *world) {
		w.r.StepStarted(0, time.Now())
		w.row("x")
		w.finish(task.Failure)
		checkSpans(w, span{task.Failure, 0, 1}, span{task.Skipped, 1, 0}, span{task.Skipped, 1, 0})
	})
}
