package otel

import (
	"bytes"
	"encoding/json"
	"regexp"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// TestWriteTraces reads what is written with the protocol's own decoder.
func TestWriteTraces(t *testing.T) {
	clearEnv(t)
	k := NewKeeper(2)
	p, err := NewProviders(t.Context(), ProvidersOptions{Spans: k})
	if err != nil {
		t.Fatal(err)
	}
	run := Run{Server: "https://s", Repository: "o/r", ID: 1, Attempt: 2}
	ctx, job := p.Tracer().Start(run.Context(t.Context()), "job", trace.WithSpanKind(trace.SpanKindServer), trace.WithLinks(run.Links()...))
	_, step := p.Tracer().Start(ctx, "step", trace.WithAttributes(attribute.Int("n", 7), attribute.Bool("b", true), attribute.Float64("f", 1.5), attribute.StringSlice("l", []string{"x"})))
	step.SetStatus(codes.Error, "why")
	step.End()
	job.End()
	_, late := p.Tracer().Start(ctx, "too much")
	late.End()
	spans, lost := k.Spans()
	if len(spans) != 2 || lost != 1 || spans[0].Name() != "job" {
		t.Fatalf("%d spans and %d lost", len(spans), lost)
	}
	var out bytes.Buffer
	if err := WriteTraces(&out, spans); err != nil {
		t.Fatal(err)
	}
	if !json.Valid(out.Bytes()) {
		t.Fatal("no JSON")
	}
	// The protocol's JSON has ids in hexadecimal; protojson knows base64, to which
	// the same digits are another value, so that only their text is compared.
	if !bytes.Contains(out.Bytes(), []byte(`"traceId": "`+run.TraceID().String()+`"`)) || !bytes.Contains(out.Bytes(), []byte(`"parentSpanId": "`+run.RootSpanID().String()+`"`)) {
		t.Errorf("the ids are not there:\n%s", out.String())
	}
	var data tracepb.TracesData
	plain := regexp.MustCompile(`"(traceId|spanId|parentSpanId)": "[0-9a-f]*"`).ReplaceAll(out.Bytes(), []byte(`"$1": ""`))
	if err := protojson.Unmarshal(plain, &data); err != nil {
		t.Fatal(err)
	}
	got := data.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()
	if len(got) != 2 || got[0].GetKind() != tracepb.Span_SPAN_KIND_SERVER || len(got[0].GetLinks()) != 1 ||
		got[1].GetStatus().GetCode() != tracepb.Status_STATUS_CODE_ERROR || got[1].GetStatus().GetMessage() != "why" || len(got[1].GetAttributes()) != 4 {
		t.Errorf("got %v", got)
	}
}
