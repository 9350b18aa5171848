package container_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"otelrunner/sandbox/container"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestSpans: what takes time is told, and nothing but that: the engine's client
// would tell of its own calls, past the masker of the job.
func TestSpans(t *testing.T) {
	lab := engine(t)
	rec := tracetest.NewSpanRecorder()
	ctx, job := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer("").Start(t.Context(), "job")
	s, err := lab.provider(t, container.Options{}).Open(ctx, newSpec())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(context.WithoutCancel(ctx)); err != nil {
		t.Error(err)
	}
	job.End()
	var names []string
	for _, s := range rec.Ended() {
		names = append(names, s.Name())
		if strings.Contains(s.Name(), "/") {
			t.Errorf("the span %q is the client's own", s.Name())
		}
	}
	for _, want := range []string{"reach container engine", "create network", "create container", "start container", "remove containers"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no span %q in %q", want, names)
		}
	}
}
