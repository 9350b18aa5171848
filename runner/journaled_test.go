package runner

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/job"
	"otelrunner/runner/journal"
	"otelrunner/runner/task"
)

// journaling gives a bench a journal in dir.
func (b *bench) journaling(t *testing.T, dir string) (*journal.Journal, *journaled) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	j, err := journal.Open(journal.Options{Dir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	f := &journaled{Fetcher: b.client, journal: j, log: log}
	b.h.begun = f.take
	return j, f
}

// fetch fetches a new task through the journal.
func (b *bench) fetch(t *testing.T, f *journaled) *task.Task {
	t.Helper()
	b.server.AddWorkflow(anyJob, giteatest.TaskOptions{})
	got, _, err := f.FetchTask(t.Context(), 0)
	if err != nil || got == nil {
		t.Fatalf("%v, %v", got, err)
	}
	return got
}

func tasksIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "task-*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A task that is reported leaves nothing in the journal.
func TestJournalOfATaskThatIsDone(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, func(_ context.Context, _ <-chan struct{}, sink job.Sink) task.Result {
			sink.Row(time.Now(), "a row")
			if len(tasksIn(t, dir)) != 1 {
				t.Error("the task has no journal")
			}
			return task.Success
		})
		j, f := b.journaling(t, dir)
		defer func() { _ = j.Close() }()
		got := b.fetch(t, f)
		b.h.handle(got)
		if done, _ := b.server.Task(got.ID); done.Result != task.Success {
			t.Errorf("result %s", done.Result)
		}
		if left := tasksIn(t, dir); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
		if _, fetching := j.WasFetching(); fetching {
			t.Error("the fetch has not ended")
		}
	})
}

// A server that was away for longer than it waits has failed the task: what it
// does not take is kept as text, and the runner's log says where.
func TestJournalOfATaskThatTheServerGaveUp(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		b = newBench(t, 0, func(_ context.Context, cancel <-chan struct{}, sink job.Sink) task.Result {
			b.server.SetDown(true)
			sink.Row(time.Now(), "written while the server was away")
			time.Sleep(11 * time.Minute)
			b.server.SetDown(false)
			<-cancel // the server says that it has given up
			return task.Failure
		})
		j, f := b.journaling(t, dir)
		defer func() { _ = j.Close() }()
		got := b.fetch(t, f)
		b.h.handle(got)
		kept, err := filepath.Glob(filepath.Join(dir, "kept", "*.log"))
		if err != nil || len(kept) != 1 || len(tasksIn(t, dir)) > 0 {
			t.Fatalf("kept %v, left %v, %v", kept, tasksIn(t, dir), err)
		}
		text, err := os.ReadFile(kept[0])
		if err != nil || !strings.Contains(string(text), "written while the server was away") || !strings.Contains(string(text), "takes no more of this task") {
			t.Errorf("%v: %s", err, text)
		}
		if !strings.Contains(b.log.String(), kept[0]) {
			t.Errorf("the runner's log does not name the file:\n%s", b.log.String())
		}
	})
}

// A runner that is stopped while the server is away leaves the end of the task in
// the journal; the next one delivers it.
func TestJournalOverARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		b = newBench(t, 0, func(_ context.Context, _ <-chan struct{}, sink job.Sink) task.Result {
			b.server.SetDown(true)
			sink.StepStarted(0, time.Now())
			sink.Row(time.Now(), "the last row")
			sink.StepFinished(0, task.Success, time.Now())
			return task.Success
		})
		j, f := b.journaling(t, dir)
		got := b.fetch(t, f)
		b.stops <- struct{}{}
		b.h.handle(got)
		if done, _ := b.server.Task(got.ID); done.Result.Final() || len(b.lost) != 1 {
			t.Fatalf("%+v, %v", done, b.lost)
		}
		if !strings.Contains(b.log.String(), "the next start of this runner sends it") {
			t.Errorf("the runner's log:\n%s", b.log.String())
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}

		b.server.SetDown(false)
		again := &bench{server: b.server, client: b.client, h: b.h, stops: make(chan struct{})}
		again.h.stop = newShutdown(t.Context(), again.stops, nil, 0, slog.New(slog.DiscardHandler))
		defer again.h.stop.end()
		j, _ = again.journaling(t, dir)
		defer func() { _ = j.Close() }()
		left := newRecovery(again.h, j, func() <-chan struct{} { return nil })
		left.start()
		left.wait()
		if done, _ := b.server.Task(got.ID); done.Result != task.Success || !strings.Contains(b.server.Log(got.ID), "the last row") || len(done.Steps) != 1 || done.Steps[0].Result != task.Success {
			t.Errorf("%+v\n%s", done, b.server.Log(got.ID))
		}
		if left := tasksIn(t, dir); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// A task that was cut off fails even if the container engine does not answer, and
// says so; one that the server cancelled meanwhile is cancelled.
func TestRecoveryDoesNotWaitForEver(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, 0, nil)
			j, f := b.journaling(t, dir)
			got := b.fetch(t, f)
			if err := j.Close(); err != nil { // the process dies
				t.Fatal(err)
			}
			if cancelled {
				b.server.Cancel(got.ID)
			}
			j, _ = b.journaling(t, dir)
			defer func() { _ = j.Close() }()
			began := time.Now()
			left := newRecovery(b.h, j, func() <-chan struct{} { return make(chan struct{}) })
			left.start()
			left.wait()
			done, _ := b.server.Task(got.ID)
			want := task.Failure
			if cancelled {
				want = task.Cancelled
			}
			if took := time.Since(began); done.Result != want || took > time.Minute {
				t.Errorf("%s after %s", done.Result, took)
			}
			log := b.server.Log(got.ID)
			if !strings.Contains(log, "The runner died in the middle of this job") || !strings.Contains(log, "The container engine does not answer") {
				t.Errorf("the job's log:\n%s", log)
			}
		})
	}
}

// A disk that cannot take a task's journal: the task is not run and says why.
func TestATaskWithoutAJournalIsNotRun(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, func(context.Context, <-chan struct{}, job.Sink) task.Result {
			t.Error("it was run")
			return task.Success
		})
		j, f := b.journaling(t, dir)
		defer func() { _ = j.Close() }()
		var told error
		b.h.broken = func(err error) { told = err }
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Rename(dir+".away", dir) }()
		got := b.fetch(t, f)
		b.h.handle(got)
		if done, _ := b.server.Task(got.ID); done.Result != task.Failure || !strings.Contains(b.server.Log(got.ID), "##[error]The runner's disk takes no more") {
			t.Errorf("%s: %s", done.Result, b.server.Log(got.ID))
		}
		if told == nil {
			t.Error("the readiness was not told")
		}
	})
}

// An answer that is lost on its way is told of; a server that says no, or that
// cannot be reached, has given nothing away.
func TestALostAnswerIsToldOf(t *testing.T) {
	for name, c := range map[string]struct {
		fault *giteatest.Fault
		lost  bool
	}{
		"cut after":  {ptr(giteatest.CutAfter()), true},
		"refused":    {nil, false},
		"503":        {ptr(giteatest.Status(503)), false},
		"a web page": {ptr(giteatest.HTML(200, "Log in")), false},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, 0, nil)
			j, f := b.journaling(t, dir)
			defer func() { _ = j.Close() }()
			if c.fault != nil {
				b.server.Inject(*c.fault)
			} else {
				b.client.CloseIdleConnections()
				b.server.SetDown(true)
			}
			if _, _, err := f.FetchTask(t.Context(), 0); err == nil {
				t.Fatalf("%s: no error", name)
			}
			if told := strings.Contains(b.log.String(), "the answer to a fetch was lost"); told != c.lost {
				t.Errorf("%s: told %v:\n%s", name, told, b.log.String())
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }
