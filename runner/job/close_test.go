package job_test

import (
	"context"
	"errors"
	"testing"

	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
)

// slow is a sandbox whose removal may wait.
type slow struct {
	*fake
	retired int
	resists error
}

func (s *slow) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	_, err := s.fake.Open(ctx, spec)
	return s, err
}

func (s *slow) Retire(context.Context) error {
	s.retired++
	return s.resists
}

// patient is a sink that removes later.
type patient struct {
	*jobtest.Recorder
	later []func()
}

func (p *patient) Later(remove func()) { p.later = append(p.later, remove) }

// A sandbox whose removal takes long is removed when the result is known, where
// somebody sees to it; nothing runs in it any more by then.
func TestRemovalWaitsForTheResult(t *testing.T) {
	run := func(context.Context, *sandbox.Command, string) (sandbox.Result, error) { return sandbox.Result{}, nil }
	s := &slow{fake: &fake{run: run}}
	tk := newCase(`{jobs: {t: {runs-on: host, steps: [{run: one, shell: pwsh}]}}}`).Task(7)
	sink := &patient{Recorder: jobtest.NewRecorder(tk)}
	if got := job.New(options(t, s)).Run(t.Context(), nil, tk, sink); got != task.Success {
		t.Fatalf("result is %s: %v", got, sink.Outcome(got).Rows)
	}
	if s.retired != 1 || s.closed != 0 || len(sink.later) != 1 {
		t.Fatalf("before the result is told: retired %d times, closed %d times, %d put off", s.retired, s.closed, len(sink.later))
	}
	if rows := sink.Outcome(task.Success).Rows; hasRow(rows, "emptied") {
		t.Errorf("rows of an end without a fault: %v", rows)
	}
	sink.later[0]()
	if s.closed != 1 {
		t.Errorf("closed %d times, want 1", s.closed)
	}

	t.Run("a process resists", func(t *testing.T) {
		s := &slow{fake: &fake{run: run}, resists: errors.New("process 7 is left")}
		sink := &patient{Recorder: jobtest.NewRecorder(tk)}
		got := job.New(options(t, s)).Run(t.Context(), nil, tk, sink)
		if rows := sink.Outcome(got).Rows; !hasRow(rows, "##[warning]The sandbox could not be emptied wholly: process 7 is left") {
			t.Errorf("the log does not say so: %v", rows)
		}
	})

	t.Run("nobody waits", func(t *testing.T) {
		s := &slow{fake: &fake{run: run}}
		runFake(t, s.fake, twoSteps, func(o *job.Options) { o.Providers["host"] = s })
		if s.retired != 0 || s.closed != 1 {
			t.Errorf("retired %d times, closed %d times", s.retired, s.closed)
		}
	})
}
