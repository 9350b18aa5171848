package otel

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"otelrunner/otel/oteltest"
)

func collectorBinary(t *testing.T) string {
	t.Helper()
	path, err := oteltest.Collector("..")
	if err != nil {
		t.Skip(err)
	}
	return path
}

const collectorConfig = "../otel-collector.yaml"

// TestCollector runs a real collector with the configuration that operators are
// given.
func TestCollector(t *testing.T) {
	binary := collectorBinary(t)
	t.Run("validate", func(t *testing.T) { validateConfig(t, binary) })
	t.Run("signals", func(t *testing.T) { passSignals(t, binary) })
}

func validateConfig(t *testing.T, binary string) {
	out, err := exec.CommandContext(t.Context(), binary, "validate", "--config", collectorConfig).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// passSignals sends all three signals through the collector: what it shows to
// Prometheus is what the runner shows itself, and all of it reaches the backend.
func passSignals(t *testing.T, binary string) {
	clearEnv(t)
	backend := newGRPCReceiver(t)
	grpcAddr, httpAddr, promAddr := oteltest.FreeAddress(t), oteltest.FreeAddress(t), oteltest.FreeAddress(t)

	cmd := exec.Command(binary, "--config", collectorConfig, "--set", "service.telemetry.metrics.level=none")
	cmd.Env = append(os.Environ(), "COLLECTOR_GRPC="+grpcAddr, "COLLECTOR_HTTP="+httpAddr,
		"COLLECTOR_PROMETHEUS="+promAddr, "BACKEND_ENDPOINT="+strings.TrimPrefix(backend.URL, "http://"))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("collector: %v\n%s", err, output.String())
		}
	}
	t.Cleanup(stop)
	oteltest.Eventually(t, "the collector listens", func() error {
		c, err := net.Dial("tcp", httpAddr)
		if err == nil {
			err = c.Close()
		}
		return err
	})

	p, in, url := started(t, ProvidersOptions{Endpoint: "http://" + httpAddr, InstanceID: "uuid-1"})
	ctx, span := p.Tracer().Start(t.Context(), "job")
	record(ctx, in)
	slog.New(p.LogHandler(&recorder{})).InfoContext(ctx, "hello")
	span.End()
	own := scrape(t, url)
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}

	file := postTraceFile(t, "http://"+httpAddr)

	var shown map[string]family
	oteltest.Eventually(t, "the collector shows the metrics", func() error {
		resp, err := http.Get("http://" + promAddr + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(body, []byte("act_runner_info{")) {
			return fmt.Errorf("%w: %s", err, body)
		}
		return nil
	})
	shown = scrape(t, "http://"+promAddr)
	delete(shown, "target_info")
	for name := range shown {
		if strings.HasPrefix(name, "cicd_pipeline_run_") { // by OTLP alone
			delete(shown, name)
		}
	}
	if a, b := slices.Sorted(maps.Keys(own)), slices.Sorted(maps.Keys(shown)); !slices.Equal(a, b) {
		t.Fatalf("families differ (-runner +collector):\n%s", cmp.Diff(a, b))
	}
	for name, f := range own {
		if name == "act_runner_uptime_seconds" {
			continue
		}
		if d := cmp.Diff(f, withoutLabels(shown[name])); d != "" {
			t.Errorf("%s differs (-runner +collector):\n%s", name, d)
		}
	}

	stop() // flushes
	backend.mu.Lock()
	defer backend.mu.Unlock()
	if got := translate(t, backend.metrics); len(got) != len(own) {
		t.Errorf("%d families reach the backend, want %d", len(got), len(own))
	}
	if bytes.Contains(output.Bytes(), []byte("deprecated")) {
		t.Errorf("the configuration has what will be gone:\n%s", output.String())
	}
	if len(backend.spans) != 2 || len(backend.logs) != 1 {
		t.Errorf("%d spans and %d log records reach the backend, want those of a runner and of a file, and one\n%s", len(backend.spans), len(backend.logs), output.String())
	}
	found := false
	for _, r := range backend.spans {
		for _, s := range r.GetScopeSpans() {
			for _, span := range s.GetSpans() {
				found = found || trace.SpanID(span.GetSpanId()) == file.SpanID() && trace.TraceID(span.GetTraceId()) == file.TraceID() &&
					span.GetKind() == tracepb.Span_SPAN_KIND_SERVER && span.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR
			}
		}
	}
	if !found {
		t.Error("the span of the file has not arrived as it was")
	}
}

// postTraceFile has the collector read what --trace-out writes.
func postTraceFile(t *testing.T, url string) trace.SpanContext {
	t.Helper()
	keeper := NewKeeper(10)
	p, err := NewProviders(t.Context(), ProvidersOptions{Spans: keeper})
	if err != nil {
		t.Fatal(err)
	}
	_, span := p.Tracer().Start(t.Context(), "of a file", trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.StringSlice("list", []string{"a"}), attribute.Int("n", 1)))
	span.SetStatus(codes.Error, "why")
	span.End()
	spans, _ := keeper.Spans()
	var file bytes.Buffer
	if err := WriteTraces(&file, spans); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(url+"/v1/traces", "application/json", &file)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the collector answers a trace file with %s %s (%v)", resp.Status, body, err)
	}
	return span.SpanContext()
}

// withoutLabels drops what a collector adds to each series.
func withoutLabels(f family) family {
	out := f
	out.Series = map[string]sample{}
	for labels, s := range f.Series {
		var kept []string
		for l := range strings.SplitSeq(strings.Trim(labels, "{}"), ",") {
			if name, _, _ := strings.Cut(l, "="); name != "job" && name != "instance" && !strings.HasPrefix(name, "otel_scope_") {
				kept = append(kept, l)
			}
		}
		out.Series["{"+strings.Join(kept, ",")+"}"] = s
	}
	return out
}
