package otel

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"
)

// TestFullQueues has a collector that accepts connections and never answers:
// what waits is bounded, what finds no room is counted, and nobody waits for it.
func TestFullQueues(t *testing.T) {
	clearEnv(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv(spanQueueBy, "10")
	t.Setenv(logQueueBy, "20")
	p, _, url := started(t, ProvidersOptions{Endpoint: "http://" + l.Addr().String()})
	log := slog.New(p.LogHandler(&recorder{}))

	const n = 2000
	began := time.Now()
	for range n {
		ctx, span := p.Tracer().Start(t.Context(), "step")
		log.InfoContext(ctx, "a row")
		span.End()
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("%d spans and rows took %v: somebody waited for the collector", n, took)
	}
	f := scrape(t, url)["act_runner_otel_dropped_total"]
	for labels, atLeast := range map[string]float64{`{signal="traces"}`: n - 10, `{signal="logs"}`: n - 20} {
		if got := f.Series[labels].Value; got != atLeast {
			t.Errorf("%s: %v dropped, want %v", labels, got, atLeast)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := p.Shutdown(ctx); err == nil {
		t.Error("the shutdown says that all was exported")
	}
}

func TestBacklogVariables(t *testing.T) {
	for value, want := range map[string]int64{"": 7, "12": 12, "-1": 7, "many": 7} {
		b := newBacklog(func(string) string { return value }, spanQueueBy, 7)
		if b.limit != want {
			t.Errorf("%q gives %d, want %d", value, b.limit, want)
		}
	}
}

func TestSampler(t *testing.T) {
	run := Run{Server: "https://git.example", Repository: "o/r", ID: 1}
	for _, c := range []struct {
		name, arg string
		sampled   bool
		problem   string
	}{
		{"", "", true, ""},
		{"parentbased_always_on", "", true, ""},
		{"always_off", "", false, ""},
		{"parentbased_always_off", "", false, ""},
		{"traceidratio", "0", false, ""},
		{"parentbased_traceidratio", "1", true, ""},
		{"parentbased_traceidratio", "2", true, "OTEL_TRACES_SAMPLER_ARG"},
		{"jaeger_remote", "", true, "OTEL_TRACES_SAMPLER"},
	} {
		clearEnv(t)
		t.Setenv("OTEL_TRACES_SAMPLER", c.name)
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.arg)
		_, err := newSampler(processEnv())
		if (err != nil) != (c.problem != "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s %s: %v", c.name, c.arg, err)
		}
		p, err := NewProviders(t.Context(), ProvidersOptions{Spans: newSpanRecorder()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, job := p.Tracer().Start(run.Context(t.Context()), "job")
		_, step := p.Tracer().Start(ctx, "step")
		if job.SpanContext().IsSampled() != c.sampled || step.IsRecording() != c.sampled {
			t.Errorf("%s %s: sampled %v, recording %v; want %v", c.name, c.arg, job.SpanContext().IsSampled(), step.IsRecording(), c.sampled)
		}
		if job.SpanContext().TraceID() != run.TraceID() {
			t.Errorf("%s: the job is in another trace", c.name)
		}
	}
}
