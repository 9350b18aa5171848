package otel

import (
	"context"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func TestOffByDefault(t *testing.T) {
	clearEnv(t)
	p, in, url := started(t, ProvidersOptions{})
	exportEverything(t, p, in)
	_, span := p.Tracer().Start(t.Context(), "x")
	if span.IsRecording() {
		t.Error("spans are recorded that nobody exports")
	}
	base := &recorder{}
	if p.LogHandler(base) != slog.Handler(base) {
		t.Error("log records are bridged that nobody exports")
	}
	if _, ok := scrape(t, url)["act_runner_otel_export_failures_total"]; ok {
		t.Error("exports are counted that nobody makes")
	}
}

func TestDisabled(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_SDK_DISABLED", "true")
	p, in, url := started(t, ProvidersOptions{Endpoint: "http://127.0.0.1:1"})
	exportEverything(t, p, in)
	if f := scrape(t, url); len(f) != 0 {
		t.Errorf("%d families although the SDK is disabled", len(f))
	}
}

func TestBadEndpoint(t *testing.T) {
	clearEnv(t)
	_, err := NewProviders(t.Context(), ProvidersOptions{Endpoint: "collector"})
	if err == nil || !strings.Contains(err.Error(), "set up telemetry") {
		t.Errorf("got %v", err)
	}
}

// TestAllSignals follows a span, a log record within it and a measurement to the
// receiver, and looks at whom they are said to come from.
func TestAllSignals(t *testing.T) {
	clearEnv(t)
	r := newHTTPReceiver(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	p, in, _ := started(t, ProvidersOptions{Version: "1.2.3", InstanceID: "uuid-1"})

	ctx, span := p.Tracer().Start(t.Context(), "job")
	record(ctx, in)
	log := slog.New(p.LogHandler(slog.NewTextHandler(discardWriter{}, &slog.HandlerOptions{Level: slog.LevelInfo})))
	log.With("job", "a").WithGroup("step").InfoContext(ctx, "started", "id", "build")
	log.With("job", 7).DebugContext(ctx, "below the level")
	span.End()
	if err := p.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.spans) != 1 || len(r.logs) != 1 || len(r.metrics) != 1 {
		t.Fatalf("got %d spans, %d logs, %d metrics", len(r.spans), len(r.logs), len(r.metrics))
	}
	resources := []string{
		attributeText(r.spans[0].GetResource().GetAttributes()),
		attributeText(r.logs[0].GetResource().GetAttributes()),
		attributeText(r.metrics[0].GetResource().GetAttributes()),
	}
	for _, got := range resources {
		for _, want := range []string{
			`service.name="otelrunner"`, `service.version="1.2.3"`, `service.instance.id="uuid-1"`,
			`deployment.environment.name="test"`, `host.name=`, `telemetry.sdk.name=`,
		} {
			if !strings.Contains(got, want) {
				t.Errorf("resource %s lacks %s", got, want)
			}
		}
		if strings.Contains(got, "process.") {
			t.Errorf("the resource tells about the process: %s", got)
		}
	}

	records := r.logs[0].GetScopeLogs()[0].GetLogRecords()
	if len(records) != 1 {
		t.Fatalf("%d log records, want the one at the level of the text handler", len(records))
	}
	s := r.spans[0].GetScopeSpans()[0].GetSpans()[0]
	if rec := records[0]; hexID(rec.GetTraceId()) != hexID(s.GetTraceId()) || hexID(rec.GetSpanId()) != hexID(s.GetSpanId()) {
		t.Errorf("the record is of span %s of trace %s, want %s of %s",
			hexID(rec.GetSpanId()), hexID(rec.GetTraceId()), hexID(s.GetSpanId()), hexID(s.GetTraceId()))
	}
	body, attrs := records[0].GetBody().GetStringValue(), attributeText(records[0].GetAttributes())
	if body != "started" || attrs != `{job="a",step=""}` {
		t.Errorf("body %q, attributes %s", body, attrs)
	}
}

func TestServiceName(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_SERVICE_NAME", "mine")
	res, err := newResource(t.Context(), ProvidersOptions{})
	if err != nil || !strings.Contains(res.String(), "service.name=mine") {
		t.Errorf("got %s, %v", res, err)
	}
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "broken")
	res, err = newResource(t.Context(), ProvidersOptions{})
	if err == nil || !strings.Contains(err.Error(), "OTEL_RESOURCE_ATTRIBUTES") {
		t.Errorf("a malformed variable gives %v", err)
	}
	if !strings.Contains(res.String(), "service.name=mine") {
		t.Errorf("a malformed variable loses the rest: %s", res)
	}
}

func TestShutdownTwice(t *testing.T) {
	clearEnv(t)
	p, err := NewProviders(t.Context(), ProvidersOptions{Endpoint: newHTTPReceiver(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, ok := p.TracerProvider().(*sdktrace.TracerProvider); !ok {
		t.Errorf("traces go to %T", p.TracerProvider())
	}
}

type discardWriter struct{}

func (discardWriter) Write(b []byte) (int, error) { return len(b), nil }

// TestJobLogger: which job a row is of arrives with it, and of no other job's rows.
func TestJobLogger(t *testing.T) {
	clearEnv(t)
	r := newHTTPReceiver(t)
	p, err := NewProviders(t.Context(), ProvidersOptions{Endpoint: r.URL})
	if err != nil {
		t.Fatal(err)
	}
	loggers := []log.Logger{p.JobLogger(attribute.String("job", "a")), p.JobLogger(attribute.String("job", "b")), p.JobLogger()}
	var row log.Record
	for i := range 6 {
		row.SetBody(attribute.StringValue(strconv.Itoa(i)))
		loggers[i%3].Emit(t.Context(), row)
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, resource := range r.logs {
		for _, scope := range resource.GetScopeLogs() {
			for _, record := range scope.GetLogRecords() {
				got[scope.GetScope().GetName()+attributeText(scope.GetScope().GetAttributes())] += record.GetBody().GetStringValue()
			}
		}
	}
	if want := map[string]string{jobScopeName + `{job="a"}`: "03", jobScopeName + `{job="b"}`: "14", jobScopeName + "{}": "25"}; !maps.Equal(got, want) {
		t.Errorf("rows by their scopes: %v, want %v", got, want)
	}
}
