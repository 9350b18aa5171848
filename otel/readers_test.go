package otel

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"otelrunner/otel/observe"
	"otelrunner/runner/task"
)

// twoReaders gives instruments that are read as in production: by the bridge to
// Prometheus and by an exporter, which nobody answers here.
func twoReaders(tb testing.TB) *Instruments {
	tb.Helper()
	p, err := NewProviders(context.Background(), ProvidersOptions{Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Shutdown(ctx) // it cannot be sent
	})
	in, err := NewInstruments(p.MeterProvider(), InstrumentOptions{Capacity: 4})
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

func operations(in *Instruments) map[string]func(context.Context) {
	return map[string]func(context.Context){
		"PollFetch":   func(ctx context.Context) { in.PollFetch(ctx, FetchEmpty, time.Millisecond) },
		"PollBackoff": func(context.Context) { in.PollBackoff(time.Second) },
		"ClientError": func(ctx context.Context) { in.ClientError(ctx, MethodUpdateLog) },
		"Job":         func(ctx context.Context) { in.JobStarted(); in.JobFinished(ctx, task.Success, time.Second) },
		"ReportLog":   func(ctx context.Context) { in.ReportLog(ctx, true, time.Millisecond) },
		"ReportState": func(ctx context.Context) { in.ReportState(ctx, false, time.Millisecond) },
		"BufferRows":  func(context.Context) { in.BufferRows(1) },
		"JobQueued":   func(ctx context.Context) { in.JobQueued(ctx, time.Minute) },
		"Step":        func(ctx context.Context) { in.Step(ctx, "host", observe.Failure, time.Second) },
		"Phase":       func(ctx context.Context) { in.Phase(ctx, observe.WASMRun, time.Second) },
		"Cache":       func(ctx context.Context) { in.Cache(ctx, observe.CacheWASM, false) },
		"Limit":       func(ctx context.Context) { in.Limit(ctx, "docker", "memory") },
		"JobUsage":    func(ctx context.Context) { in.JobUsage(ctx, time.Second, 1<<20) },
		"SetCapacity": func(context.Context) { in.SetCapacity(5) },
	}
}

func TestNoAllocations(t *testing.T) {
	clearEnv(t)
	inSpan, _ := sampled(t.Context())
	for what, ctx := range map[string]context.Context{"": t.Context(), " in a span": inSpan} {
		for name, f := range operations(twoReaders(t)) {
			if n := testing.AllocsPerRun(1000, func() { f(ctx) }); n != 0 {
				t.Errorf("%s%s allocates %v times", name, what, n)
			}
		}
	}
}

// BenchmarkInstruments measures the methods with two readers, in a sampled span. The
// budget is 250 ns for one instrument's operation; Job, JobUsage and what counts and
// times are two.
func BenchmarkInstruments(b *testing.B) {
	ops := operations(twoReaders(b))
	ctx, _ := sampled(context.Background())
	for _, name := range slices.Sorted(maps.Keys(ops)) {
		f := ops[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f(ctx)
			}
		})
	}
}

// TestGaugesUnderDelta guards the choice of observable gauges: a recorded gauge
// is gone from the second export on when the backend wants deltas.
func TestGaugesUnderDelta(t *testing.T) {
	reader := sdkmetric.NewManualReader(sdkmetric.WithTemporalitySelector(sdkmetric.DeltaTemporalitySelector))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	in, err := NewInstruments(mp, InstrumentOptions{Capacity: 3})
	if err != nil {
		t.Fatal(err)
	}
	in.PollBackoff(4 * time.Second)
	for i := range 3 {
		if v := gauge(t, reader, "act_runner_poll_backoff"); v != 4 {
			t.Errorf("collection %d: backoff %v, want 4", i, v)
		}
	}
}

func gauge(t *testing.T, r sdkmetric.Reader, name string) float64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			if g, ok := m.Data.(metricdata.Gauge[float64]); ok && m.Name == name && len(g.DataPoints) == 1 {
				return g.DataPoints[0].Value
			}
		}
	}
	t.Fatalf("no gauge %s", name)
	return 0
}
