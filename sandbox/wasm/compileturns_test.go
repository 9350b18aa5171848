package wasm

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestCompileTurns has jobs wait for their turn to compile: their log says so where it
// takes long, their trace in any case, and a cancel ends it at once.
func TestCompileTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recorder := tracetest.NewSpanRecorder()
		tracing := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
		defer func() { _ = tracing.Shutdown(context.Background()) }()
		var running, most atomic.Int64
		const took = 4 * time.Second
		c := newCache(t, 0, 10, func(ctx context.Context) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			select {
			case <-time.After(took):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		c.turns = NewTurns(1)
		cause := errors.New("the job was canceled")
		jobs := []struct {
			name  string
			leave time.Duration
			took  time.Duration
			told  int // lines
			waits int // spans
		}{
			{name: "first", took: took},
			{name: "second", took: 2 * took, waits: 1},
			{name: "third", leave: 6 * time.Second, took: 6 * time.Second, told: 1, waits: 1},
			{name: "fourth", leave: time.Second, took: time.Second, waits: 1},
			{name: "fifth", took: 3 * took, told: 1, waits: 1},
		}
		began := time.Now()
		ended := make(chan error)
		for i, j := range jobs {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			go func() {
				if j.leave > 0 {
					leave := time.AfterFunc(j.leave, func() { cancel(cause) })
					defer leave.Stop()
				}
				var told []string
				ctx, span := tracing.Tracer("test").Start(ctx, j.name)
				v, held, err := c.ensure(ctx, numbered(int32(i)), DefaultLimits(), asker{j.name, func(line string) { told = append(told, line) }}, nil) //nolint:gosec // a few
				held.end()
				span.End()
				if now := time.Since(began); now != j.took || v.Error != "" || (err != nil) != (j.leave > 0) || err != nil && !errors.Is(err, cause) {
					t.Errorf("%s ended after %v with %q and %v, want %v", j.name, now, v.Error, err, j.took)
				}
				if len(told) != j.told || j.told > 0 && (!strings.HasPrefix(told[0], Waiting) || !strings.Contains(told[0], "sandbox.compiles")) {
					t.Errorf("the log of the %s job says %q", j.name, told)
				}
				ended <- nil
			}()
			synctest.Wait()
		}
		for range jobs {
			<-ended
		}
		if n := most.Load(); n != 1 {
			t.Errorf("%d modules were compiled at a time", n)
		}
		for _, j := range jobs {
			if n := waitsIn(recorder.Ended(), j.name); n != j.waits {
				t.Errorf("the trace of the %s job tells of %d waits, want %d", j.name, n, j.waits)
			}
		}
	})
}

// waitsIn counts the waits for a turn in the trace with a root of this name.
func waitsIn(spans []sdktrace.ReadOnlySpan, root string) (n int) {
	for _, r := range spans {
		for _, s := range spans {
			if r.Name() == root && s.Name() == "wait for a turn to compile" && s.SpanContext().TraceID() == r.SpanContext().TraceID() {
				n++
			}
		}
	}
	return n
}
