package otel

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func TestOutageWarnsOnce(t *testing.T) {
	log := &recorder{}
	o := &outage{log: slog.New(log), abort: t.Context()}
	fail := func(s signal) {
		o.export(t.Context(), s, func(context.Context) error { return errors.New("refused") })
	}
	succeed := func(s signal) { o.export(t.Context(), s, func(context.Context) error { return nil }) }
	check := func(warnings, infos int) {
		t.Helper()
		if w, i := log.count(slog.LevelWarn), log.count(slog.LevelInfo); w != warnings || i != infos {
			t.Errorf("%d warnings and %d infos, want %d and %d", w, i, warnings, infos)
		}
	}

	succeed(signalTraces)
	check(0, 0)
	for range 100 {
		fail(signalMetrics)
		fail(signalLogs)
	}
	check(1, 0)
	if m, l, tr := o.count(signalMetrics), o.count(signalLogs), o.count(signalTraces); m != 100 || l != 100 || tr != 0 {
		t.Errorf("counted %d, %d, %d failures, want 100, 100, 0", m, l, tr)
	}
	succeed(signalTraces) // says nothing about the others
	succeed(signalMetrics)
	check(1, 0)
	succeed(signalLogs)
	check(1, 1)
	succeed(signalLogs)
	fail(signalTraces)
	check(2, 1)
}

// stuck is an exporter whose collector never answers.
type stuck struct{ sdkmetric.Exporter }

func (stuck) Export(ctx context.Context, _ *metricdata.ResourceMetrics) error {
	<-ctx.Done()
	return ctx.Err()
}

func (stuck) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (stuck) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}
func (stuck) Shutdown(context.Context) error { return nil }

// TestShutdownIsBounded has the clock of its own that the bound needs.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		abort, cancel := context.WithCancel(t.Context())
		o := &outage{log: discard(), abort: abort}
		mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExporter{stuck{}, o})))
		p := &Providers{outage: o, abort: cancel, meters: mp, shutdowns: []func(context.Context) error{mp.Shutdown}}
		in, err := NewInstruments(mp, InstrumentOptions{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(61 * time.Second) // the first periodic export is in flight
		record(t.Context(), in)

		start := time.Now()
		_ = p.Shutdown(context.Background()) // whether it is an error is the SDK's
		if d := time.Since(start); d > ShutdownTimeout {
			t.Errorf("the shutdown took %s, want at most %s", d, ShutdownTimeout)
		}
		if n := o.count(signalMetrics); n < 2 {
			t.Errorf("%d failures counted, want the one in flight and the last", n)
		}
		// The bubble fails the test if a goroutine is left.
	})
}

// stuckSpans is the same for spans, whose processor gives an export a context
// that outlives the shutdown.
type stuckSpans struct{ returned *atomic.Int32 }

func (e stuckSpans) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
	defer e.returned.Add(1)
	<-ctx.Done()
	return ctx.Err()
}
func (stuckSpans) Shutdown(context.Context) error { return nil }

func TestShutdownCutsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		abort, cancel := context.WithCancel(t.Context())
		o := &outage{log: discard(), abort: abort}
		var returned atomic.Int32
		tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(spanExporter{stuckSpans{&returned}, o, &backlog{}}))
		p := &Providers{outage: o, abort: cancel, tracers: tp, shutdowns: []func(context.Context) error{tp.Shutdown}}
		_, span := p.Tracer().Start(t.Context(), "job")
		span.End()

		start := time.Now()
		if err := p.Shutdown(context.Background()); !errors.Is(err, context.DeadlineExceeded) || strings.Count(err.Error(), "deadline") != 1 {
			t.Errorf("got %v, want that the time was over", err)
		}
		synctest.Wait()
		if d := time.Since(start); d != ShutdownTimeout || returned.Load() != 1 {
			t.Errorf("after %s %d exports have ended, want 1 after %s", d, returned.Load(), ShutdownTimeout)
		}
	})
}

// exportEverything makes something of each signal.
func exportEverything(t *testing.T, p *Providers, in *Instruments) {
	t.Helper()
	ctx, span := p.Tracer().Start(t.Context(), "job")
	record(ctx, in)
	slog.New(p.LogHandler(slog.DiscardHandler)).InfoContext(ctx, "hidden")
	slog.New(p.LogHandler(&recorder{})).InfoContext(ctx, "shown")
	span.End()
}

func TestDeadCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()

	for _, protocol := range []string{ProtocolHTTP, ProtocolGRPC} {
		t.Run(protocol, func(t *testing.T) {
			clearEnv(t)
			log := &recorder{}
			p, in, metrics := started(t, ProvidersOptions{Endpoint: url, Protocol: protocol, Log: slog.New(log)})
			if s := scrape(t, metrics)["act_runner_otel_export_failures_total"].Series; len(s) != 3 {
				t.Errorf("failures are counted for %v, want all signals", s)
			}
			exportEverything(t, p, in)
			ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
			defer cancel()
			if err := p.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a dead collector is no error of the runner: %v", err)
			}
			if n := log.count(slog.LevelWarn); n != 1 {
				t.Errorf("%d warnings, want 1", n)
			}
		})
	}
}

// TestHangingCollector has a collector that accepts and never answers.
func TestHangingCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	hangUp := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { _, _ = io.Copy(io.Discard, c) })
			wg.Go(func() { <-hangUp; c.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); close(hangUp); wg.Wait() })

	for _, protocol := range []string{ProtocolHTTP, ProtocolGRPC} {
		t.Run(protocol, func(t *testing.T) {
			clearEnv(t)
			t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "1") // ms: an export is in flight all the time
			log := &recorder{}
			p, in, metrics := started(t, ProvidersOptions{Endpoint: "http://" + l.Addr().String(), Protocol: protocol, Log: slog.New(log)})
			exportEverything(t, p, in)

			ctx := t.Context()
			for name, f := range operations(in) {
				// What the exporter allocates meanwhile is counted, too: the
				// least of several runs is the operation's own.
				least := testing.AllocsPerRun(100, func() { f(ctx) })
				for tries := 0; least > 0 && tries < 100; tries++ {
					least = min(least, testing.AllocsPerRun(100, func() { f(ctx) }))
				}
				if least > 0 {
					t.Errorf("%s allocates %v times while the collector hangs", name, least)
				}
			}
			for range 10_000 { // more than the queue holds
				_, span := p.Tracer().Start(ctx, "step")
				span.End()
			}
			scrape(t, metrics)

			bounded, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			defer cancel()
			start := time.Now()
			if err := p.Shutdown(bounded); err != nil && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(err.Error(), "deadline") {
				t.Error(err)
			}
			if d := time.Since(start); d > ShutdownTimeout {
				t.Errorf("the shutdown took %s", d)
			}
		})
	}
}
