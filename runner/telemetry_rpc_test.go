package runner

import (
	"context"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/job"
	"otelrunner/runner/task"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// TestCallsAreTraced: which calls of the server become spans, and what they say.
func TestCallsAreTraced(t *testing.T) {
	for _, c := range []struct {
		spans       string
		least, most int // spans of UpdateTask of a job of a minute; one call fails
		log         bool
	}{{"changes", 2, 6, true}, {"all", 12, 30, true}, {"none", 0, 0, false}} {
		t.Run(c.spans, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := giteatest.New(giteatest.Options{})
				defer s.Close()
				w := newWatchedRunner(t, s, "one", func(ctx context.Context, stop <-chan struct{}, sink job.Sink) task.Result {
					sink.StepStarted(0, time.Now())
					sink.Row(time.Now(), "hello")
					time.Sleep(20 * time.Second)
					s.Inject(giteatest.Status(503).On("UpdateTask").Times(1)) // of a heartbeat
					return works(ctx, stop, sink)
				}, func(cfg *config.Config) { cfg.Otel.RPCSpans = c.spans })
				s.AddWorkflow(anyJob, giteatest.TaskOptions{})
				w.takes(t)

				jobSpan := w.span(t, "RUN root1/demo/test.yml / a")
				at, err := url.Parse(s.URL())
				if err != nil {
					t.Fatal(err)
				}
				calls, failed, logs := 0, 0, 0
				for _, span := range w.spans.Ended() {
					switch span.Name() {
					case runnerService + "UpdateTask":
						calls++
					case runnerService + "UpdateLog":
						logs++
					default:
						continue
					}
					if span.SpanKind() != trace.SpanKindClient || span.Parent().SpanID() != jobSpan.SpanContext().SpanID() {
						t.Errorf("%s is a %s below %s", span.Name(), span.SpanKind(), span.Parent().SpanID())
					}
					for key, want := range map[string]string{
						"rpc.system.name": "connectrpc", "rpc.method": span.Name(), "server.address": at.Hostname(), "server.port": at.Port(),
					} {
						if got := attr(span, key); got != want {
							t.Errorf("%s: %s is %q, want %q", span.Name(), key, got, want)
						}
					}
					if span.Status().Code == codes.Error {
						failed++
						if attr(span, "error.type") != "unavailable" || attr(span, "rpc.response.status_code") != "unavailable" {
							t.Errorf("the failed call has the type %q and the code %q", attr(span, "error.type"), attr(span, "rpc.response.status_code"))
						}
					}
				}
				if calls < c.least || calls > c.most || (logs > 0) != c.log || (failed == 1) != c.log {
					t.Errorf("%d spans of UpdateTask, %d of UpdateLog, %d failed", calls, logs, failed)
				}
			})
		})
	}
}

// TestSummaryUpload: it takes time, and is a span of the job.
func TestSummaryUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := giteatest.New(giteatest.Options{})
		defer s.Close()
		w := newWatchedRunner(t, s, "one", func(_ context.Context, _ <-chan struct{}, sink job.Sink) task.Result {
			sink.StepStarted(0, time.Now())
			sink.SetSummary(0, []byte("# hello"))
			sink.StepFinished(0, task.Success, time.Now())
			return task.Success
		}, nil)
		w.h.summary = true
		s.Inject(giteatest.Status(500).On("Summary").Times(1))
		s.AddWorkflow(anyJob, giteatest.TaskOptions{})
		w.takes(t)
		good, bad := 0, 0
		for _, span := range w.spans.Ended() {
			if span.Name() != "upload summary" {
				continue
			}
			if attr(span, "otelrunner.summary.bytes") != "7" || span.SpanKind() != trace.SpanKindClient {
				t.Errorf("the upload is a %s of %q bytes", span.SpanKind(), attr(span, "otelrunner.summary.bytes"))
			}
			if span.Status().Code == codes.Error && attr(span, "error.type") != "" {
				bad++
			} else {
				good++
			}
		}
		if good != 1 || bad != 1 {
			t.Errorf("%d uploads that went well and %d that did not, want one each", good, bad)
		}
	})
}

// TestQueueIsNotGuessed: how long a job waited is told of one without needs, where
// the server says when the job was created.
func TestQueueIsNotGuessed(t *testing.T) {
	for _, c := range []struct {
		name    string
		api     bool
		options giteatest.TaskOptions
		fault   *giteatest.Fault
		want    bool
	}{
		{"told", true, giteatest.TaskOptions{}, nil, true},
		{"needs", true, giteatest.TaskOptions{Needs: map[string]task.Need{"b": {Result: task.Success}}}, nil, false},
		{"no such list", false, giteatest.TaskOptions{}, nil, false},
		{"the token may not", true, giteatest.TaskOptions{}, new(giteatest.Status(403).On("RunJobs")), false},
		{"a page of something else", true, giteatest.TaskOptions{}, new(giteatest.HTML(200, "login").On("RunJobs")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := giteatest.New(giteatest.Options{RunsAPI: c.api})
				defer s.Close()
				if c.fault != nil {
					s.Inject(*c.fault)
				}
				w := newWatchedRunner(t, s, "one", works, nil)
				s.AddWorkflow(anyJob, c.options)
				time.Sleep(time.Minute)
				w.takes(t)
				found := false
				for _, span := range w.spans.Ended() {
					found = found || span.Name() == "queue"
				}
				measured := histogramCount(t, w, "act_runner_job_queue_duration") > 0
				if found != c.want || measured != c.want {
					t.Errorf("a span: %v, a measurement: %v, want %v", found, measured, c.want)
				}
			})
		})
	}
}
