package runner

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/job"
	"otelrunner/runner/journal/journaltest"
	"otelrunner/runner/task"
)

// engineFunc is an engine for tests.
type engineFunc func(ctx context.Context, cancel <-chan struct{}, sink job.Sink) task.Result

func (f engineFunc) Run(ctx context.Context, cancel <-chan struct{}, _ *task.Task, sink job.Sink) task.Result {
	return f(ctx, cancel, sink)
}

// bench is a handler at a server in memory, for use in a bubble.
type bench struct {
	server *giteatest.Server
	client *gitea.Client
	h      *handler
	stops  chan struct{}
	log    strings.Builder
	lost   []error
	disk   *journaltest.Disk // of its journal
}

func newBench(t *testing.T, timeout time.Duration, e engineFunc) *bench {
	t.Helper()
	b := &bench{server: giteatest.New(giteatest.Options{}), stops: make(chan struct{})}
	t.Cleanup(b.server.Close)
	client, err := b.server.NewClient(giteatest.RunnerOptions{Labels: []string{"linux"}})
	if err != nil {
		t.Fatal(err)
	}
	b.client = client
	if _, err := client.Declare(t.Context(), "test", []string{"linux"}); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	stop := newShutdown(t.Context(), b.stops, nil, timeout, log)
	t.Cleanup(stop.end)
	b.h = &handler{
		terms: always(&terms{cfg: &cfg, engine: e}), client: client, in: otel.Discard(), log: log, stop: stop,
		failed: func(err error) { b.lost = append(b.lost, err) },
	}
	return b
}

// always gives the same terms to every job.
func always(t *terms) func() (*terms, func()) {
	return func() (*terms, func()) { return t, func() {} }
}

const anyJob = "on: push\njobs:\n  a:\n    runs-on: linux\n    steps: [{run: x}]\n"

// take fetches a new task and returns it.
func (b *bench) take(t *testing.T) *task.Task {
	t.Helper()
	b.server.AddWorkflow(anyJob, giteatest.TaskOptions{})
	got, _, err := b.client.FetchTask(t.Context(), 0)
	if err != nil || got == nil {
		t.Fatalf("%v, %v", got, err)
	}
	return got
}

func TestHandleReportsAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, func(_ context.Context, _ <-chan struct{}, sink job.Sink) task.Result {
			sink.Row(time.Now(), "before")
			panic("out of cheese")
		})
		got := b.take(t)
		b.h.handle(got)
		if done, _ := b.server.Task(got.ID); done.Result != task.Failure {
			t.Errorf("result %s, want failure", done.Result)
		}
		if log := b.server.Log(got.ID); !strings.Contains(log, "before\n##[error]The runner failed while it ran this job") {
			t.Errorf("the job's log is %q", log)
		}
		if done, _ := b.server.Task(got.ID); len(done.Steps) != 1 || done.Steps[0].Result != task.Skipped {
			t.Errorf("steps %+v, want the one step as skipped", done.Steps)
		}
		if !strings.Contains(b.log.String(), "out of cheese") || !strings.Contains(b.log.String(), "handle_test.go") {
			t.Errorf("the runner's log lacks the panic and its place:\n%s", b.log.String())
		}
	})
}

// untilCancelled is a job that ends by a cancel only.
func untilCancelled(ctx context.Context, cancel <-chan struct{}, _ job.Sink) task.Result {
	select {
	case <-cancel:
		return task.Cancelled
	case <-ctx.Done():
		return task.Failure
	}
}

func TestHandleIsCancelledByTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Hour, untilCancelled)
		got := b.take(t)
		time.AfterFunc(time.Minute, func() { b.server.Cancel(got.ID) })
		began := time.Now()
		b.h.handle(got)
		if took := time.Since(began); took < time.Minute || took > time.Minute+6*time.Second {
			t.Errorf("the cancel was noticed after %s, want a heartbeat after a minute at the latest", took)
		}
		if done, _ := b.server.Task(got.ID); done.Result != task.Cancelled {
			t.Errorf("result %s, want cancelled", done.Result)
		}
	})
}

func TestHandleIsStoppedByASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Hour, untilCancelled)
		got := b.take(t)
		time.AfterFunc(time.Minute, func() { b.server.Fail(got.ID) })
		b.h.handle(got)
		if done, _ := b.server.Task(got.ID); done.Result != task.Failure {
			t.Errorf("result %s, want the server's: failure", done.Result)
		}
		if n := strings.Count(b.log.String(), "level=WARN"); n != 1 || !strings.Contains(b.log.String(), "the server has ended the task") {
			t.Errorf("the runner's log does not say it, or not once:\n%s", b.log.String())
		}
	})
}

func TestHandleAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 10*time.Minute, untilCancelled)
		got := b.take(t)
		time.AfterFunc(time.Minute, func() { b.stops <- struct{}{} })
		began := time.Now()
		b.h.handle(got)
		if took := time.Since(began).Round(time.Second); took != 11*time.Minute {
			t.Errorf("the job was let go on until %s, want 11m", took)
		}
		if log := b.server.Log(got.ID); !strings.Contains(log, "##[warning]This runner is being stopped") {
			t.Errorf("the job's log does not say why it was cancelled: %q", log)
		}
		if done, _ := b.server.Task(got.ID); done.Result != task.Cancelled {
			t.Errorf("result %s, want cancelled", done.Result)
		}
	})
}

// A server that is away at the end of a job gets all of it when it is back; one
// that is away at shutdown is waited for a minute.
func TestHandleWhileTheServerIsAway(t *testing.T) {
	for _, c := range []struct {
		name     string
		away     time.Duration
		shutdown bool
		want     task.Result
	}{
		{"for two minutes", 2 * time.Minute, false, task.Success},
		{"half a minute of a shutdown", 30 * time.Second, true, task.Success},
		{"for ever at shutdown", 24 * time.Hour, true, task.Unspecified},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b *bench
				b = newBench(t, 0, func(_ context.Context, _ <-chan struct{}, sink job.Sink) task.Result {
					b.server.SetDown(true)
					time.AfterFunc(c.away, func() { b.server.SetDown(false) })
					sink.Row(time.Now(), "a row")
					return task.Success
				})
				got := b.take(t)
				if c.shutdown {
					b.stops <- struct{}{}
				}
				began := time.Now()
				b.h.handle(got)
				took := time.Since(began)
				done, _ := b.server.Task(got.ID)
				if done.Result != c.want {
					t.Errorf("result %s, want %s", done.Result, c.want)
				}
				if lost := len(b.lost) > 0; lost != (c.want == task.Unspecified) {
					t.Errorf("errors %v", b.lost)
				}
				if c.want == task.Success && !strings.Contains(b.server.Log(got.ID), "a row") {
					t.Error("the row is lost")
				}
				if c.shutdown && took > reportGrace+time.Second {
					t.Errorf("the report held the shutdown for %s", took)
				}
			})
		})
	}
}

func TestMirror(t *testing.T) {
	cfg := config.Default()
	cfg.Runner.GithubMirror = "https://mirror"
	for in, want := range map[string]string{"https://github.com": "https://mirror", "https://github.com/": "https://mirror", "https://gitea.example": "https://gitea.example"} {
		original := &task.Task{Context: map[string]any{"gitea_default_actions_url": in}}
		if got := mirrored(&cfg, original).String("gitea_default_actions_url"); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
		if original.String("gitea_default_actions_url") != in {
			t.Error("the task was written to")
		}
	}
}

func TestRunnerSecrets(t *testing.T) {
	cfg := config.Default()
	cfg.Runner.Envs = map[string]string{"NPM_TOKEN": "t1", "PLAIN": "p"}
	got := runnerSecrets(&cfg, []string{"HTTPS_PROXY=http://u:s3@proxy:1", "no_proxy=localhost", "OTHER=http://u:no@x"})
	if strings.Join(got, " ") != "t1 s3" {
		t.Errorf("%q", got)
	}
}
