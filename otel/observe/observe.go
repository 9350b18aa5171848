// Package observe is how the rooms below the runner tell what takes time in a
// job, without knowing who listens: a span where traces are recorded, a
// measurement where metrics are. Both travel in the context, so that a sandbox
// or the fetcher of actions needs no more than the context that it has anyway.
// Where nobody listens, the calls do nothing.
//
// It is the single door to the spans of a job: every name, attribute and error
// goes through the job's masker here.
package observe

import (
	"context"
	"net"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// scopeName is the instrumentation scope of the spans.
const scopeName = "otelrunner/otel"

// A Meter takes the measurements of one job. Its methods are called from several
// goroutines and return at once. The context holds the span that an exemplar
// points at.
type Meter interface {
	// Phase says how long a phase of a sandbox took.
	Phase(ctx context.Context, p Phase, d time.Duration)
	// Cache counts one look into a cache.
	Cache(ctx context.Context, c Cache, hit bool)
	// Limit counts a limit of a kind of sandbox that ended a command.
	Limit(ctx context.Context, sandbox, limit string)
	// Step says how long a step ran and with which result of the CI/CD
	// conventions.
	Step(ctx context.Context, sandbox string, r Result, d time.Duration)
	// Job says how a job ended, once, and what its commands took together;
	// usage is zero where it is not known.
	Job(ctx context.Context, sandbox string, e End, cpu time.Duration, peakMemory int64)
}

// End is the end of a job or step.
type End struct {
	Result Result
	// ErrorType is error.type: a constant; "" for a good end.
	ErrorType string
	// Text says what went wrong, masked when it becomes part of a span.
	Text string
}

// Scope is what one job is observed with.
type Scope struct {
	// Mask hides the job's secrets; nil hides nothing.
	Mask func(string) string
	// Meter takes the measurements; nil drops them.
	Meter Meter
	// Steps are attributes of every step's span.
	Steps []attribute.KeyValue
	// JobURL is the page of the job as far as it is known when it is called;
	// nil is not known.
	JobURL func() string
	// Propagate gives every program of a step the variables TRACEPARENT,
	// TRACESTATE and BAGGAGE.
	Propagate bool
	// Baggage is the value of the latter.
	Baggage string
	// StepEndpoint is where the job's programs may send telemetry of their own,
	// from this machine; "" is nowhere.
	StepEndpoint string
	// StepDial opens a connection to there, for programs that have a loopback of
	// their own; nil is none. It is safe for concurrent use.
	StepDial func(context.Context) (net.Conn, error)
	// TraceURL is where the trace is shown; "" is not known.
	TraceURL string
	// SpanBegins, if set, is told of the span whose work begins or goes on: a
	// step's, and the one around it when that ends. One goroutine calls it.
	SpanBegins func(ctx context.Context)
}

type scopeKey struct{}

// With makes what happens in the context observed by s.
func With(ctx context.Context, s *Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// From is the scope of a context; one that observes nothing where there is none.
func From(ctx context.Context) *Scope {
	if s, ok := ctx.Value(scopeKey{}).(*Scope); ok {
		return s
	}
	return &Scope{}
}

// Begins calls SpanBegins.
func (s *Scope) Begins(ctx context.Context) {
	if s.SpanBegins != nil {
		s.SpanBegins(ctx)
	}
}

// mask masks a text, and makes it valid UTF-8: an exporter would refuse the whole
// batch otherwise.
func (s *Scope) mask(text string) string {
	if s.Mask != nil {
		text = s.Mask(text)
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// Masked masks the texts of attributes.
func (s *Scope) Masked(attrs []attribute.KeyValue) []attribute.KeyValue {
	out := make([]attribute.KeyValue, len(attrs))
	for i, kv := range attrs {
		switch kv.Value.Type() {
		case attribute.STRING:
			kv.Value = attribute.StringValue(s.mask(kv.Value.AsString()))
		case attribute.STRINGSLICE:
			list := kv.Value.AsStringSlice()
			for n := range list {
				list[n] = s.mask(list[n])
			}
			kv.Value = attribute.StringSliceValue(list)
		default: // numbers and the like hold no secret
		}
		out[i] = kv
	}
	return out
}

// Tracer makes spans that go where the context's span goes.
func Tracer(ctx context.Context) trace.Tracer {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer(scopeName)
}

// Span begins a span in the one of the context; end ends it, with the error that
// the work ended with.
func Span(ctx context.Context, name string, attrs ...attribute.KeyValue) (_ context.Context, end func(error)) {
	return span(ctx, name, trace.SpanKindInternal, attrs)
}

// Call is Span for a call of another service.
func Call(ctx context.Context, name string, attrs ...attribute.KeyValue) (_ context.Context, end func(error)) {
	return span(ctx, name, trace.SpanKindClient, attrs)
}

func span(ctx context.Context, name string, kind trace.SpanKind, attrs []attribute.KeyValue) (context.Context, func(error)) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx, func(error) {}
	}
	s := From(ctx)
	ctx, sp := Tracer(ctx).Start(ctx, s.mask(name), trace.WithSpanKind(kind), trace.WithAttributes(s.Masked(attrs)...))
	return ctx, func(err error) {
		fail(s, sp, err)
		sp.End()
	}
}

// Since tells of work that has ended already, as a span that begins at began.
func Since(ctx context.Context, name string, began, ended time.Time, attrs ...attribute.KeyValue) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	s := From(ctx)
	_, sp := Tracer(ctx).Start(ctx, s.mask(name), trace.WithTimestamp(began), trace.WithAttributes(s.Masked(attrs)...))
	sp.End(trace.WithTimestamp(ended))
}

// SinceFailed is Since for a call of another service that failed just now.
func SinceFailed(ctx context.Context, name string, began time.Time, err error, attrs ...attribute.KeyValue) {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	s := From(ctx)
	_, sp := Tracer(ctx).Start(ctx, s.mask(name), trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(s.Masked(attrs)...))
	fail(s, sp, err)
	sp.End()
}

// Attributes adds attributes to the context's span.
func Attributes(ctx context.Context, attrs ...attribute.KeyValue) {
	if sp := trace.SpanFromContext(ctx); sp.IsRecording() {
		sp.SetAttributes(From(ctx).Masked(attrs)...)
	}
}

// Start begins a phase: a span, and a measurement when it ends.
func Start(ctx context.Context, p Phase, attrs ...attribute.KeyValue) (_ context.Context, end func(error)) {
	m := From(ctx).Meter
	began := time.Now()
	ctx, endSpan := Span(ctx, p.String(), attrs...)
	return ctx, func(err error) {
		if m != nil && err == nil {
			m.Phase(ctx, p, time.Since(began))
		}
		endSpan(err)
	}
}

// Done tells of a phase that has ended already: it began at began and took d.
func Done(ctx context.Context, p Phase, began time.Time, d time.Duration) {
	if m := From(ctx).Meter; m != nil {
		m.Phase(ctx, p, d)
	}
	Since(ctx, p.String(), began, began.Add(d))
}

// Looked counts one look into a cache.
func Looked(ctx context.Context, c Cache, hit bool) {
	if m := From(ctx).Meter; m != nil {
		m.Cache(ctx, c, hit)
	}
}
