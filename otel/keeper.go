package otel

import (
	"context"
	"slices"
	"sync"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// A Keeper keeps spans in memory for whoever shows them: see
// ProvidersOptions.Spans. It is safe for concurrent use.
type Keeper struct {
	limit int

	mu    sync.Mutex
	spans []sdktrace.ReadOnlySpan
	lost  int
}

var _ sdktrace.SpanProcessor = (*Keeper)(nil)

// NewKeeper keeps the first limit spans that end.
func NewKeeper(limit int) *Keeper { return &Keeper{limit: limit} }

// OnStart implements sdktrace.SpanProcessor.
func (*Keeper) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (k *Keeper) OnEnd(s sdktrace.ReadOnlySpan) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.spans) >= k.limit {
		k.lost++
		return
	}
	k.spans = append(k.spans, s)
}

// Shutdown implements sdktrace.SpanProcessor.
func (*Keeper) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*Keeper) ForceFlush(context.Context) error { return nil }

// Spans are the spans that have ended, in the order of their starts, and how many
// more there were.
func (k *Keeper) Spans() (spans []sdktrace.ReadOnlySpan, lost int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	spans = slices.Clone(k.spans)
	slices.SortStableFunc(spans, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	return spans, k.lost
}
