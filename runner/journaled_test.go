package runner

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/job"
	"otelrunner/runner/journal"
	"otelrunner/runner/journal/journaltest"
	"otelrunner/runner/task"
)

// journaling gives a bench a journal in dir.
func (b *bench) journaling(t *testing.T, dir string) (*journal.Journal, *journaled) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(&b.log, nil))
	b.disk = journaltest.New(dir)
	j, err := journal.Open(journal.Options{Dir: dir, Log: log, Disk: b.disk})
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
		left := newRecovery(again.h, j)
		left.start()
		left.end()
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
			left := newRecovery(b.h, j)
			left.start()
			left.removing(make(chan error), nil)
			left.wait()
			defer left.end()
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

// What could not be removed of a job that was cut off is not said to be.
func TestRecoverySaysWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		here, engine error
		row          string
	}{
		"nothing":                 {nil, nil, "What the job had left on the runner's machine is removed."},
		"a folder":                {errors.New("busy"), nil, job.RowWarning + "Not all that jobs had left on the runner's machine could be removed"},
		"a container":             {nil, errors.New("busy"), job.RowWarning + "Not all that jobs had left on the runner's machine could be removed"},
		"it was never looked for": {errNoStart, nil, job.RowWarning + "Not all that jobs had left on the runner's machine could be removed"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 0, nil)
				j, f := b.journaling(t, dir)
				got := b.fetch(t, f)
				if err := j.Close(); err != nil { // the process dies
					t.Fatal(err)
				}
				j, _ = b.journaling(t, dir)
				defer func() { _ = j.Close() }()
				left := newRecovery(b.h, j)
				left.start()
				if !errors.Is(c.here, errNoStart) {
					engine := make(chan error, 1)
					engine <- c.engine
					left.removing(engine, c.here)
					left.wait()
				}
				left.end()
				if log := b.server.Log(got.ID); !strings.Contains(log, "\n"+c.row) {
					t.Errorf("the job's log:\n%s", log)
				}
			})
		})
	}
}

// A runner that cannot start gives a server that is away a minute, no more; the next
// start goes on with the task.
func TestRecoveryEndsWithAStartThatFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, nil)
		j, f := b.journaling(t, dir)
		b.fetch(t, f)
		if err := j.Close(); err != nil { // the process dies
			t.Fatal(err)
		}
		b.server.SetDown(true)
		j, _ = b.journaling(t, dir)
		began := time.Now()
		left := newRecovery(b.h, j)
		left.start()
		left.end()
		if took := time.Since(began); took < 30*time.Second || took > 70*time.Second {
			t.Errorf("it took %s", took)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if len(tasksIn(t, dir)) != 1 {
			t.Error("the task is not in the journal any more")
		}
	})
}

// A disk that has no room when the runner starts does not keep what it has from the
// server.
func TestRecoveryFromAFullDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 0, nil)
		j, f := b.journaling(t, dir)
		got := b.fetch(t, f)
		f.take(got.ID).log.Row(time.Now(), "the last row")
		if err := j.Close(); err != nil { // the process dies
			t.Fatal(err)
		}
		j, _ = b.journaling(t, dir)
		defer func() { _ = j.Close() }()
		b.disk.SetRoom(0)
		var told error
		b.h.broken = func(err error) { told = err }
		left := newRecovery(b.h, j)
		left.start()
		left.end()
		if done, _ := b.server.Task(got.ID); done.Result != task.Failure || !strings.Contains(b.server.Log(got.ID), "the last row\n"+job.RowError+"The runner died") {
			t.Errorf("%s:\n%s", done.Result, b.server.Log(got.ID))
		}
		if !journal.IsFull(told) {
			t.Errorf("the readiness was told %v", told)
		}
		if left := tasksIn(t, dir); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}

// A disk that fails in the middle of a job, or as it ends: the job fails and its log
// says what is wrong and what to do; the runner is told not to be ready. At the very
// end, the job has its own result.
func TestADiskThatFails(t *testing.T) {
	full := func(b *bench) { b.disk.SetRoom(0) }
	lost := func(b *bench) { b.disk.FailSyncs(syscall.EIO) }
	for name, c := range map[string]struct {
		breakIt func(b *bench)
		before  bool // the job does not end by itself
		stopped bool // it is being cancelled when the disk breaks
		want    task.Result
		row     string
	}{
		"full, in the middle":  {breakIt: full, before: true, want: task.Failure, row: job.RowError + "The runner's disk is full, and this job's log could be lost: the job is stopped. Its administrator has to free space, or to set journal.dir to another disk ("},
		"fails, in the middle": {breakIt: lost, before: true, want: task.Failure, row: job.RowError + "The runner's disk fails, and this job's log could be lost: the job is stopped. Its administrator has to look at the disk, or to set journal.dir to another one ("},
		"full, in its cleanup": {breakIt: full, stopped: true, want: task.Failure, row: job.RowError + "The runner's disk is full"},
		"fails, at the end":    {breakIt: lost, want: task.Success},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				var b *bench
				b = newBench(t, 0, func(_ context.Context, cancel <-chan struct{}, sink job.Sink) task.Result {
					sink.StepStarted(0, time.Now())
					sink.Row(time.Now(), "before")
					if c.stopped {
						b.stops <- struct{}{}
						<-cancel
					}
					synctest.Wait() // the journal has it
					c.breakIt(b)
					if !c.before && !c.stopped {
						return task.Success
					}
					sink.StepFinished(0, task.Success, time.Now()) // which syncs
					sink.Row(time.Now(), "after")
					if c.before {
						<-cancel
						return task.Cancelled
					}
					synctest.Wait() // the journal has failed by now
					return task.Cancelled
				})
				j, f := b.journaling(t, dir)
				defer func() { _ = j.Close() }()
				var told error
				b.h.broken = func(err error) { told = err }
				got := b.fetch(t, f)
				b.h.handle(got)
				done, _ := b.server.Task(got.ID)
				if done.Result != c.want {
					t.Errorf("result %s, want %s\n%s", done.Result, c.want, b.log.String())
				}
				log := b.server.Log(got.ID)
				if !strings.Contains(log, "before\n") || strings.Count(log, "The runner's disk") != strings.Count(c.row, "The runner's disk") || !strings.Contains(log, c.row) {
					t.Errorf("the job's log:\n%s", log)
				}
				if told == nil {
					t.Error("the readiness was not told")
				}
			})
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
		if done, _ := b.server.Task(got.ID); done.Result != task.Failure || !strings.Contains(b.server.Log(got.ID), "##[error]The runner's disk fails") {
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
