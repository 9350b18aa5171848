//go:build bench

package bench

import (
	"context"
	"testing"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/observe"

	"go.opentelemetry.io/otel/trace"
)

// instruments is the cost of the metrics as a runner has them: shown on /metrics and
// exported by OTLP.
func instruments(t *testing.T, row printer) {
	inSpan := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	}))
	sink := newSink(t)
	for _, c := range []struct {
		name string
		ctx  context.Context
		f    func(context.Context, *otel.Instruments)
	}{
		{"a counter", context.Background(), func(ctx context.Context, in *otel.Instruments) { in.Cache(ctx, observe.CacheAction, true) }},
		{"a histogram", context.Background(), func(ctx context.Context, in *otel.Instruments) { in.JobQueued(ctx, time.Second) }},
		{"a histogram with labels, in a sampled span", inSpan, func(ctx context.Context, in *otel.Instruments) {
			in.Step(ctx, "host", observe.Success, time.Second)
		}},
	} {
		cost, allocs := instrumentCost(t, sink, c.ctx, c.f)
		row("one operation of %s, 2 readers | %d ns, %.0f allocations | ≤ 250 ns, 0 allocations | %.2f", c.name, cost.Nanoseconds(), allocs, float64(cost.Nanoseconds())/250)
	}
}

// instrumentCost is the processor time that f takes on the instruments of a runner:
// the clock's would be that of the machine's other work, too.
func instrumentCost(t *testing.T, sink string, ctx context.Context, f func(context.Context, *otel.Instruments)) (cost time.Duration, allocs float64) {
	t.Helper()
	p, err := otel.NewProviders(context.Background(), otel.ProvidersOptions{Endpoint: sink, Version: "bench"})
	must(t, err)
	defer func() { must(t, p.Shutdown(context.Background())) }()
	in, err := otel.NewInstruments(p.MeterProvider(), otel.InstrumentOptions{Name: "bench", Version: "bench", Capacity: 1})
	must(t, err)
	f(ctx, in) // its series exists
	allocs = testing.AllocsPerRun(100, func() { f(ctx, in) })
	const n = 300_000
	cost = median(5, func() time.Duration {
		return cpu(func() {
			for range n {
				f(ctx, in)
			}
		}) / n
	})
	return cost, allocs
}
