package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"otelrunner/otel"
	"otelrunner/otel/observe"
	"otelrunner/runner/task"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// maxKeptSpans bounds what exec keeps of a run.
const maxKeptSpans = 100_000

// execTrace is the trace of one run of Exec.
type execTrace struct {
	telemetry *telemetry
	providers *otel.Providers
	keeper    *otel.Keeper // nil: nobody looks at the spans here
	root      trace.Span
	ctx       context.Context //nolint:containedctx // the root span's
}

// newExecTrace begins the root span of a run. Spans go where the standard
// variables or the configuration send them, and are kept where they are to be
// shown here.
func newExecTrace(ctx context.Context, o *ExecOptions) (*execTrace, error) {
	x := &execTrace{}
	options := otel.ProvidersOptions{
		Endpoint: o.Config.Otel.Endpoint, Protocol: o.Config.Otel.Protocol, Version: o.Version, Log: slog.New(o.Log),
	}
	if o.Trace || o.TraceOut != "" {
		x.keeper = otel.NewKeeper(maxKeptSpans)
		options.Spans = x.keeper
	}
	var err error
	if x.providers, err = otel.NewProviders(ctx, options); err != nil {
		return nil, err
	}
	o.Log = x.providers.LogHandler(o.Log)
	x.telemetry = newTelemetry(o.Config, x.providers, otel.Discard(), nil)
	x.telemetry.log = slog.New(o.Log)
	x.telemetry.name, x.telemetry.version = "exec", o.Version
	x.ctx, x.root = x.providers.Tracer().Start(ctx, "RUN "+filepath.Base(o.File), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.CICDPipelineName(filepath.Base(o.File)), semconv.CICDPipelineActionNameRun))
	return x, nil
}

// end ends the root span and shows or writes what was kept.
func (x *execTrace) end(o *ExecOptions, s *screen, result task.Result) error {
	observe.Ended(trace.ContextWithSpan(context.Background(), x.root), semconv.CICDPipelineResultKey, endOf(result))
	x.root.End()
	err := x.show(o, s) // first: a collector that is away is waited for
	if e := x.providers.Shutdown(context.WithoutCancel(x.ctx)); e != nil {
		slog.New(o.Log).Warn("the last telemetry could not be sent", "error", e)
	}
	return err
}

// show shows and writes what was kept.
func (x *execTrace) show(o *ExecOptions, s *screen) error {
	if x.keeper == nil {
		return nil
	}
	spans, lost := x.keeper.Spans()
	switch {
	case len(spans) == 0 && !x.providers.Tracing():
		s.printf("\nNo spans: OTEL_SDK_DISABLED turns telemetry off.\n")
	case len(spans) == 0:
		s.printf("\nNo spans: OTEL_TRACES_SAMPLER leaves this run out.\n")
	case o.Trace:
		s.waterfall(spans)
	}
	if lost > 0 {
		s.printf("%d more spans were not kept.\n", lost)
	}
	if o.TraceOut == "" {
		return nil
	}
	return writeTraceFile(o.TraceOut, spans)
}

func writeTraceFile(name string, spans []sdktrace.ReadOnlySpan) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("write the trace: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return otel.WriteTraces(f, spans)
}

// endOf is a result of a whole run.
func endOf(r task.Result) observe.End {
	switch r {
	case task.Success:
		return observe.End{Result: observe.Success}
	case task.Skipped:
		return observe.End{Result: observe.Skip}
	case task.Cancelled:
		return observe.End{Result: observe.Cancellation, ErrorType: observe.TypeCancellation}
	}
	return observe.End{Result: observe.Failure, ErrorType: "job_failed", Text: "a job failed"}
}
