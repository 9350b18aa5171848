package otel

import (
	"context"
	"sync/atomic"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The bounds of the queues before the exporters, and the variables that change
// them. A runner of ten jobs makes a few hundred spans a minute; job logs come in
// bursts.
const (
	spanQueue   = 4096
	spanQueueBy = "OTEL_BSP_MAX_QUEUE_SIZE"
	logQueue    = 16384
	logQueueBy  = "OTEL_BLRP_MAX_QUEUE_SIZE"
)

// A backlog counts what waits for one exporter, and what found no room. The SDK's
// own queue of spans drops silently: with at most as many waiting as it holds, it
// never does, and it is counted here.
type backlog struct {
	limit   int64
	waiting atomic.Int64
	dropped atomic.Int64
}

// newBacklog bounds a queue; a variable of e that is a positive number wins.
func newBacklog(e env, variable string, limit int) *backlog {
	return &backlog{limit: int64(e.positive(variable, limit))}
}

// enter reports whether there is room for one more.
func (b *backlog) enter() bool {
	if b.waiting.Add(1) <= b.limit {
		return true
	}
	b.waiting.Add(-1)
	b.dropped.Add(1)
	return false
}

// leave says that n have been exported, or given up.
func (b *backlog) leave(n int) { b.waiting.Add(-int64(n)) }

// boundedSpans lets into a processor what it has room for.
type boundedSpans struct {
	sdktrace.SpanProcessor
	backlog *backlog
}

func (p boundedSpans) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() && p.backlog.enter() {
		p.SpanProcessor.OnEnd(s)
	}
}

// boundedLogs is boundedSpans for log records.
type boundedLogs struct {
	sdklog.Processor
	backlog *backlog
}

func (p boundedLogs) OnEmit(ctx context.Context, r *sdklog.Record) error {
	if !p.backlog.enter() {
		return nil
	}
	return p.Processor.OnEmit(ctx, r) //nolint:wrapcheck // this is a processor, too
}
