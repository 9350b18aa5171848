//go:build bench

package bench

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/observe"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// A collector counts what arrives, or only takes it: then it costs little itself.
type collector struct {
	*httptest.Server
	count bool

	mu                        sync.Mutex
	spans, logs, measurements int
}

func newCollector(count bool) *collector {
	c := &collector{count: count}
	c.Server = httptest.NewServer(c)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/x-protobuf")
	if !c.count {
		_, _ = io.Copy(io.Discard, req.Body)
		return
	}
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return
		}
		body = z
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch filepath.Base(req.URL.Path) {
	case "traces":
		var m coltrace.ExportTraceServiceRequest
		_ = proto.Unmarshal(data, &m)
		for _, r := range m.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				c.spans += len(s.GetSpans())
			}
		}
	case "logs":
		var m collogs.ExportLogsServiceRequest
		_ = proto.Unmarshal(data, &m)
		for _, r := range m.GetResourceLogs() {
			for _, s := range r.GetScopeLogs() {
				c.logs += len(s.GetLogRecords())
			}
		}
	case "metrics":
		var m colmetrics.ExportMetricsServiceRequest
		_ = proto.Unmarshal(data, &m)
		if n := measurements(&m); n > c.measurements { // cumulative: the last one says all
			c.measurements = n
		}
	}
}

// measurements is how many events the sums and histograms of an export hold. The
// buffers' and journal's gauges move with requests, which are counted twice for it.
func measurements(m *colmetrics.ExportMetricsServiceRequest) (n int) {
	for _, r := range m.GetResourceMetrics() {
		for _, s := range r.GetScopeMetrics() {
			for _, family := range s.GetMetrics() {
				for _, p := range family.GetHistogram().GetDataPoints() {
					n += int(p.GetCount())
					if strings.Contains(family.GetName(), "report_") {
						n += 2 * int(p.GetCount())
					}
				}
				for _, p := range family.GetSum().GetDataPoints() {
					if v, ok := p.GetValue().(*metricspb.NumberDataPoint_AsInt); ok && family.GetSum().GetIsMonotonic() {
						n += int(v.AsInt)
					}
				}
			}
		}
	}
	return n
}

// cpu is the processor time that f takes of this process.
func cpu(f func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for a wrong argument only
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	f()
	return used() - before
}

// telemetryCosts are those of one operation, its export over loopback included, and
// with what the receiver in this process takes.
type telemetryCosts struct{ log, span, collection time.Duration }

func measureTelemetry(t *testing.T) (c telemetryCosts) {
	t.Helper()
	const n = 30_000
	t.Setenv("OTEL_BLRP_MAX_QUEUE_SIZE", fmt.Sprint(2*n)) // nothing is dropped, which would be cheaper
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", fmt.Sprint(2*n))
	server := newCollector(false)
	defer server.Close()
	providers := func() *otel.Providers {
		p, err := otel.NewProviders(context.Background(), otel.ProvidersOptions{Endpoint: server.URL, Version: "bench"})
		must(t, err)
		return p
	}
	attrs := []attribute.KeyValue{
		attribute.String("cicd.pipeline.name", "octo/demo/ci.yml"), attribute.String("cicd.pipeline.run.id", "7"),
		attribute.String("cicd.pipeline.task.name", "build"), attribute.String("cicd.pipeline.task.run.id", "12"),
	}
	p := providers()
	logger := p.LoggerProvider().Logger("bench")
	ctx, span := p.Tracer().Start(context.Background(), "step")
	c.log = cpu(func() {
		for i := range n {
			var r log.Record
			r.SetTimestamp(time.Now())
			r.SetBody(attribute.StringValue("a row of the length that builds print, give or take a few"))
			r.SetSeverity(log.SeverityInfo)
			r.AddAttributes(attrs...)
			logger.Emit(ctx, r)
			if i%100 == 99 { // as fast as the exporter, so that its batches are those of a job
				time.Sleep(time.Millisecond)
			}
		}
		span.End()
		must(t, p.Shutdown(context.Background()))
	}) / n
	p = providers()
	c.span = cpu(func() {
		for range n / 3 {
			_, s := p.Tracer().Start(ctx, "runner.v1.RunnerService/UpdateLog", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
			s.End()
		}
		must(t, p.Shutdown(context.Background()))
	}) / (n / 3)
	p = providers()
	in, err := otel.NewInstruments(p.MeterProvider(), otel.InstrumentOptions{Name: "bench", Version: "bench", Capacity: 1})
	must(t, err)
	in.ReportLog(ctx, true, time.Millisecond)
	c.collection = cpu(func() {
		for range 100 {
			_, err := p.Gatherer().Gather()
			must(t, err)
		}
	}) / 100
	must(t, p.Shutdown(context.Background()))
	return c
}

// telemetry is what all three signals cost a job that keeps a processor busy and
// writes a thousand rows a second: what happened in a real job, times what each
// costs, beside what the job's program takes alone.
func telemetry(t *testing.T, row printer) {
	const rows = 5000
	script := func(rounds int) string {
		return fmt.Sprintf(`awk 'BEGIN { for (i = 0; i < %d; i++) { for (j = 0; j < %d; j++) x += j; print "a row of the length that builds print, give or take a few", i } }'`, rows, rounds)
	}
	alone := func(text string) time.Duration {
		cmd := exec.Command("sh", "-c", text)
		must(t, cmd.Run())
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	const sample = 500
	text := script(int(float64(sample) * (rows * time.Millisecond).Seconds() / alone(script(sample)).Seconds())) // a millisecond a row
	floor := alone(text)

	costs := measureTelemetry(t)
	received := newCollector(true)
	defer received.Close()
	d := newDaemonOf(t, "host", func(cfg *config.Config) {
		cfg.Otel.Endpoint, cfg.Otel.JobLogs = received.URL, true
		cfg.Metrics.Enabled, cfg.Metrics.Addr = true, "127.0.0.1:0"
		cfg.Runner.FetchInterval, cfg.Runner.FetchIntervalMax = 2*time.Second, time.Minute
	})
	id := d.server.AddWorkflow(steps(text), giteatest.TaskOptions{})
	got, err := d.server.WaitResult(t.Context(), id)
	must(t, err)
	if got.Result != task.Success {
		t.Fatalf("the job's result is %s", got.Result)
	}
	took := got.Stopped.Sub(got.Started)
	d.stop() // sends the rest
	received.mu.Lock()
	defer received.mu.Unlock()
	if received.logs < rows || received.spans < 5 || received.measurements < 10 {
		t.Fatalf("%d log records, %d spans and %d measurements arrived of a job of %d rows", received.logs, received.spans, received.measurements, rows)
	}
	operation, _ := instrumentCost(t, context.Background(), func(ctx context.Context, in *otel.Instruments) {
		in.Step(ctx, "host", observe.Success, time.Second) // the dearest kind
	})
	collections := 1 + took/(15*time.Second) + took/time.Minute
	spent := time.Duration(received.logs)*costs.log + time.Duration(received.spans)*costs.span +
		time.Duration(received.measurements)*operation + collections*costs.collection
	row("telemetry of a job of 1,000 rows/s, all signals | %v: %d log records × %v, %d spans × %v, %d measurements × %v | ≤ 0.01 of %v (processor time of its program alone) | %.4f",
		spent.Round(10*time.Microsecond), received.logs, costs.log.Round(10*time.Nanosecond), received.spans, costs.span.Round(10*time.Nanosecond),
		received.measurements, operation, floor.Round(time.Millisecond), spent.Seconds()/floor.Seconds())
}
