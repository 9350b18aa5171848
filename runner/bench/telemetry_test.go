//go:build bench

package bench

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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

// sinkArgument makes this program a collector that takes everything, in a process of
// its own: what it costs is not the runner's.
const sinkArgument = "sink"

func serveSink() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("http://" + l.Addr().String())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until who started it ends
		_ = l.Close()
	}()
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	})) // until it is closed
	return 0
}

// newSink starts one, and gives its URL.
func newSink(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, sinkArgument)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); must(t, cmd.Wait()) })
	var url string
	_, err = fmt.Fscanln(out, &url)
	must(t, err)
	return url
}

// A collector counts what arrives.
type collector struct {
	*httptest.Server

	mu                        sync.Mutex
	spans, logs, measurements int
}

func newCollector() *collector {
	c := &collector{}
	c.Server = httptest.NewServer(c)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/x-protobuf")
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

// telemetryCosts are the processor time of one operation in this process, its export
// over loopback included.
type telemetryCosts struct{ log, span, collection time.Duration }

func measureTelemetry(t *testing.T, sink string) (c telemetryCosts) {
	t.Helper()
	providers := func() *otel.Providers {
		p, err := otel.NewProviders(context.Background(), otel.ProvidersOptions{Endpoint: sink, Version: "bench"})
		must(t, err)
		return p
	}
	c.log = median(3, func() time.Duration { return logCost(t, providers()) })
	c.span = median(3, func() time.Duration { return spanCost(t, providers()) })
	p := providers()
	in, err := otel.NewInstruments(p.MeterProvider(), otel.InstrumentOptions{Name: "bench", Version: "bench", Capacity: 1})
	must(t, err)
	in.ReportLog(context.Background(), true, time.Millisecond)
	c.collection = cpu(func() {
		for range 100 {
			_, err := p.Gatherer().Gather()
			must(t, err)
		}
	}) / 100
	must(t, p.Shutdown(context.Background()))
	return c
}

func jobAttributes() []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("cicd.pipeline.name", "octo/demo/ci.yml"), attribute.String("cicd.pipeline.run.id", "7"),
		attribute.String("cicd.pipeline.task.name", "build"), attribute.String("cicd.pipeline.task.run.id", "12"),
	}
}

// logCost is that of a row of a job as a log record, as telemetry_rows.go of the
// runner makes it. They come as fast as the exporter is, so that nothing is dropped,
// which would be cheaper, and its batches are full ones, as a job's are.
func logCost(t *testing.T, p *otel.Providers) time.Duration {
	t.Helper()
	const n = 30_000
	ctx, span := p.Tracer().Start(context.Background(), "step")
	logger := p.JobLogger(jobAttributes()...)
	return cpu(func() {
		for i := range n {
			var r log.Record
			now := time.Now()
			r.SetTimestamp(now)
			r.SetObservedTimestamp(now)
			r.SetBody(attribute.StringValue("a row of the length that builds print, give or take a few"))
			r.SetSeverity(log.SeverityInfo)
			r.SetSeverityText("INFO")
			logger.Emit(ctx, r)
			if i%100 == 99 {
				time.Sleep(time.Millisecond)
			}
		}
		span.End()
		must(t, p.Shutdown(context.Background()))
	}) / n
}

func spanCost(t *testing.T, p *otel.Providers) time.Duration {
	t.Helper()
	const n = 3_000 // fewer than the queue holds
	ctx, span := p.Tracer().Start(context.Background(), "step")
	attrs := jobAttributes()
	return cpu(func() {
		for range n {
			_, s := p.Tracer().Start(ctx, "runner.v1.RunnerService/UpdateLog", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
			s.End()
		}
		span.End()
		must(t, p.Shutdown(context.Background()))
	}) / n
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
	// A millisecond a row: a job of 1,000 rows a second that keeps one processor busy.
	const busy = rows * time.Millisecond
	rounds := 500
	floor := alone(script(rounds))
	for i := 0; i < 5 && (floor < busy*9/10 || floor > busy*11/10); i++ {
		rounds = int(float64(rounds) * busy.Seconds() / floor.Seconds())
		floor = alone(script(rounds))
	}
	text := script(rounds)

	sink := newSink(t)
	costs := measureTelemetry(t, sink)
	received := newCollector()
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
	operation, _ := instrumentCost(t, sink, context.Background(), func(ctx context.Context, in *otel.Instruments) {
		in.Step(ctx, "host", observe.Success, time.Second) // the dearest kind
	})
	collections := 1 + took/(15*time.Second) + took/time.Minute
	spent := time.Duration(received.logs)*costs.log + time.Duration(received.spans)*costs.span +
		time.Duration(received.measurements)*operation + collections*costs.collection
	row("telemetry of a job of 1,000 rows/s, all signals | %v: %d log records × %v, %d spans × %v, %d measurements × %v | ≤ 0.01 of %v (processor time of its program alone) | %.4f",
		spent.Round(10*time.Microsecond), received.logs, costs.log.Round(10*time.Nanosecond), received.spans, costs.span.Round(10*time.Nanosecond),
		received.measurements, operation, floor.Round(time.Millisecond), spent.Seconds()/floor.Seconds())
}

// TestTelemetry prints the rows of telemetry alone.
func TestTelemetry(t *testing.T) {
	row := func(format string, args ...any) { t.Logf(format, args...) }
	instruments(t, row)
	telemetry(t, row)
	idleMemory(t, row)
}
