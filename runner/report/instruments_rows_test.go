package report_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// operations counts the calls of instruments.
type operations struct{ n atomic.Int64 }

func (o *operations) ReportLog(context.Context, bool, time.Duration)   { o.n.Add(1) }
func (o *operations) ReportState(context.Context, bool, time.Duration) { o.n.Add(1) }
func (o *operations) ClientError(context.Context, otel.Method)         { o.n.Add(1) }
func (o *operations) BufferRows(int)                                   { o.n.Add(1) }
func (o *operations) BufferBytes(int)                                  { o.n.Add(1) }
func (o *operations) JournalBytes(int64)                               { o.n.Add(1) }

// TestRowsCostNoInstrument: a minute of a job that writes a thousand rows a second
// is measured with the operations of its requests, a hundredth of one a row.
func TestRowsCostNoInstrument(t *testing.T) {
	const seconds, each = 60, 1000
	ops := &operations{}
	inBubble(t, report.Options{Instruments: ops}, func(w *world) {
		var most int64
		for range seconds {
			before := ops.n.Load()
			for range each {
				w.row("a row as builds print them")
			}
			most = max(most, ops.n.Load()-before) // the sender has had no time
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if most > each/100 {
			w.t.Errorf("%d operations while %d rows were written, want none that comes with a row", most, each)
		}
		w.finish(task.Success)
		if n := ops.n.Load(); n == 0 || n > seconds*each/100 {
			w.t.Errorf("%d operations for %d rows, want some, and at most one for a hundred rows", n, seconds*each)
		}
	})
}
