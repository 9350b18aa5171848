package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otelrunner/otel/observe"

	"go.opentelemetry.io/otel/trace"
)

// The causes for which what runs is ended. They are told apart by errors.Is.
var (
	errCancelled   = error(&ending{"the job was cancelled", observe.TypeCancellation})
	errJobTimeout  = error(&ending{"the job's time is over", observe.TypeTimeout})
	errStepTimeout = error(&ending{"the step's time is over", observe.TypeTimeout})
	errCleanup     = error(&ending{"the time for cleanup is over", observe.TypeTimeout})
)

// ending is a reason to end what runs, as a row and as a span's error.type.
type ending struct{ text, kind string }

func (e *ending) Error() string     { return e.text }
func (e *ending) ErrorType() string { return e.kind }

// life is how long the steps of a job or of a composite action may run. Both
// contexts end together with whatever encloses them.
type life struct {
	// hard ends everything.
	hard context.Context
	// soft ends what runs and lets cleanup run: its cause is errCancelled,
	// errJobTimeout or errStepTimeout.
	soft context.Context
}

// in is l with the values of a context, a span.
func (l life) in(ctx context.Context) life {
	span := trace.SpanFromContext(ctx)
	return life{trace.ContextWithSpan(l.hard, span), trace.ContextWithSpan(l.soft, span)}
}

// stopped reports whether only cleanup may run.
func (l life) stopped() bool { return l.soft.Err() != nil }

// newLife returns the life of a job. It ends softly when cancel is closed or
// after timeout, and hard with ctx or when cleanup has taken too long. release
// must be called; it waits for what newLife started.
func newLife(ctx context.Context, cancel <-chan struct{}, timeout, cleanup time.Duration) (l life, release func()) {
	hard, endHard := context.WithCancelCause(ctx)
	soft, endSoft := context.WithCancelCause(hard)
	select {
	case <-cancel: // before the first step can begin
		endSoft(errCancelled)
	default:
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		select {
		case <-cancel:
			endSoft(errCancelled)
		case <-timer.C:
			endSoft(errJobTimeout)
		case <-hard.Done():
			return
		}
		timer.Reset(cleanup)
		select {
		case <-timer.C:
			endHard(errCleanup)
		case <-hard.Done():
		}
	}()
	return life{hard, soft}, func() {
		endHard(context.Canceled)
		<-done
	}
}

// step returns the life of a step in l. A step that survives, because its
// condition holds after a cancel too, is ended by its own timeout only (0: none).
func (l life) step(survives bool, timeout time.Duration) (s life, release func()) {
	hard, endTimeout := l.hard, context.CancelFunc(func() {})
	if timeout > 0 {
		hard, endTimeout = context.WithTimeoutCause(hard, timeout, errStepTimeout)
	}
	soft, endSoft := context.WithCancelCause(hard)
	detach := func() bool { return true }
	if !survives {
		detach = context.AfterFunc(l.soft, func() { endSoft(context.Cause(l.soft)) })
	}
	return life{hard, soft}, func() {
		detach()
		endSoft(context.Canceled)
		endTimeout()
	}
}

// reason says in a row why something was ended.
func reason(cause error, timeout time.Duration) string {
	switch {
	case errors.Is(cause, errStepTimeout):
		return fmt.Sprintf("The step has run for longer than its limit of %s and was ended.", minutes(timeout))
	case errors.Is(cause, errJobTimeout):
		return "The step was ended because the job's time is over."
	case errors.Is(cause, errCleanup):
		return "The step was ended because the time for cleanup is over."
	case errors.Is(cause, errCancelled):
		return "The step was ended because the job was cancelled."
	}
	return "The step was ended because the runner stops."
}

// minutes prints a limit as a workflow gives it.
func minutes(d time.Duration) string {
	n := fmt.Sprintf("%g", float64(d)/float64(time.Minute))
	if n == "1" {
		return "1 minute"
	}
	return n + " minutes"
}
