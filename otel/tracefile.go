package otel

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// WriteTraces writes spans as OTLP in its JSON form (opentelemetry-proto, JSON
// Protobuf Encoding: ids in hexadecimal, enumerations as numbers, 64-bit integers
// as text), which collectors read with the otlpjsonfile receiver. The resource is
// that of the first span: all come from one provider.
func WriteTraces(w io.Writer, spans []sdktrace.ReadOnlySpan) error {
	type scopeSpans struct {
		Scope map[string]any `json:"scope"`
		Spans []jsonSpan     `json:"spans"`
	}
	byScope, order := map[string]*scopeSpans{}, []*scopeSpans{}
	for _, s := range spans {
		scope := s.InstrumentationScope()
		in := byScope[scope.Name]
		if in == nil {
			in = &scopeSpans{Scope: map[string]any{"name": scope.Name}}
			byScope[scope.Name] = in
			order = append(order, in)
		}
		in.Spans = append(in.Spans, toJSON(s))
	}
	resource := map[string]any{}
	if len(spans) > 0 {
		resource["attributes"] = jsonAttributes(spans[0].Resource().Attributes())
	}
	data, err := json.MarshalIndent(map[string]any{
		"resourceSpans": []any{map[string]any{"resource": resource, "scopeSpans": order}},
	}, "", " ")
	if err == nil {
		_, err = w.Write(append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write traces: %w", err)
	}
	return nil
}

type jsonSpan struct {
	TraceID    string          `json:"traceId"`
	SpanID     string          `json:"spanId"`
	TraceState string          `json:"traceState,omitempty"`
	Parent     string          `json:"parentSpanId,omitempty"`
	Name       string          `json:"name"`
	Kind       int             `json:"kind"`
	Start      string          `json:"startTimeUnixNano"`
	End        string          `json:"endTimeUnixNano"`
	Attributes []jsonAttribute `json:"attributes,omitempty"`
	Links      []jsonLink      `json:"links,omitempty"`
	Status     jsonStatus      `json:"status"`
}

type jsonAttribute struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

type jsonLink struct {
	TraceID    string          `json:"traceId"`
	SpanID     string          `json:"spanId"`
	Attributes []jsonAttribute `json:"attributes,omitempty"`
}

type jsonStatus struct {
	Message string `json:"message,omitempty"`
	Code    int    `json:"code,omitempty"`
}

func toJSON(s sdktrace.ReadOnlySpan) jsonSpan {
	nanos := func(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }
	j := jsonSpan{
		TraceID: s.SpanContext().TraceID().String(), SpanID: s.SpanContext().SpanID().String(),
		TraceState: s.SpanContext().TraceState().String(), Name: s.Name(), Kind: kindNumber(s.SpanKind()),
		Start: nanos(s.StartTime()), End: nanos(s.EndTime()), Attributes: jsonAttributes(s.Attributes()),
		Status: jsonStatus{Message: s.Status().Description},
	}
	if s.Parent().SpanID().IsValid() {
		j.Parent = s.Parent().SpanID().String()
	}
	switch s.Status().Code {
	case codes.Ok:
		j.Status.Code = 1
	case codes.Error:
		j.Status.Code = 2
	default: // unset
	}
	for _, l := range s.Links() {
		j.Links = append(j.Links, jsonLink{l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String(), jsonAttributes(l.Attributes)})
	}
	return j
}

// kindNumber is Span.SpanKind of the protocol.
func kindNumber(k trace.SpanKind) int {
	switch k {
	case trace.SpanKindServer:
		return 2
	case trace.SpanKindClient:
		return 3
	case trace.SpanKindProducer:
		return 4
	case trace.SpanKindConsumer:
		return 5
	default:
		return 1
	}
}

func jsonAttributes(attrs []attribute.KeyValue) []jsonAttribute {
	out := make([]jsonAttribute, 0, len(attrs))
	for _, kv := range attrs {
		out = append(out, jsonAttribute{string(kv.Key), jsonValue(kv.Value)})
	}
	return out
}

func jsonValue(v attribute.Value) map[string]any {
	switch v.Type() {
	case attribute.BOOL:
		return map[string]any{"boolValue": v.AsBool()}
	case attribute.INT64:
		return map[string]any{"intValue": strconv.FormatInt(v.AsInt64(), 10)}
	case attribute.FLOAT64:
		return map[string]any{"doubleValue": v.AsFloat64()}
	case attribute.STRINGSLICE:
		var list []map[string]any
		for _, s := range v.AsStringSlice() {
			list = append(list, map[string]any{"stringValue": s})
		}
		return map[string]any{"arrayValue": map[string]any{"values": list}}
	default:
		return map[string]any{"stringValue": v.String()}
	}
}
