package otel

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"otelrunner/otel/observe"
	"otelrunner/runner/task"
)

// started gives instruments whose /metrics is served at url.
func started(t *testing.T, opts ProvidersOptions) (p *Providers, in *Instruments, url string) {
	t.Helper()
	p, err := NewProviders(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	in, err = NewInstruments(p.MeterProvider(), InstrumentOptions{
		Namespace: opts.Namespace, Version: "1.2.3", Name: "ci-1", Capacity: 4,
		QueueThreshold: time.Minute, Pipelines: p.PipelineMeterProvider(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(newHandler(ServerOptions{Gatherer: p.Gatherer(), Readiness: NewReadiness(0), Log: discard()}))
	t.Cleanup(s.Close)
	return p, in, s.URL
}

// record gives every family a value of its own.
func record(ctx context.Context, in *Instruments) {
	in.PollFetch(ctx, FetchTask, 30*time.Millisecond)
	in.PollFetch(ctx, FetchEmpty, 7*time.Millisecond)
	in.PollFetch(ctx, FetchEmpty, 10*time.Millisecond)
	in.PollFetch(ctx, FetchDeadline, time.Minute)
	in.PollFetch(ctx, FetchError, 20*time.Second)
	in.PollBackoff(1500 * time.Millisecond)
	in.ClientError(ctx, MethodFetchTask)
	in.ClientError(ctx, MethodUpdateTask)
	in.ClientError(ctx, MethodUpdateTask)
	for range 6 {
		in.JobStarted()
	}
	for i, r := range []task.Result{task.Success, task.Failure, task.Cancelled, task.Skipped, task.Unspecified} {
		in.JobFinished(ctx, r, time.Duration(i)*1500*time.Millisecond)
	}
	in.ReportLog(ctx, true, 40*time.Millisecond)
	in.ReportLog(ctx, false, 9*time.Second)
	in.ReportState(ctx, true, 3*time.Millisecond)
	in.BufferRows(120)
	in.BufferRows(-20)
	in.BufferBytes(1 << 10)
	in.JournalBytes(1 << 20)
	in.JobQueued(ctx, 2*time.Minute)
	in.Step(ctx, "wasm", observe.Timeout, time.Second)
	in.Step(ctx, "something", observe.Success, time.Second)
	in.Phase(ctx, observe.ImagePull, time.Second)
	in.Cache(ctx, observe.CacheAction, true)
	in.Limit(ctx, "wasm", "memory")
	in.Limit(ctx, "", "what is this")
	in.JobUsage(ctx, time.Second, 64<<20)
	end := observe.End{Result: observe.Error, ErrorType: "_OTHER"}
	for i := range 300 {
		p := in.Pipeline(fmt.Sprint("o/r/", i))
		p.Begin(ctx)
		p.End(ctx, end, time.Second)
	}
}

// golden are the families of the official runner, whose dashboards and alerts
// are in use. Labels are in the form of labelText.
var golden = map[string]struct {
	Type    string
	Series  []string
	Buckets string
}{
	"act_runner_info":                           {Type: "gauge", Series: []string{`{name="ci-1",version="1.2.3"}`}},
	"act_runner_capacity":                       {Type: "gauge", Series: []string{`{}`}},
	"act_runner_uptime_seconds":                 {Type: "gauge", Series: []string{`{}`}},
	"act_runner_poll_fetch_total":               {Type: "counter", Series: []string{`{result="empty"}`, `{result="error"}`, `{result="task"}`}},
	"act_runner_poll_fetch_duration_seconds":    {Type: "histogram", Series: []string{`{}`}, Buckets: "0.01 0.05 0.1 0.25 0.5 1 2 5 10 +Inf"},
	"act_runner_poll_backoff_seconds":           {Type: "gauge", Series: []string{`{}`}},
	"act_runner_client_errors_total":            {Type: "counter", Series: []string{`{method="FetchTask"}`, `{method="UpdateLog"}`, `{method="UpdateTask"}`}},
	"act_runner_job_total":                      {Type: "counter", Series: []string{`{status="cancelled"}`, `{status="failure"}`, `{status="skipped"}`, `{status="success"}`, `{status="unknown"}`}},
	"act_runner_job_duration_seconds":           {Type: "histogram", Series: []string{`{}`}, Buckets: "1 2 4 8 16 32 64 128 256 512 1024 2048 4096 8192 +Inf"},
	"act_runner_job_running":                    {Type: "gauge", Series: []string{`{}`}},
	"act_runner_job_capacity_utilization_ratio": {Type: "gauge", Series: []string{`{}`}},
	"act_runner_report_log_total":               {Type: "counter", Series: []string{`{result="error"}`, `{result="success"}`}},
	"act_runner_report_state_total":             {Type: "counter", Series: []string{`{result="error"}`, `{result="success"}`}},
	"act_runner_report_log_duration_seconds":    {Type: "histogram", Series: []string{`{}`}, Buckets: "0.01 0.05 0.1 0.25 0.5 1 2 5 +Inf"},
	"act_runner_report_state_duration_seconds":  {Type: "histogram", Series: []string{`{}`}, Buckets: "0.01 0.05 0.1 0.25 0.5 1 2 5 +Inf"},
	"act_runner_report_log_buffer_rows":         {Type: "gauge", Series: []string{`{}`}},
}

// own are the families beside them.
var own = map[string]struct {
	Type   string
	Series []string // some of them
}{
	"act_runner_report_log_buffer_bytes":        {"gauge", []string{`{}`}},
	"act_runner_journal_bytes":                  {"gauge", []string{`{}`}},
	"act_runner_job_queue_duration_seconds":     {"histogram", []string{`{}`}},
	"act_runner_job_queue_over_threshold_total": {"counter", []string{`{}`}},
	"act_runner_step_duration_seconds":          {"histogram", []string{`{result="timeout",sandbox="wasm"}`, `{result="success",sandbox="other"}`}},
	"act_runner_sandbox_phase_duration_seconds": {"histogram", []string{`{phase="pull",sandbox="docker"}`}},
	"act_runner_sandbox_limit_total":            {"counter", []string{`{limit="memory",sandbox="wasm"}`, `{limit="other",sandbox="other"}`}},
	"act_runner_cache_lookup_total":             {"counter", []string{`{cache="action",result="hit"}`, `{cache="wasm",result="miss"}`}},
	"act_runner_job_cpu_seconds":                {"histogram", []string{`{}`}},
	"act_runner_job_memory_peak_bytes":          {"histogram", []string{`{}`}},
	"cicd_worker_count":                         {"gauge", []string{`{cicd_worker_state="available"}`, `{cicd_worker_state="busy"}`, `{cicd_worker_state="offline"}`}},
	"cicd_system_errors_total":                  {"counter", []string{`{cicd_system_component="runner",error_type="job"}`}},
}

func TestFamiliesToTheLetter(t *testing.T) {
	clearEnv(t)
	for _, namespace := range []string{DefaultNamespace, "gitea_runner"} {
		t.Run(namespace, func(t *testing.T) {
			_, in, url := started(t, ProvidersOptions{Namespace: namespace})
			record(t.Context(), in)
			got := scrape(t, url)

			want := map[string]bool{}
			for name, w := range golden {
				name = namespace + strings.TrimPrefix(name, DefaultNamespace)
				want[name] = true
				f := got[name]
				if f.Type != w.Type {
					t.Errorf("%s is a %q, want a %s", name, f.Type, w.Type)
				}
				if f.Help == "" {
					t.Errorf("%s has no help", name)
				}
				if series := slices.Sorted(maps.Keys(f.Series)); !slices.Equal(series, w.Series) {
					t.Errorf("%s has the series %v, want %v", name, series, w.Series)
				}
				for labels, s := range f.Series {
					if w.Type != "histogram" {
						continue
					}
					bounds := map[string]bool{}
					for _, b := range strings.Fields(w.Buckets) {
						bounds[b] = true
						if _, ok := s.Buckets[b]; !ok {
							t.Errorf("%s%s lacks the bucket %s", name, labels, b)
						}
					}
					if len(s.Buckets) != len(bounds) {
						t.Errorf("%s%s has %d buckets, want %d", name, labels, len(s.Buckets), len(bounds))
					}
				}
			}
			for name, w := range own {
				name = strings.Replace(name, DefaultNamespace, namespace, 1)
				want[name] = true
				f := got[name]
				if f.Type != w.Type || f.Help == "" {
					t.Errorf("%s is a %q with the help %q, want a %s", name, f.Type, f.Help, w.Type)
				}
				for _, labels := range w.Series {
					if _, ok := f.Series[labels]; !ok {
						t.Errorf("%s lacks %s", name, labels)
					}
				}
			}
			for name := range got {
				if !want[name] {
					t.Errorf("the family %s is on /metrics and in no list", name)
				}
			}
		})
	}
}

func TestStandardCollectors(t *testing.T) {
	clearEnv(t)
	_, _, url := started(t, ProvidersOptions{})
	body := get(t, url+"/metrics", "text/plain")
	for _, name := range []string{"go_goroutines", "go_memstats_alloc_bytes", "process_start_time_seconds"} {
		if !strings.Contains(body, "\n"+name+" ") {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestFirstScrape(t *testing.T) {
	clearEnv(t)
	_, _, url := started(t, ProvidersOptions{})
	got := scrape(t, url)
	for name, w := range golden {
		if w.Type == "histogram" {
			continue // exists from its first observation
		}
		for _, labels := range w.Series {
			s, ok := got[name].Series[labels]
			if !ok {
				t.Errorf("%s%s is missing from the first scrape", name, labels)
			}
			if w.Type == "counter" && s.Value != 0 {
				t.Errorf("%s%s starts at %v", name, labels, s.Value)
			}
		}
	}
	for name, want := range map[string]float64{"act_runner_info": 1, "act_runner_capacity": 4, "act_runner_job_running": 0} {
		for labels, s := range got[name].Series {
			if s.Value != want {
				t.Errorf("%s%s = %v, want %v", name, labels, s.Value, want)
			}
		}
	}
}

func TestValues(t *testing.T) {
	clearEnv(t)
	_, in, url := started(t, ProvidersOptions{})
	record(t.Context(), in)
	got := scrape(t, url)
	for _, c := range []struct {
		name, labels string
		want         float64
	}{
		{"act_runner_poll_fetch_total", `{result="task"}`, 1},
		{"act_runner_poll_fetch_total", `{result="empty"}`, 3},
		{"act_runner_poll_fetch_total", `{result="error"}`, 1},
		{"act_runner_poll_backoff_seconds", `{}`, 1.5},
		{"act_runner_client_errors_total", `{method="FetchTask"}`, 1},
		{"act_runner_client_errors_total", `{method="UpdateLog"}`, 0},
		{"act_runner_client_errors_total", `{method="UpdateTask"}`, 2},
		{"act_runner_job_total", `{status="success"}`, 1},
		{"act_runner_job_total", `{status="unknown"}`, 1},
		{"act_runner_job_running", `{}`, 1},
		{"act_runner_job_capacity_utilization_ratio", `{}`, 0.25},
		{"act_runner_report_log_total", `{result="success"}`, 1},
		{"act_runner_report_log_total", `{result="error"}`, 1},
		{"act_runner_report_state_total", `{result="success"}`, 1},
		{"act_runner_report_log_buffer_rows", `{}`, 100},
	} {
		if v := got[c.name].Series[c.labels].Value; v != c.want {
			t.Errorf("%s%s = %v, want %v", c.name, c.labels, v, c.want)
		}
	}
	fetch := got["act_runner_poll_fetch_duration_seconds"].Series["{}"]
	want := sample{Sum: 20.047, Count: 4, Buckets: map[string]uint64{
		"0.01": 2, "0.05": 3, "0.1": 3, "0.25": 3, "0.5": 3, "1": 3, "2": 3, "5": 3, "10": 3, "+Inf": 4,
	}}
	if d := cmp.Diff(want, fetch); d != "" {
		t.Errorf("a call that ends by its own deadline is not observed (-want +got):\n%s", d)
	}
}

func TestReload(t *testing.T) {
	clearEnv(t)
	_, in, url := started(t, ProvidersOptions{})
	for range 3 {
		in.JobStarted()
	}
	for _, c := range []struct {
		capacity int
		want     float64
	}{{4, 0.75}, {2, 1}, {0, 0}, {30, 0.1}} {
		in.SetCapacity(c.capacity)
		got := scrape(t, url)
		if v := got["act_runner_job_capacity_utilization_ratio"].Series["{}"].Value; v != c.want {
			t.Errorf("3 jobs of %d: utilisation %v, want %v", c.capacity, v, c.want)
		}
		if v := got["act_runner_capacity"].Series["{}"].Value; v != float64(c.capacity) {
			t.Errorf("capacity %v, want %d", v, c.capacity)
		}
	}
	in.Info("2.0.0", "other")
	if s := scrape(t, url)["act_runner_info"].Series; len(s) != 1 || s[`{name="other",version="2.0.0"}`].Value != 1 {
		t.Errorf("info after a change: %v", s)
	}
}

func TestUptime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := sdkmetric.NewManualReader()
		mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
		if _, err := NewInstruments(mp, InstrumentOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(90 * time.Second)
		if v := gauge(t, reader, "act_runner_uptime"); v != 90 {
			t.Errorf("uptime %v s, want 90", v)
		}
	})
}

func TestClose(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	in, err := NewInstruments(mp, InstrumentOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	record(t.Context(), in)
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			if strings.HasSuffix(m.Name, "capacity") {
				t.Errorf("%s is observed after Close", m.Name)
			}
		}
	}
}

func TestDiscard(t *testing.T) {
	record(t.Context(), Discard())
}

func TestValidateNamespace(t *testing.T) {
	for ns, want := range map[string]string{
		"act_runner": "", "gitea_runner": "", "x": "", "CI2_runner": "",
		"": "single underscores", "_x": "single underscores", "a__b": "single underscores", "a_": "single underscores",
		"1a": "single underscores", "a-b": "single underscores", "a.b": "single underscores", "ä": "single underscores",
		"jobs_total": `"total"`, "seconds": `"seconds"`, "a_ratio_b": `"ratio"`,
	} {
		err := ValidateNamespace(ns)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("ValidateNamespace(%q) = %v, want %q", ns, err, want)
		}
	}
	clearEnv(t)
	if _, err := NewProviders(t.Context(), ProvidersOptions{Namespace: "a-b"}); err == nil {
		t.Error("NewProviders took the namespace a-b")
	}
	if _, err := NewInstruments(sdkmetric.NewMeterProvider(), InstrumentOptions{Namespace: "a-b"}); err == nil {
		t.Error("NewInstruments took the namespace a-b")
	}
}

// sampled is a context with a span that is sampled.
func sampled(ctx context.Context) (context.Context, trace.SpanContext) {
	run := Run{Server: "https://git.example", Repository: "o/r", ID: 7}
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: run.TraceID(), SpanID: run.RootSpanID(), TraceFlags: trace.FlagsSampled,
	})
	return trace.ContextWithSpanContext(ctx, sc), sc
}

func TestExemplars(t *testing.T) {
	clearEnv(t)
	const openMetrics = "application/openmetrics-text; version=1.0.0"
	_, in, url := started(t, ProvidersOptions{})

	record(t.Context(), in)
	if body := get(t, url+"/metrics", openMetrics); strings.Contains(body, "trace_id") {
		t.Error("exemplars without a span")
	}
	ctx, sc := sampled(t.Context())
	record(ctx, in)
	body := get(t, url+"/metrics", openMetrics)
	if !strings.HasSuffix(body, "# EOF\n") {
		t.Fatal("no OpenMetrics was negotiated")
	}
	for _, name := range []string{
		"poll_fetch_duration_seconds_bucket", "job_duration_seconds_bucket", "report_log_duration_seconds_bucket",
		"report_state_duration_seconds_bucket", "job_queue_duration_seconds_bucket", "step_duration_seconds_bucket",
	} {
		line := regexp.MustCompile(fmt.Sprintf(`(?m)^act_runner_%s\{[^}]*\} [0-9.]+ # \{[^}]*trace_id="%s"[^}]*\}`, name, sc.TraceID()))
		if m := line.FindString(body); !strings.Contains(m, `span_id="`+sc.SpanID().String()+`"`) {
			t.Errorf("%s has no exemplar of the span", name)
		}
	}
}

// TestPipelines bounds the series whose label users choose, shows that some were
// left out, and keeps them off /metrics.
func TestPipelines(t *testing.T) {
	clearEnv(t)
	r := newHTTPReceiver(t)
	p, in, url := started(t, ProvidersOptions{Endpoint: r.URL})
	record(t.Context(), in)
	for name := range scrape(t, url) {
		if strings.HasPrefix(name, "cicd_pipeline") {
			t.Errorf("%s is on /metrics, with a label that users choose", name)
		}
	}
	if err := p.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	got := translate(t, r.pipelines)
	for _, name := range []string{"cicd_pipeline_run_duration_seconds", "cicd_pipeline_run_active", "cicd_pipeline_run_errors_total"} {
		if n := len(got[name].Series); n != pipelineSeries {
			t.Errorf("%s has %d series, want %d", name, n, pipelineSeries)
		}
	}
	var overflow bool
	for labels := range got["cicd_pipeline_run_errors_total"].Series {
		overflow = overflow || strings.Contains(labels, "otel_metric_overflow")
	}
	if !overflow {
		t.Error("nothing says that series were left out")
	}
}

// TestGovernance has labels and buckets of the operator's.
func TestGovernance(t *testing.T) {
	clearEnv(t)
	p, err := NewProviders(t.Context(), ProvidersOptions{Labels: map[string]string{"site": "eu"}})
	if err != nil {
		t.Fatal(err)
	}
	in, err := NewInstruments(p.MeterProvider(), InstrumentOptions{Buckets: Buckets{Job: []float64{10, 20}, Step: []float64{1}, Queue: []float64{3}}})
	if err != nil {
		t.Fatal(err)
	}
	record(t.Context(), in)
	families, err := p.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	bounds := map[string]int{"act_runner_job_duration_seconds": 2, "act_runner_step_duration_seconds": 1, "act_runner_job_queue_duration_seconds": 1}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "go_") || strings.HasPrefix(f.GetName(), "process_") {
			continue
		}
		for _, m := range f.GetMetric() {
			if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == "site" && l.GetValue() == "eu" }) {
				t.Errorf("%s lacks the operator's label", f.GetName())
			}
			if want, ok := bounds[f.GetName()]; ok && len(m.GetHistogram().GetBucket()) != want+1 && len(m.GetHistogram().GetBucket()) != want {
				t.Errorf("%s has %d buckets, want %d", f.GetName(), len(m.GetHistogram().GetBucket()), want)
			}
		}
	}
}
