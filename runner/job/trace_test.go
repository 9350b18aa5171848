package job_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/otel/oteltest"
	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/task"
	"otelrunner/sandbox"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// meter keeps what the engine measures.
type meter struct {
	mu  sync.Mutex
	got []string
}

func (m *meter) add(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, fmt.Sprintf(format, args...))
}

func (m *meter) Phase(context.Context, observe.Phase, time.Duration) {}
func (m *meter) Cache(context.Context, observe.Cache, bool)          {}
func (m *meter) Limit(_ context.Context, kind, limit string)         { m.add("limit %s %s", kind, limit) }
func (m *meter) Step(_ context.Context, kind string, r observe.Result, d time.Duration) {
	m.add("step %s %s %s", kind, r, d)
}
func (m *meter) Job(_ context.Context, kind string, e observe.End, cpu time.Duration, peak int64) {
	m.add("job %s %s %s cpu %s peak %d", kind, e.Result, e.ErrorType, cpu, peak)
}

// traced runs a workflow in a bubble, in a span of the job's, and gives the spans
// as lines: their place, name, result, type of error and status.
func traced(t *testing.T, f *fake, workflow string, scope *observe.Scope, cancelAfter time.Duration) (spans []string, got jobtest.Outcome) {
	t.Helper()
	rec := tracetest.NewSpanRecorder()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
	ctx, span := tp.Tracer("").Start(context.Background(), "job")
	tk := newCase(workflow).Task(7)
	sink := jobtest.NewRecorder(tk)
	cancel := make(chan struct{})
	if cancelAfter > 0 {
		time.AfterFunc(cancelAfter, func() { close(cancel) })
	}
	result := job.New(options(t, f)).Run(observe.With(ctx, scope), cancel, tk, sink)
	span.End()
	for _, p := range sink.Problems() {
		t.Error(p)
	}
	return tree(rec.Ended()), sink.Outcome(result)
}

// tree writes spans below each other, in the order of their starts.
func tree(spans []sdktrace.ReadOnlySpan) (lines []string) {
	var below func(parent string, depth int)
	below = func(parent string, depth int) {
		for _, s := range spans {
			p := ""
			if s.Parent().IsValid() {
				p = s.Parent().SpanID().String()
			}
			if p != parent {
				continue
			}
			line := strings.Repeat("  ", depth) + s.Name()
			for _, kv := range s.Attributes() {
				switch kv.Key {
				case "cicd.pipeline.task.run.result", "cicd.pipeline.result", "error.type", "process.exit.code":
					line += " " + kv.Value.String()
				}
			}
			if s.Status().Code == codes.Error {
				line += " !" + s.Status().Description
			}
			lines = append(lines, line)
			below(s.SpanContext().SpanID().String(), depth+1)
		}
	}
	below("", 0)
	return lines
}

func TestSpans(t *testing.T) {
	for _, c := range []struct {
		name, workflow string
		cancel         time.Duration
		run            func(script string) (sandbox.Result, error)
		want, meter    []string
	}{
		{
			name:     "success",
			workflow: `{jobs: {t: {runs-on: host, steps: [{name: "build ${{ github.ref_name }}", run: one}, {run: two, if: failure()}]}}}`,
			run: func(string) (sandbox.Result, error) {
				return sandbox.Result{Usage: sandbox.Usage{CPU: time.Second, PeakMemory: 1 << 20}}, nil
			},
			want: []string{
				"job success",
				"  set up job",
				"    open sandbox",
				"  build main success",
				"  clean up",
			},
			meter: []string{"step docker success 1m0s", "job docker success  cpu 1s peak 1048576"},
		},
		{
			name:     "a program fails, a later step runs",
			workflow: `{jobs: {t: {runs-on: host, steps: [{run: one}, {run: two, if: always()}]}}}`,
			run: func(script string) (sandbox.Result, error) {
				if strings.Contains(script, "one") {
					return sandbox.Result{ExitCode: 9}, nil
				}
				return sandbox.Result{}, nil
			},
			want: []string{
				"job failure process_exit !exit code 9",
				"  set up job",
				"    open sandbox",
				"  Run one 9 failure process_exit !exit code 9",
				"  Run two success",
				"  clean up",
			},
			meter: []string{"step docker failure 1m0s", "step docker success 1m0s", "job docker failure process_exit cpu 0s peak 0"},
		},
		{
			name:     "a step runs out of time",
			workflow: `{jobs: {t: {runs-on: host, steps: [{run: long, timeout-minutes: 5}]}}}`,
			want: []string{
				"job timeout timeout !the step's time is over",
				"  set up job",
				"    open sandbox",
				"  Run long timeout timeout !the step's time is over",
				"  clean up",
			},
			meter: []string{"step docker timeout 5m0s", "job docker timeout timeout cpu 0s peak 0"},
		},
		{
			name:     "the job runs out of time",
			workflow: `{jobs: {t: {runs-on: host, timeout-minutes: 30, steps: [{run: long}]}}}`,
			want: []string{
				"job timeout timeout !the job's time is over",
				"  set up job",
				"    open sandbox",
				"  Run long timeout timeout !the job's time is over",
				"  clean up",
			},
			meter: []string{"step docker timeout 30m0s", "job docker timeout timeout cpu 0s peak 0"},
		},
		{
			name: "cancelled", cancel: 10 * time.Minute,
			workflow: `{jobs: {t: {runs-on: host, steps: [{run: long}, {run: one, if: always()}]}}}`,
			want: []string{
				"job cancellation cancellation !the job was cancelled",
				"  set up job",
				"    open sandbox",
				"  Run long cancellation cancellation !the job was cancelled",
				"  Run one success",
				"  clean up",
			},
			meter: []string{"step docker cancellation 10m0s", "step docker success 1m0s", "job docker cancellation cancellation cpu 0s peak 0"},
		},
		{
			name:     "a limit, masked",
			workflow: `{jobs: {t: {runs-on: host, steps: [{name: use hidden, run: one}]}}}`,
			run: func(string) (sandbox.Result, error) {
				return sandbox.Result{ExitCode: -1}, &sandbox.LimitError{Limit: "memory", Text: "memory limit reached by hidden"}
			},
			want: []string{
				"job failure limit_memory !memory limit reached by ***",
				"  set up job",
				"    open sandbox",
				"  use *** failure limit_memory !memory limit reached by ***",
				"  clean up",
			},
			meter: []string{"limit docker memory", "step docker failure 1m0s", "job docker failure limit_memory cpu 0s peak 0"},
		},
		{
			name:     "the sandbox breaks",
			workflow: `{jobs: {t: {runs-on: host, steps: [{run: one}]}}}`,
			run:      func(string) (sandbox.Result, error) { return sandbox.Result{ExitCode: -1}, errors.New("lost") },
			want: []string{
				"job error _OTHER !lost",
				"  set up job",
				"    open sandbox",
				"  Run one error _OTHER !lost",
				"  clean up",
			},
			meter: []string{"step docker error 1m0s", "job docker error _OTHER cpu 0s peak 0"},
		},
		{
			name:     "a panic",
			workflow: `{jobs: {t: {runs-on: host, steps: [{run: one}]}}}`,
			run:      func(string) (sandbox.Result, error) { panic("oh no") },
			want: []string{
				"job error panic !oh no",
				"  set up job",
				"    open sandbox",
				"  Run one error panic !oh no",
				"  clean up",
			},
			meter: []string{"step docker error 1m0s", "job docker error panic cpu 0s peak 0"},
		},
		{
			name:     "a workflow that cannot be run",
			workflow: `{jobs: {a: {runs-on: nowhere, steps: [{run: one}]}}}`,
			want: []string{
				`job error no_such_label !runs-on asks for "nowhere", which this runner does not carry; it has "host", "second", "box"`,
				`  set up job no_such_label !runs-on asks for "nowhere", which this runner does not carry; it has "host", "second", "box"`,
			},
			meter: []string{"job  error no_such_label cpu 0s peak 0"},
		},
		{
			name:     "a step that cannot be evaluated",
			workflow: `{jobs: {a: {runs-on: host, steps: [{name: bad, run: one, env: {A: "${{ fromJSON('{') }}"}}]}}}`,
			want: []string{
				"job failure invalid_workflow !…",
				"  set up job",
				"    open sandbox",
				"  bad failure invalid_workflow !…",
				"  clean up",
			},
			meter: []string{"step docker failure 0s", "job docker failure invalid_workflow cpu 0s peak 0"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{run: func(ctx context.Context, _ *sandbox.Command, script string) (sandbox.Result, error) {
					d := time.Minute
					if strings.Contains(script, "long") {
						d = 100 * time.Hour
					}
					select {
					case <-time.After(d):
					case <-ctx.Done():
						return sandbox.Result{ExitCode: 143}, context.Cause(ctx)
					}
					if c.run == nil {
						return sandbox.Result{}, nil
					}
					return c.run(script)
				}}
				m := &meter{}
				got, _ := traced(t, f, c.workflow, &observe.Scope{Meter: m, Mask: func(s string) string { return strings.ReplaceAll(s, "hidden", "***") }}, c.cancel)
				for i, line := range got {
					if before, _, ok := strings.Cut(line, "!env of the step: "); ok {
						got[i] = before + "!…"
					}
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Errorf("the spans (-want +got):\n%s", d)
				}
				if d := cmp.Diff(c.meter, m.got); d != "" {
					t.Errorf("the measurements (-want +got):\n%s", d)
				}
			})
		})
	}
}

// TestPropagation looks at what programs are told of their span.
func TestPropagation(t *testing.T) {
	for _, c := range []struct {
		name, env string
		off       bool
		want      map[string]string
	}{
		{"by default", "", false, map[string]string{"TRACEPARENT": "00-TRACE-SPAN-01", "BAGGAGE": "a=b"}},
		{"off", "", true, map[string]string{}},
		{"the user's parent", "TRACEPARENT: mine", false, map[string]string{"TRACEPARENT": "mine", "BAGGAGE": "a=b"}},
		{"the user's state", "TRACESTATE: mine", false, map[string]string{"TRACESTATE": "mine", "BAGGAGE": "a=b"}},
		{"the user's baggage", "BAGGAGE: ''", false, map[string]string{"TRACEPARENT": "00-TRACE-SPAN-01", "BAGGAGE": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := tracetest.NewSpanRecorder()
			tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec))
			got := map[string]string{}
			f := &fake{run: func(_ context.Context, cmd *sandbox.Command, _ string) (sandbox.Result, error) {
				for _, name := range []string{"TRACEPARENT", "TRACESTATE", "BAGGAGE"} {
					if v, ok := cmd.Env[name]; ok {
						got[name] = v
					}
				}
				return sandbox.Result{}, nil
			}}
			ctx, span := tp.Tracer("").Start(context.Background(), "job")
			tk := newCase(`{jobs: {t: {runs-on: host, env: {` + c.env + `}, steps: [{run: one}]}}}`).Task(7)
			scope := &observe.Scope{Propagate: !c.off, Baggage: "a=b"}
			if r := job.New(options(t, f)).Run(observe.With(ctx, scope), nil, tk, jobtest.NewRecorder(tk)); r != task.Success {
				t.Fatal(r)
			}
			span.End()
			for _, s := range rec.Ended() {
				if s.Name() == "Run one" {
					want := strings.NewReplacer("TRACE-", s.SpanContext().TraceID().String()+"-", "SPAN", s.SpanContext().SpanID().String()).Replace(c.want["TRACEPARENT"])
					if c.want["TRACEPARENT"] != "" {
						c.want["TRACEPARENT"] = want
					}
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestSpanBegins: whoever places rows is told of each step's span, and that the one
// around it goes on when the step has ended.
func TestSpanBegins(t *testing.T) {
	ctx, span := sdktrace.NewTracerProvider().Tracer("").Start(context.Background(), "job")
	defer span.End()
	tk := newCase(`{jobs: {t: {runs-on: host, steps: [{name: one, run: one}, {name: no, run: no, if: "false"}, {name: two, run: two}]}}}`).Task(7)
	var got []string
	scope := &observe.Scope{SpanBegins: func(ctx context.Context) {
		got = append(got, trace.SpanFromContext(ctx).(sdktrace.ReadOnlySpan).Name())
	}}
	run := func(context.Context, *sandbox.Command, string) (sandbox.Result, error) { return sandbox.Result{}, nil }
	if r := job.New(options(t, &fake{run: run})).Run(observe.With(ctx, scope), nil, tk, jobtest.NewRecorder(tk)); r != task.Success {
		t.Fatal(r)
	}
	if d := cmp.Diff([]string{"one", "job", "two", "job"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestStepsFromTheirStart: what the conventions (semconv 1.43) want a sampler to see
// of a step is there when its span begins, and its result is not.
func TestStepsFromTheirStart(t *testing.T) {
	starts := oteltest.NewStarts()
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(starts)).Tracer("").Start(context.Background(), "job")
	tk := newCase(`{jobs: {t: {runs-on: host, steps: [{name: one, run: one}]}}}`).Task(7)
	scope := &observe.Scope{
		Steps:  []attribute.KeyValue{semconv.CICDPipelineName("p"), semconv.CICDPipelineRunID("1")},
		JobURL: func() string { return "https://git.example/o/r/actions/runs/1/jobs/0" },
	}
	if r := job.New(options(t, &fake{run: func(context.Context, *sandbox.Command, string) (sandbox.Result, error) {
		return sandbox.Result{}, nil
	}})).Run(observe.With(ctx, scope), nil, tk, jobtest.NewRecorder(tk)); r != task.Success {
		t.Fatal(r)
	}
	span.End()
	if missing := starts.Missing("one", "cicd.pipeline.task.name", "cicd.pipeline.task.run.id", "cicd.pipeline.task.run.url.full", "cicd.pipeline.name", "cicd.pipeline.run.id"); missing != nil {
		t.Errorf("a sampler does not see %v", missing)
	}
	for _, s := range starts.Ended() {
		if s.Name() == "one" && s.SpanKind() != trace.SpanKindInternal {
			t.Errorf("the step's span is a %s", s.SpanKind())
		}
	}
	if begun := starts.Of("one"); len(begun) != 1 || begun[0].HasValue("cicd.pipeline.task.run.result") {
		t.Errorf("the step began as %v", begun)
	}
}
