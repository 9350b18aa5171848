package otel

import (
	"context"
	"log/slog"
	"sync"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// An outage keeps the account of exports that fail, over all signals, so that a
// collector that is away costs a counter and one warning. The errors end here:
// passed on, each would be printed by the process-wide error handler of
// OpenTelemetry.
type outage struct {
	log *slog.Logger

	// abort ends the exports that are still in flight when the time for the
	// shutdown is over; otherwise they would live on behind our back until
	// their own timeout.
	abort context.Context

	mu       sync.Mutex
	failures [signals]int64
	failing  [signals]bool
	shown    [signals]string
}

// export runs f, one export of s, and keeps its result.
func (o *outage) export(ctx context.Context, s signal, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(o.abort, cancel)()

	if err := f(ctx); err != nil {
		o.failed(ctx, s, err)
	} else {
		o.succeeded(ctx, s)
	}
}

func (o *outage) failed(ctx context.Context, s signal, err error) {
	level := slog.LevelDebug
	o.mu.Lock()
	if o.failing == [signals]bool{} {
		level = slog.LevelWarn
	}
	o.failing[s] = true
	o.failures[s]++
	o.mu.Unlock()

	o.log.Log(ctx, level, "telemetry could not be exported; jobs are not affected, and this is said once until it works again",
		"signal", s.String(), "endpoint", o.shown[s], "error", err)
}

func (o *outage) succeeded(ctx context.Context, s signal) {
	o.mu.Lock()
	was := o.failing != [signals]bool{}
	o.failing[s] = false
	over := was && o.failing == [signals]bool{}
	o.mu.Unlock()

	if over {
		o.log.InfoContext(ctx, "telemetry is exported again", "signal", s.String(), "endpoint", o.shown[s])
	}
}

// count is how many exports of s have failed.
func (o *outage) count(s signal) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failures[s]
}

// The three kinds of exporters, each counting its failures instead of returning
// them.

type metricExporter struct {
	sdkmetric.Exporter
	outage *outage
}

func (e metricExporter) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	if len(m.ScopeMetrics) == 0 {
		return nil
	}
	e.outage.export(ctx, signalMetrics, func(ctx context.Context) error { return e.Exporter.Export(ctx, m) })
	return nil
}

type spanExporter struct {
	sdktrace.SpanExporter
	outage  *outage
	backlog *backlog
}

func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	defer e.backlog.leave(len(spans))
	e.outage.export(ctx, signalTraces, func(ctx context.Context) error { return e.SpanExporter.ExportSpans(ctx, spans) })
	return nil
}

type logExporter struct {
	sdklog.Exporter
	outage  *outage
	backlog *backlog
}

func (e logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	if len(records) == 0 { // a flush of nothing says nothing about the collector
		return nil
	}
	defer e.backlog.leave(len(records))
	e.outage.export(ctx, signalLogs, func(ctx context.Context) error { return e.Exporter.Export(ctx, records) })
	return nil
}
