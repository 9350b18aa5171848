package report_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/journal"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
)

// finalWatcher calls final before each final state that goes to the server.
type finalWatcher struct {
	report.Client
	final func()
}

func (c *finalWatcher) UpdateTask(ctx context.Context, req *runnerv1.UpdateTaskRequest) (*runnerv1.UpdateTaskResponse, error) {
	if req.GetState().GetResult() != runnerv1.Result_RESULT_UNSPECIFIED {
		c.final()
	}
	return c.Client.UpdateTask(ctx, req)
}

// onFinal is withJournal with final called before each final state.
func onFinal(t *testing.T, final func(w *world, k *kept), f func(w *world, k *kept)) {
	t.Helper()
	c := &finalWatcher{}
	withJournal(t, giteatest.Options{}, journal.Options{}, report.Options{Client: c}, func(w *world, k *kept) {
		c.Client, c.final = w.client, func() { final(w, k) }
		f(w, k)
	})
}

// The server hears of the end of a task when all of it is on the disk, however
// long that takes; heartbeats go on meanwhile.
func TestTheEndIsOnTheDiskBeforeItIsSent(t *testing.T) {
	const rows, slow = 50, 12 * time.Second
	finals := 0
	onFinal(t, func(w *world, k *kept) {
		finals++
		dir := w.t.TempDir()
		if err := k.disk.Lasting(dir); err != nil {
			w.t.Error(err)
			return
		}
		left, err := journal.Open(journal.Options{Dir: dir})
		if err != nil {
			w.t.Error(err)
			return
		}
		defer func() { _ = left.Close() }()
		logs, err := left.Unfinished()
		if err != nil || len(logs) != 1 {
			w.t.Errorf("a power cut before the final state leaves %d tasks, %v", len(logs), err)
			return
		}
		if s := logs[0].State(); s.Next < rows+1 || s.Result != task.Success || s.Outputs["k"] != "v" || len(s.Events) != 2 {
			w.t.Errorf("a power cut before the final state leaves %+v", s)
		}
	}, func(w *world, k *kept) {
		release := k.disk.HoldSyncs()
		defer release()
		want := numbered(w, rows)
		w.row("after the last step")
		w.r.SetOutput("k", "v")
		began := time.Now()
		time.AfterFunc(slow, release)
		w.finish(task.Success)
		if took := time.Since(began); took < slow {
			w.t.Errorf("it was sent after %v, while the disk had nothing", took)
		}
		if n := w.task().Heartbeats; n < 2 {
			w.t.Errorf("%d heartbeats in %v", n, slow)
		}
		if got := w.contents(); len(got) != len(want)+2 {
			w.t.Errorf("%d rows", len(got))
		}
	})
	if finals != 1 {
		t.Errorf("%d final states", finals)
	}
}

// A disk that hangs does not hold the result for ever, and one that fails not at
// all: the server is then the only place where it can be kept.
func TestADiskThatDoesNotKeepTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		breakIt func(k *kept) (mend func())
		within  time.Duration
		told    string
	}{
		"hangs": {func(k *kept) func() { return k.disk.HoldSyncs() }, 16 * time.Second, "did not answer within 15s"},
		"fails": {func(k *kept) func() { k.disk.FailSyncs(syscall.EIO); return func() {} }, time.Second, "input/output error"},
	} {
		t.Run(name, func(t *testing.T) {
			onFinal(t, func(*world, *kept) {}, func(w *world, k *kept) {
				want := numbered(w, 10)
				defer c.breakIt(k)()
				began := time.Now()
				w.finish(task.Success)
				if took := time.Since(began); took > c.within {
					w.t.Errorf("it took %v", took)
				}
				delivered(w, want, task.Success)
				if !strings.Contains(w.log.String(), "the journal is not on the disk") || !strings.Contains(w.log.String(), c.told) {
					w.t.Errorf("the runner's log: %s", w.log)
				}
			})
		})
	}
}

// logWatcher calls sent with the rows of each request before it goes to the server.
type logWatcher struct {
	report.Client
	sent func(rows []*runnerv1.LogRow)
}

func (c *logWatcher) UpdateLog(ctx context.Context, req *runnerv1.UpdateLogRequest) (*runnerv1.UpdateLogResponse, error) {
	c.sent(req.GetRows())
	return c.Client.UpdateLog(ctx, req)
}

// The server gets no row that the journal's file does not have, also while the
// journal's own writer waits for the disk: the next process would not know of it.
func TestRowsAreInTheJournalBeforeTheyAreSent(t *testing.T) {
	const rows = 20
	c := &logWatcher{}
	withJournal(t, giteatest.Options{}, journal.Options{}, report.Options{Client: c}, func(w *world, k *kept) {
		sent := 0
		c.Client, c.sent = w.client, func(rows []*runnerv1.LogRow) {
			segment, err := os.ReadFile(filepath.Join(k.o.Dir, "task-11", "00000001.seg"))
			if err != nil {
				w.t.Error(err)
			}
			for _, row := range rows {
				if sent++; !strings.Contains(string(segment), row.GetContent()) {
					w.t.Errorf("%q is sent, and not in the journal", row.GetContent())
				}
			}
		}
		release := k.disk.HoldSyncs()
		defer release()
		w.r.StepStarted(0, time.Now()) // whose sync keeps the writer
		synctest.Wait()
		for i := range rows {
			w.row(fmt.Sprintf("row %d.", i))
		}
		time.Sleep(report.DefaultMaxLatency)
		synctest.Wait()
		if sent != rows {
			w.t.Errorf("%d rows were sent", sent)
		}
		release()
		w.finish(task.Success)
	})
}
