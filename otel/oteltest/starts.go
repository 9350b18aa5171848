package oteltest

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Starts records spans, and with which attributes each was begun: what a sampler
// sees. Its zero value is not usable; see NewStarts.
type Starts struct {
	*tracetest.SpanRecorder

	mu    sync.Mutex
	begun map[string][]attribute.Set
}

// NewStarts is a processor that has seen nothing.
func NewStarts() *Starts {
	return &Starts{SpanRecorder: tracetest.NewSpanRecorder(), begun: map[string][]attribute.Set{}}
}

// OnStart implements sdktrace.SpanProcessor.
func (s *Starts) OnStart(ctx context.Context, span sdktrace.ReadWriteSpan) {
	s.mu.Lock()
	s.begun[span.Name()] = append(s.begun[span.Name()], attribute.NewSet(span.Attributes()...))
	s.mu.Unlock()
	s.SpanRecorder.OnStart(ctx, span)
}

// Of are the attributes that the spans of a name were begun with, in their order.
func (s *Starts) Of(name string) []attribute.Set {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun[name]
}

// Missing is which of keys the first span of a name had not when it began; all, if
// there was none.
func (s *Starts) Missing(name string, keys ...attribute.Key) (missing []attribute.Key) {
	begun := s.Of(name)
	for _, key := range keys {
		if len(begun) == 0 || !begun[0].HasValue(key) {
			missing = append(missing, key)
		}
	}
	return missing
}
