package otel

import (
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// A receiver is an OTLP endpoint on loopback that keeps what it gets.
type receiver struct {
	URL string

	mu      sync.Mutex
	metrics []*metricspb.ResourceMetrics // of the last request that had any
	// pipelines are those that have a pipeline's name, which come by themselves.
	pipelines []*metricspb.ResourceMetrics
	spans     []*tracepb.ResourceSpans
	logs      []*logspb.ResourceLogs
}

// clearEnv hides the OTEL_* variables of whoever runs the tests.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES",
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL",
		"OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
		"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
		"OTEL_LOGS_EXPORTER", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
		"OTEL_METRIC_EXPORT_INTERVAL", "OTEL_TRACES_SAMPLER", "OTEL_METRICS_EXEMPLAR_FILTER",
		"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "OTEL_TRACES_SAMPLER_ARG", spanQueueBy, logQueueBy,
	} {
		t.Setenv(name, "")
	}
}

func newHTTPReceiver(t *testing.T) *receiver {
	r := &receiver{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, req *http.Request) {
		var m colmetrics.ExportMetricsServiceRequest
		if decode(t, req, &m) {
			r.keepMetrics(m.GetResourceMetrics())
		}
		answer(w, &colmetrics.ExportMetricsServiceResponse{})
	})
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, req *http.Request) {
		var m coltrace.ExportTraceServiceRequest
		if decode(t, req, &m) {
			r.keepSpans(m.GetResourceSpans())
		}
		answer(w, &coltrace.ExportTraceServiceResponse{})
	})
	mux.HandleFunc("POST /v1/logs", func(w http.ResponseWriter, req *http.Request) {
		var m collogs.ExportLogsServiceRequest
		if decode(t, req, &m) {
			r.keepLogs(m.GetResourceLogs())
		}
		answer(w, &collogs.ExportLogsServiceResponse{})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

func decode(t *testing.T, req *http.Request, m proto.Message) bool {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			t.Error(err)
			return false
		}
		body = z
	}
	data, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(data, m)
	}
	if err != nil {
		t.Error(err)
	}
	return err == nil
}

func answer(w http.ResponseWriter, m proto.Message) {
	data, _ := proto.Marshal(m)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(data)
}

func (r *receiver) keepMetrics(m []*metricspb.ResourceMetrics) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var own, pipelines []*metricspb.ResourceMetrics
	for _, rm := range m {
		if strings.HasPrefix(rm.GetScopeMetrics()[0].GetMetrics()[0].GetName(), "cicd.pipeline.run.") {
			pipelines = append(pipelines, rm)
		} else {
			own = append(own, rm)
		}
	}
	if pipelines != nil {
		r.pipelines = pipelines
	}
	if own != nil {
		r.metrics = own
	}
}

func (r *receiver) keepSpans(s []*tracepb.ResourceSpans) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, s...)
}

func (r *receiver) keepLogs(l []*logspb.ResourceLogs) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, l...)
}

type grpcMetrics struct {
	colmetrics.UnimplementedMetricsServiceServer
	r *receiver
}

func (g grpcMetrics) Export(_ context.Context, m *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	g.r.keepMetrics(m.GetResourceMetrics())
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

type grpcTraces struct {
	coltrace.UnimplementedTraceServiceServer
	r *receiver
}

func (g grpcTraces) Export(_ context.Context, m *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	g.r.keepSpans(m.GetResourceSpans())
	return &coltrace.ExportTraceServiceResponse{}, nil
}

type grpcLogs struct {
	collogs.UnimplementedLogsServiceServer
	r *receiver
}

func (g grpcLogs) Export(_ context.Context, m *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	g.r.keepLogs(m.GetResourceLogs())
	return &collogs.ExportLogsServiceResponse{}, nil
}

func newGRPCReceiver(t *testing.T) *receiver {
	r := &receiver{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	colmetrics.RegisterMetricsServiceServer(s, grpcMetrics{r: r})
	coltrace.RegisterTraceServiceServer(s, grpcTraces{r: r})
	collogs.RegisterLogsServiceServer(s, grpcLogs{r: r})
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r.URL = "http://" + l.Addr().String()
	return r
}
