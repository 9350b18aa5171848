package runner

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/observe"
	"otelrunner/otel/oteltest"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/job"
	"otelrunner/runner/poll"
	"otelrunner/runner/task"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// watchedRunner is a runner's handler whose spans are kept.
type watchedRunner struct {
	h      *handler
	client *gitea.Client
	spans  *oteltest.Starts
	reader *sdkmetric.ManualReader
	log    bytes.Buffer
}

func newWatchedRunner(t *testing.T, s *giteatest.Server, name string, e engineFunc, change func(*config.Config)) *watchedRunner {
	t.Helper()
	for _, v := range []string{"OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(v, "")
	}
	w := &watchedRunner{spans: oteltest.NewStarts(), reader: sdkmetric.NewManualReader()}
	var err error
	w.client, err = s.NewClient(giteatest.RunnerOptions{Labels: []string{"linux"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Declare(t.Context(), "test", []string{"linux"}); err != nil {
		t.Fatal(err)
	}
	providers, err := otel.NewProviders(t.Context(), otel.ProvidersOptions{Spans: w.spans})
	if err != nil {
		t.Fatal(err)
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.reader))
	in, err := otel.NewInstruments(mp, otel.InstrumentOptions{QueueThreshold: time.Minute, Pipelines: mp})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	if change != nil {
		change(&cfg)
	}
	stop := newShutdown(t.Context(), nil, nil, 0, slog.New(slog.DiscardHandler))
	t.Cleanup(stop.end)
	tel := newTelemetry(&cfg, providers, in, s.Client())
	tel.id, tel.name, tel.instance = name+"-uuid", name, s.URL()
	w.h = &handler{
		terms: always(&terms{cfg: &cfg, engine: e, telemetry: tel}), client: w.client, in: in, log: slog.New(slog.NewTextHandler(&w.log, nil)), stop: stop,
		failed: func(err error) { t.Error(err) }, http: s.Client(), instance: s.URL(),
	}
	return w
}

// takes fetches one task and runs it.
func (w *watchedRunner) takes(t *testing.T) *task.Task {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var got *task.Task
	p := poll.New(poll.Options{Fetcher: w.client, Once: true, Handler: func(task *task.Task) { got = task; w.h.handle(task); cancel() }})
	if err := p.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return got
}

func (w *watchedRunner) span(t *testing.T, name string) sdktrace.ReadOnlySpan {
	t.Helper()
	var names []string
	for _, s := range w.spans.Ended() {
		if s.Name() == name {
			return s
		}
		names = append(names, s.Name())
	}
	t.Fatalf("there is no span %q in %q", name, names)
	return nil
}

func attr(s sdktrace.ReadOnlySpan, key string) string {
	for _, kv := range s.Attributes() {
		if string(kv.Key) == key {
			return kv.Value.String()
		}
	}
	return ""
}

// roots of all runners' spans: those without a parent.
func rootsOf(runners ...*watchedRunner) (found []sdktrace.ReadOnlySpan) {
	for _, w := range runners {
		for _, s := range w.spans.Ended() {
			if !s.Parent().IsValid() {
				found = append(found, s)
			}
		}
	}
	return found
}

// works is a job that takes a minute and ends well.
func works(ctx context.Context, _ <-chan struct{}, _ job.Sink) task.Result {
	time.Sleep(time.Minute)
	observe.From(ctx).Meter.Job(ctx, "host", observe.End{Result: observe.Success}, time.Second, 1<<20)
	return task.Success
}

// TestRootSpan: two runners work on one run; its root span is emitted once, by the
// one whom the rule names.
func TestRootSpan(t *testing.T) {
	needs := map[string]task.Need{"a": {Result: task.Success}}
	for _, c := range []struct {
		name          string
		api           bool
		first, second giteatest.TaskOptions
		by            int // whose root it is
	}{
		{"the first job's runner, by the list", true, giteatest.TaskOptions{JobID: 11}, giteatest.TaskOptions{JobID: 12}, 0},
		{"the first job comes later", true, giteatest.TaskOptions{JobID: 12}, giteatest.TaskOptions{JobID: 11, Needs: needs}, 1},
		{"no list: the job that needs none", false, giteatest.TaskOptions{}, giteatest.TaskOptions{Needs: needs}, 0},
		{"no list, the other way round", false, giteatest.TaskOptions{Needs: needs}, giteatest.TaskOptions{}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := giteatest.New(giteatest.Options{RunsAPI: c.api})
				defer s.Close()
				one, two := newWatchedRunner(t, s, "one", works, nil), newWatchedRunner(t, s, "two", works, nil)
				for i, o := range []giteatest.TaskOptions{c.first, c.second} {
					o.RunID, o.Attempt = 5, 2
					s.AddWorkflow(anyJob, o)
					if i == 0 && c.api { // the other is in the list from the start
						o := c.second
						o.RunID, o.Attempt = 5, 2
						s.AddWorkflow(anyJob, o)
						break
					}
				}
				time.Sleep(3 * time.Second)
				one.takes(t)
				two.takes(t)

				roots := rootsOf(one, two)
				if len(roots) != 1 {
					t.Fatalf("%d root spans, want one", len(roots))
				}
				root, run := roots[0], otel.Run{Server: s.URL(), Repository: "root1/demo", ID: 5, Attempt: 2}
				if l := root.Links(); len(l) != 1 || l[0].SpanContext.TraceID() == run.TraceID() || l[0].SpanContext.SpanID() != (otel.Run{Server: s.URL(), Repository: "root1/demo", ID: 5, Attempt: 1}).RootSpanID() {
					t.Errorf("the root's links are %v, want one to the root of the attempt before", l)
				}
				by := []*watchedRunner{one, two}[c.by]
				if !slices.ContainsFunc(by.spans.Ended(), func(s sdktrace.ReadOnlySpan) bool { return s == root }) {
					t.Errorf("the root is not of runner %d", c.by)
				}
				if root.SpanContext().TraceID() != run.TraceID() || root.SpanContext().SpanID() != run.RootSpanID() || root.Name() != "RUN root1/demo/test.yml" {
					t.Errorf("the root is %q %v", root.Name(), root.SpanContext())
				}
				before := otel.Run{Server: s.URL(), Repository: "root1/demo", ID: 5, Attempt: 1}
				for i, w := range []*watchedRunner{one, two} {
					span := w.span(t, "RUN root1/demo/test.yml / a")
					if span.Parent().SpanID() != run.RootSpanID() || span.SpanContext().TraceID() != run.TraceID() {
						t.Errorf("the job of runner %d is %v below %v", i, span.SpanContext(), span.Parent())
					}
					if l := span.Links(); len(l) != 1 || l[0].SpanContext.TraceID() != before.TraceID() {
						t.Errorf("the job's links are %v, want one to the attempt before", l)
					}
				}
			})
		})
	}
}

// TestJobSpan looks at what a job's span says, and at what hangs under it.
func TestJobSpan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := giteatest.New(giteatest.Options{RunsAPI: true})
		defer s.Close()
		var url string
		w := newWatchedRunner(t, s, "ci-1", func(ctx context.Context, c <-chan struct{}, sink job.Sink) task.Result {
			url = observe.From(ctx).TraceURL
			sink.StepStarted(0, time.Now())
			sink.Row(time.Now(), "hello")
			sink.StepFinished(0, task.Success, time.Now())
			return works(ctx, c, sink)
		}, func(c *config.Config) { c.Otel.TraceURLTemplate = "https://t/{trace_id}?s={span_id}" })
		s.AddWorkflow(anyJob, giteatest.TaskOptions{Secrets: map[string]string{"X": "sha-of-secret"}, SHA: "sha-of-secret"})
		time.Sleep(90 * time.Second)
		taken := w.takes(t)
		span := w.span(t, "RUN root1/demo/test.yml / a")
		if span.SpanKind() != trace.SpanKindServer {
			t.Errorf("its kind is %v", span.SpanKind())
		}
		page := s.URL() + "/root1/demo/actions/runs/1"
		for key, want := range map[string]string{
			"cicd.pipeline.name": "root1/demo/test.yml", "cicd.pipeline.run.id": "1", "cicd.pipeline.action.name": "RUN",
			"cicd.pipeline.run.url.full": page, "cicd.pipeline.task.name": "a", "cicd.pipeline.task.run.id": fmt.Sprint(taken.ID),
			"cicd.pipeline.task.run.url.full": page + "/jobs/0", "url.full": page + "/jobs/0",
			"cicd.worker.id": "ci-1-uuid", "cicd.worker.name": "ci-1",
			"vcs.repository.url.full": s.URL() + "/root1/demo", "vcs.repository.name": "demo", "vcs.owner.name": "root1", "vcs.provider.name": "gitea",
			"vcs.ref.head.name": "main", "vcs.ref.head.type": "branch", "vcs.ref.head.revision": "***",
		} {
			if got := attr(span, key); got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
		if missing := w.spans.Missing(span.Name(), "cicd.pipeline.name", "cicd.pipeline.run.id", "cicd.pipeline.run.url.full", "url.full", "cicd.pipeline.task.name",
			"cicd.pipeline.task.run.id", "cicd.pipeline.task.run.url.full", "cicd.worker.id", "vcs.repository.url.full"); missing != nil {
			t.Errorf("a sampler does not see %v", missing)
		}
		if want := "https://t/" + span.SpanContext().TraceID().String() + "?s=" + span.SpanContext().SpanID().String(); url != want {
			t.Errorf("the trace's URL is %q, want %q", url, want)
		}
		for _, name := range []string{"fetch task", "queue", "runner.v1.RunnerService/UpdateLog", "runner.v1.RunnerService/UpdateTask"} {
			if child := w.span(t, name); child.Parent().SpanID() != span.SpanContext().SpanID() {
				t.Errorf("%s is not below the job", name)
			}
		}
		if state := span.SpanContext().TraceState().Get("otelrunner"); state != span.Parent().SpanID().String() {
			t.Errorf("the trace's state names the root %q", state)
		}
		queue := w.span(t, "queue")
		if d := queue.EndTime().Sub(queue.StartTime()); d < 90*time.Second || d > 92*time.Second {
			t.Errorf("the job has waited for %v, want 90 s", d)
		}
		calls := 0
		for _, s := range w.spans.Ended() {
			if s.Name() == "runner.v1.RunnerService/UpdateTask" {
				calls++
			}
		}
		if calls < 2 || calls > 5 { // the start, the step's end, the result: heartbeats every 5 s are left out
			t.Errorf("%d spans of UpdateTask", calls)
		}
		for _, name := range []string{"runner.v1.RunnerService/UpdateLog", "runner.v1.RunnerService/UpdateTask"} {
			if missing := w.spans.Missing(name, "rpc.system.name", "rpc.method", "server.address"); missing != nil {
				t.Errorf("%s: a sampler does not see %v", name, missing)
			}
		}
		if missing := w.spans.Missing("RUN root1/demo/test.yml", "cicd.pipeline.name", "cicd.pipeline.action.name", "cicd.pipeline.run.id", "url.full"); missing != nil {
			t.Errorf("the root: a sampler does not see %v", missing)
		}
		if root := rootsOf(w)[0]; attr(root, "cicd.pipeline.result") != "success" || root.StartTime().After(queue.StartTime()) {
			t.Errorf("the root began at %v with the result %q", root.StartTime(), attr(root, "cicd.pipeline.result"))
		}
		if log := w.log.String(); !regexp.MustCompile(`(?m)^.* msg="task done" .*job=a run=1 `).MatchString(log) {
			t.Errorf("the runner's log does not say which job of which run is done:\n%s", log)
		}

		var rm metricdata.ResourceMetrics
		if err := w.reader.Collect(t.Context(), &rm); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, sm := range rm.ScopeMetrics {
			for _, m := range sm.Metrics {
				names = append(names, m.Name)
				h, ok := m.Data.(metricdata.Histogram[float64])
				if !ok || !slices.Contains([]string{"act_runner_job_duration", "act_runner_job_queue_duration", "cicd.pipeline.run.duration"}, m.Name) {
					continue
				}
				if p := h.DataPoints[0]; p.Count != 1 || len(p.Exemplars) != 1 || !bytes.Equal(p.Exemplars[0].SpanID, idOf(span)) {
					t.Errorf("%s has %d measurements with the exemplars %v, want one of the job's span", m.Name, p.Count, p.Exemplars)
				}
			}
		}
		for _, name := range []string{"act_runner_job_queue_duration", "cicd.pipeline.run.duration", "cicd.pipeline.run.active", "act_runner_job_memory_peak"} {
			if !slices.Contains(names, name) {
				t.Errorf("%s was not measured", name)
			}
		}
	})
}

// histogramCount is how much a histogram of the runner's was measured.
func histogramCount(t *testing.T, w *watchedRunner, name string) (n uint64) {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := w.reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok && m.Name == name {
				for _, p := range h.DataPoints {
					n += p.Count
				}
			}
		}
	}
	return n
}

func idOf(s sdktrace.ReadOnlySpan) []byte { id := s.SpanContext().SpanID(); return id[:] }

// TestFactsAreNotWaitedFor: a server that does not answer about the run holds nothing up.
func TestFactsAreNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := giteatest.New(giteatest.Options{RunsAPI: true})
		defer s.Close()
		s.Inject(giteatest.Latency(time.Hour).On("RunJobs"))
		w := newWatchedRunner(t, s, "one", func(context.Context, <-chan struct{}, job.Sink) task.Result { return task.Success }, nil)
		s.AddWorkflow(anyJob, giteatest.TaskOptions{})
		began := time.Now()
		w.takes(t)
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("the job took %v: it waited for what the server says of the run", d)
		}
		for _, s := range w.spans.Ended() {
			if s.Name() == "queue" {
				t.Error("how long the job has waited was guessed")
			}
		}
	})
}
