package otel

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func newSpanRecorder() *tracetest.SpanRecorder { return tracetest.NewSpanRecorder() }

// TestRootSpan has a root that is emitted by one process, and a job below it by
// another.
func TestRootSpan(t *testing.T) {
	clearEnv(t)
	run := Run{Server: "https://git.example", Repository: "o/r", ID: 7, Attempt: 2}
	first, second := newSpanRecorder(), newSpanRecorder()
	one, err := NewProviders(t.Context(), ProvidersOptions{Spans: first})
	if err != nil {
		t.Fatal(err)
	}
	two, err := NewProviders(t.Context(), ProvidersOptions{Spans: second})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Unix(1000, 0)
	run.EmitRoot(one.Tracer(), "RUN ci.yml", began, began.Add(time.Minute), []attribute.KeyValue{attribute.String("k", "v")}, nil)
	_, job := two.Tracer().Start(run.Context(t.Context()), "job")
	job.End()

	root, below := first.Ended()[0], second.Ended()[0]
	if root.SpanContext().TraceID() != run.TraceID() || root.SpanContext().SpanID() != run.RootSpanID() || root.Parent().IsValid() {
		t.Errorf("the root is %v below %v", root.SpanContext(), root.Parent())
	}
	if root.SpanKind() != trace.SpanKindServer || root.StartTime() != began || root.EndTime().Sub(began) != time.Minute {
		t.Errorf("the root is %v from %v to %v", root.SpanKind(), root.StartTime(), root.EndTime())
	}
	if below.SpanContext().TraceID() != run.TraceID() || below.Parent().SpanID() != run.RootSpanID() {
		t.Errorf("the job is %v below %v", below.SpanContext(), below.Parent())
	}
	before := run
	before.Attempt = 1
	if links := root.Links(); len(links) != 1 || links[0].SpanContext.TraceID() != before.TraceID() || links[0].SpanContext.SpanID() != before.RootSpanID() {
		t.Errorf("the links are %v, want one to the attempt before", links)
	}
	if links := before.Links(); links != nil {
		t.Errorf("a first attempt has the links %v", links)
	}
}
