package otel

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func openDoor(t *testing.T, endpoint, protocol string) *Door {
	t.Helper()
	p, err := NewProviders(t.Context(), ProvidersOptions{Endpoint: endpoint, Protocol: protocol})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = p.Shutdown(ctx) // what the test is about has been sent
	})
	d, err := p.OpenDoor(DoorOptions{
		Attributes: []attribute.KeyValue{attribute.String("cicd.pipeline.run.id", "77")},
		Mask:       func(s string) string { return strings.ReplaceAll(s, "hidden", "***") },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// TestDoor has a program's own exporter send through the door.
func TestDoor(t *testing.T) {
	for _, protocol := range []string{ProtocolHTTP, ProtocolGRPC} {
		t.Run(protocol, func(t *testing.T) {
			clearEnv(t)
			r := newHTTPReceiver(t)
			if protocol == ProtocolGRPC {
				r = newGRPCReceiver(t)
			}
			d := openDoor(t, r.URL, protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", d.URL()) // as a step has it
			exporter, err := otlptracehttp.New(t.Context(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
			if err != nil {
				t.Fatal(err)
			}
			tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithResource(resource.NewSchemaless(
				attribute.String("service.name", "a test suite"), attribute.String("cicd.pipeline.run.id", "a lie"))))
			_, span := tp.Tracer("hidden scope").Start(t.Context(), "a hidden test")
			span.SetAttributes(attribute.StringSlice("list", []string{"hidden"}))
			span.End()

			r.mu.Lock()
			defer r.mu.Unlock()
			if len(r.spans) != 1 {
				t.Fatalf("%d resources arrived, want 1", len(r.spans))
			}
			got := r.spans[0]
			if text := attributeText(got.GetResource().GetAttributes()); text != `{cicd.pipeline.run.id="77",service.name="a test suite"}` {
				t.Errorf("the resource is %s", text)
			}
			if name := got.GetScopeSpans()[0].GetSpans()[0].GetName(); name != "a *** test" || strings.Contains(got.String(), "hidden") {
				t.Errorf("what arrives is not masked: %s", got)
			}
		})
	}
}

func TestDoorRefuses(t *testing.T) {
	clearEnv(t)
	var headers http.Header
	var sent []byte
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		headers = req.Header
		sent, _ = io.ReadAll(req.Body) // less than all is seen below
	}))
	defer backend.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20the-operators")
	t.Setenv("OTEL_METRICS_EXPORTER", "none")
	d := openDoor(t, backend.URL, "")
	small, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{}}})
	if err != nil {
		t.Fatal(err)
	}
	post := func(url, kind string, body []byte) int {
		t.Helper()
		resp, err := http.Post(url, kind, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	for _, c := range []struct {
		name, url, kind string
		body            []byte
		want            int
	}{
		{"what is right", d.URL() + "/v1/traces", protobufType, small, 200},
		{"who does not know the path", "http://" + d.address + "/v1/traces", protobufType, small, 404},
		{"a guess", "http://" + d.address + "/AAAA/v1/traces", protobufType, small, 404},
		{"a signal that goes nowhere", d.URL() + "/v1/metrics", protobufType, small, 404},
		{"JSON", d.URL() + "/v1/traces", "application/json", []byte("{}"), 415},
		{"what is no message", d.URL() + "/v1/traces", protobufType, []byte("nonsense"), 400},
		{"what is too large", d.URL() + "/v1/traces", protobufType, make([]byte, doorBody+1), 413},
	} {
		if got := post(c.url, c.kind, c.body); got != c.want {
			t.Errorf("%s: HTTP %d, want %d", c.name, got, c.want)
		}
	}
	unknown := protowire.AppendBytes(protowire.AppendTag(nil, 1000, protowire.BytesType), []byte("hidden"))
	if got := post(d.URL()+"/v1/traces", protobufType, append(unknown, small...)); got != 200 || !bytes.Contains(sent, []byte("77")) || bytes.Contains(sent, []byte("hidden")) {
		t.Errorf("HTTP %d: what nobody could mask goes on: %q", got, sent)
	}
	// Two bytes each, and a few thousand in all when they are packed.
	resources := bytes.Repeat([]byte{0x0a, 0}, doorBody/2)
	spans := protowire.AppendBytes([]byte{0x0a}, protowire.AppendBytes([]byte{0x12}, bytes.Repeat([]byte{0x12, 0}, doorMessages)))
	keys := protowire.AppendBytes([]byte{0x0a}, protowire.AppendBytes([]byte{0x0a}, protowire.AppendBytes([]byte{0x1a}, bytes.Repeat([]byte{0x1a, 0}, doorMessages))))
	for name, body := range map[string][]byte{"resources": resources, "spans": spans, "keys of an entity": keys} {
		if got := post(d.URL()+"/v1/traces", protobufType, body); got != 413 {
			t.Errorf("too many %s: HTTP %d, want 413", name, got)
		}
		d.tokens = doorBurst // the rate is not what this is about
	}
	if headers.Get("Authorization") != "Bearer the-operators" {
		t.Errorf("the operator's headers do not go with it: %v", headers)
	}
	if strings.Contains(d.URL(), "operators") {
		t.Error("the job gets the operator's credentials")
	}
	now := time.Now()
	if d.allow(doorBurst+1, now) || !d.allow(doorBurst-1<<10, now.Add(time.Hour)) || d.allow(1<<20, now.Add(time.Hour)) {
		t.Error("the rate is not bounded")
	}
	if !d.allow(1<<20, now.Add(time.Hour+time.Second)) {
		t.Error("the bucket does not fill again")
	}
}

// TestDoorDoesNotWait: a collector that never answers costs a program's exporter
// the door's patience, and no more.
func TestDoorDoesNotWait(t *testing.T) {
	clearEnv(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	d := openDoor(t, "http://"+l.Addr().String(), "")
	began := time.Now()
	resp, err := http.Post(d.URL()+"/v1/traces", protobufType, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusServiceUnavailable || took > doorPatience+5*time.Second {
		t.Errorf("HTTP %d after %v", resp.StatusCode, took)
	}
}

func TestDoorToNowhere(t *testing.T) {
	clearEnv(t)
	p, err := NewProviders(t.Context(), ProvidersOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.OpenDoor(DoorOptions{}); err == nil || !strings.Contains(err.Error(), "set otel.endpoint") {
		t.Errorf("got %v", err)
	}
}

// TestDoorInside: a door takes connections of this process, too, until it is closed.
func TestDoorInside(t *testing.T) {
	clearEnv(t)
	r := newHTTPReceiver(t)
	d := openDoor(t, r.URL, "")
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.Dial(ctx) }}}
	defer client.CloseIdleConnections()
	data, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{}}})
	if err != nil {
		t.Fatal(err)
	}
	_, secret, _ := strings.Cut(strings.TrimPrefix(d.URL(), "http://"), "/")
	for path, want := range map[string]int{"/" + secret + "/v1/traces": http.StatusOK, "/v1/traces": http.StatusNotFound} {
		res, err := client.Post("http://127.0.0.1:9"+path, protobufType, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, res.Status, want)
		}
	}
	r.mu.Lock()
	if len(r.spans) != 1 {
		t.Errorf("%d resources arrived, want 1", len(r.spans))
	}
	r.mu.Unlock()
	client.CloseIdleConnections()
	d.Close()
	if _, err := d.Dial(t.Context()); err == nil {
		t.Error("a door that is closed takes a connection")
	}
}
