package report_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// world is a reporter before a server over HTTP, in memory.
type world struct {
	t      *testing.T
	s      *giteatest.Server
	client *gitea.Client
	id     int64
	r      *report.Reporter
	kill   context.CancelFunc
	log    *buffer
	start  time.Time
}

// buffer is a bytes.Buffer for the lines of several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// inBubble runs f in virtual time with a task that a runner has just got.
func inBubble(t *testing.T, o report.Options, f func(w *world)) {
	t.Helper()
	inBubbleOf(t, giteatest.Options{}, giteatest.RunnerOptions{}, o, f)
}

func inBubbleOf(t *testing.T, so giteatest.Options, ro giteatest.RunnerOptions, o report.Options, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, so, ro, o)
		defer w.s.Close()
		defer w.kill()
		defer w.r.Close()
		f(w)
	})
}

func newWorld(t *testing.T, so giteatest.Options, ro giteatest.RunnerOptions, o report.Options) *world {
	t.Helper()
	w := &world{t: t, s: giteatest.New(so), log: &buffer{}}
	if ro.Name == "" {
		ro.Name, ro.Labels = "r", []string{"dump"}
	}
	c, err := w.s.NewClient(ro)
	if err != nil {
		t.Fatal(err)
	}
	if w.id, err = w.s.AddRecorded("push"); err != nil {
		t.Fatal(err)
	}
	got, _, err := c.FetchTask(t.Context(), 0)
	if err != nil || got == nil {
		t.Fatalf("fetch: %v, %v", got, err)
	}
	w.s.ResetCalls()
	w.client = c
	if o.Client == nil {
		o.Client = c
	}
	if o.TaskID == 0 {
		o.TaskID = w.id
	}
	o.Log = slog.New(slog.NewTextHandler(w.log, nil))
	ctx, kill := context.WithCancel(context.Background())
	w.kill = kill
	w.start = time.Now()
	w.r = report.New(ctx, o)
	return w
}

func (w *world) row(line string) { w.r.Row(time.Now(), line) }

func (w *world) finish(result task.Result) {
	w.t.Helper()
	if err := w.r.Finish(context.Background(), result); err != nil {
		w.t.Errorf("Finish: %v\n%s", err, w.log)
	}
}

func (w *world) task() giteatest.Task {
	w.t.Helper()
	got, ok := w.s.Task(w.id)
	if !ok {
		w.t.Fatal("the task is gone")
	}
	return got
}

// contents are the rows as the server has them.
func (w *world) contents() []string {
	rows := w.s.Rows(w.id)
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = r.Content
	}
	return out
}

// at are the times of the calls since the start, of one method.
func (w *world) at(method string) []time.Duration {
	var out []time.Duration
	for _, c := range w.s.Calls(method) {
		out = append(out, c.Start.Sub(w.start))
	}
	return out
}

// settled lets everything happen that happens without the clock's moving, and a
// little more: a step's transition waits a few milliseconds for its neighbour.
func settled() {
	time.Sleep(10 * time.Millisecond)
	synctest.Wait()
}
