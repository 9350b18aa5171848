package report_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

func TestALoneRowLeavesByTheLatencyTimer(t *testing.T) {
	inBubble(t, report.Options{StateInterval: time.Hour}, func(w *world) {
		time.Sleep(700 * time.Millisecond)
		w.row("lonely")
		at := time.Now()
		if err := w.s.WaitRows(w.t.Context(), w.id, 1); err != nil {
			w.t.Fatal(err)
		}
		if d := time.Since(at); d > 3*time.Second || d < 2900*time.Millisecond {
			w.t.Errorf("the row took %v, want just under 3s", d)
		}
		time.Sleep(time.Minute)
		if n := len(w.s.Calls("UpdateLog")); n != 1 {
			w.t.Errorf("%d UpdateLog calls for one row", n)
		}
		if n := len(w.s.Calls("UpdateTask")); n != 0 {
			w.t.Errorf("%d UpdateTask calls without a change or a heartbeat", n)
		}
	})
}

func TestTheSweepComesFirstWhereItIsShorter(t *testing.T) {
	inBubble(t, report.Options{Interval: 2 * time.Second, MaxLatency: 20 * time.Second}, func(w *world) {
		w.row("x")
		if err := w.s.WaitRows(w.t.Context(), w.id, 1); err != nil {
			w.t.Fatal(err)
		}
		if d := time.Since(w.start); d != 2*time.Second {
			w.t.Errorf("the row took %v", d)
		}
	})
}

// A job that writes a row a second costs no more than its floor: a request in
// MaxLatency and a heartbeat in StateInterval.
func TestRequestsOfASteadyWriter(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		const minutes = 10
		for i := range minutes * 60 {
			w.row(fmt.Sprint("row ", i))
			time.Sleep(time.Second)
		}
		calls := float64(w.s.Stats("UpdateLog").Calls + w.s.Stats("UpdateTask").Calls)
		floor := minutes * 60 * (1/3.0 + 1/5.0)
		if calls > 1.05*floor {
			w.t.Errorf("%v calls (log %d, state %d); the floor is %v", calls, w.s.Stats("UpdateLog").Calls, w.s.Stats("UpdateTask").Calls, floor)
		}
		if age := w.task().MaxRowAge; age > 3*time.Second {
			w.t.Errorf("a row arrived after %v", age)
		}
	})
}

func TestNoCallsWithoutRowsOrChanges(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		time.Sleep(time.Minute + time.Millisecond)
		synctest.Wait()
		if n := len(w.s.Calls("UpdateLog")); n != 0 {
			w.t.Errorf("%d UpdateLog calls without rows", n)
		}
		if n := len(w.s.Calls("UpdateTask")); n != 12 {
			w.t.Errorf("%d heartbeats in a minute, want 12", n)
		}
	})
}

func TestABatchWakesOnceASecond(t *testing.T) {
	inBubble(t, report.Options{StateInterval: time.Hour}, func(w *world) {
		hundred := func() {
			for i := range 100 {
				w.row(fmt.Sprint(i))
			}
			synctest.Wait()
		}
		hundred()
		if n := w.task().RowCount; n != 100 {
			w.t.Fatalf("%d rows after a batch, want 100 at once", n)
		}
		for range 20 {
			time.Sleep(100 * time.Millisecond)
			hundred()
		}
		last := -time.Hour
		for _, at := range w.at("UpdateLog") {
			if at-last < time.Second {
				w.t.Errorf("batches at %v", w.at("UpdateLog"))
			}
			last = at
		}
		if n := len(w.s.Calls("UpdateLog")); n != 3 {
			w.t.Errorf("%d calls in 2 s, want 3: %v", n, w.at("UpdateLog"))
		}
	})
}

func TestBytesWakeAtOnce(t *testing.T) {
	inBubble(t, report.Options{StateInterval: time.Hour}, func(w *world) {
		line := strings.Repeat("x", 60<<10)
		for range 3 {
			for range 9 {
				w.row(line)
			}
			synctest.Wait()
		}
		if n := w.task().RowCount; n < 24 {
			w.t.Errorf("%d rows have left without the clock's moving", n)
		}
		if d := time.Since(w.start); d != 0 {
			w.t.Errorf("took %v", d)
		}
	})
}

func TestATransitionIsSentAtOnceAfterItsRows(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.row("set up")
		w.r.StepStarted(0, time.Now())
		w.row("one")
		w.row("two")
		settled()
		if got := w.task(); got.RowCount != 3 || len(got.Steps) != 1 || got.Steps[0].Started.IsZero() {
			w.t.Errorf("after the start: %+v", got)
		}
		w.row("three")
		w.r.StepFinished(0, task.Success, time.Now())
		w.row("between")
		w.r.StepStarted(1, time.Now())
		settled()
		got := w.task()
		if got.RowCount != 5 {
			w.t.Errorf("%d rows", got.RowCount)
		}
		if got.Steps[0].Result != task.Success || got.Steps[0].LogIndex != 1 || got.Steps[0].LogLength != 3 {
			w.t.Errorf("step 0: %+v", got.Steps[0])
		}
		if got.Steps[1].LogIndex != 4 || got.Steps[1].LogLength != 1 || got.Steps[1].Result.Final() {
			w.t.Errorf("step 1: %+v", got.Steps[1])
		}
		want := []string{"UpdateLog", "UpdateTask", "UpdateLog", "UpdateTask"}
		var methods []string
		for _, c := range w.s.Calls("") {
			methods = append(methods, c.Method)
		}
		if diff := cmp.Diff(want, methods); diff != "" {
			w.t.Errorf("calls (-want +got):\n%s", diff)
		}
	})
}

// A heartbeat counts from the last UpdateTask, whatever its reason was.
func TestHeartbeatsCountFromTheLastState(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		time.Sleep(3 * time.Second)
		w.r.StepStarted(0, time.Now())
		time.Sleep(11 * time.Second)
		synctest.Wait()
		var seconds []int
		for _, at := range w.at("UpdateTask") {
			seconds = append(seconds, int(at/time.Second))
		}
		if diff := cmp.Diff([]int{3, 8, 13}, seconds); diff != "" {
			w.t.Errorf("UpdateTask (-want +got):\n%s", diff)
		}
	})
}

// The running step's length grows with heartbeats, never beyond what the server
// has.
func TestHeartbeatsTellOnlyOfRowsTheServerHas(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.r.StepStarted(0, time.Now())
		w.s.Inject(giteatest.Status(503).On("UpdateLog").Skip(1))
		w.row("one")
		time.Sleep(4 * time.Second)
		w.row("two")
		w.r.StepFinished(0, task.Success, time.Now())
		time.Sleep(20 * time.Second)
		synctest.Wait()
		got := w.task()
		if got.Heartbeats < 4 {
			w.t.Errorf("%d heartbeats while the log was refused", got.Heartbeats)
		}
		if n := got.Steps[0].LogLength; n != got.RowCount {
			w.t.Errorf("length %d with %d rows on the server", n, got.RowCount)
		}
	})
}

func TestHeartbeatsGoOnDuringAnEndlessStream(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.s.Inject(giteatest.SlowReply(300 * time.Millisecond).On("UpdateLog"))
		ctx, cancel := context.WithTimeout(w.t.Context(), 30*time.Second)
		defer cancel()
		line := strings.Repeat("y", 50<<10)
		for ctx.Err() == nil {
			w.row(line)
		}
		last := time.Duration(0)
		for _, at := range w.at("UpdateTask") {
			if at-last > 6*time.Second {
				w.t.Errorf("no heartbeat between %v and %v", last, at)
			}
			last = at
		}
		if last < 24*time.Second {
			w.t.Errorf("the last heartbeat was at %v", last)
		}
	})
}

// A step's end and the next one's start, a moment apart, are one request each for
// rows and state.
func TestNeighbouringTransitionsShareARequest(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.r.StepStarted(0, time.Now())
		settled()
		w.s.ResetCalls()
		w.row("last of the first step")
		w.r.StepFinished(0, task.Success, time.Now())
		time.Sleep(2 * time.Millisecond)
		w.r.StepStarted(1, time.Now())
		w.row("first of the second step")
		settled()
		if n := len(w.s.Calls("")); n != 2 {
			w.t.Errorf("%d calls: %+v", n, w.s.Calls(""))
		}
		// And without rows, one for the state.
		time.Sleep(time.Second)
		w.s.ResetCalls()
		w.r.StepFinished(1, task.Success, time.Now())
		time.Sleep(2 * time.Millisecond)
		w.r.StepStarted(2, time.Now())
		settled()
		if n := len(w.s.Calls("")); n != 1 {
			w.t.Errorf("%d calls: %+v", n, w.s.Calls(""))
		}
	})
}

// Rows that come while a request is in flight have a latency of their own.
func TestRowsBehindASlowRequestWaitTheirTime(t *testing.T) {
	inBubble(t, report.Options{StateInterval: time.Hour}, func(w *world) {
		w.s.Inject(giteatest.SlowReply(time.Second).On("UpdateLog"))
		w.row("first")
		time.Sleep(3500 * time.Millisecond)
		w.row("second")
		time.Sleep(10 * time.Second)
		if diff := cmp.Diff([]time.Duration{2950 * time.Millisecond, 6450 * time.Millisecond}, w.at("UpdateLog")); diff != "" {
			w.t.Errorf("UpdateLog (-want +got):\n%s", diff)
		}
	})
}

// A server that hangs over rows still hears of the task, and a cancel is still
// learned.
func TestHeartbeatsGoOnWhileRowsHang(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.s.Inject(giteatest.Hang().On("UpdateLog").Times(1))
		w.row("x")
		time.Sleep(11 * time.Second)
		w.s.Cancel(w.id)
		select {
		case <-w.r.Stopped():
		case <-time.After(6 * time.Second):
			w.t.Error("the cancel was not learned within a heartbeat")
		}
		for i, at := range w.at("UpdateTask") {
			if want := time.Duration(i+1) * report.DefaultStateInterval; at < want || at > want+50*time.Millisecond {
				w.t.Errorf("heartbeat %d at %v, want %v", i, at, want)
			}
		}
		if n := w.s.Stats("UpdateLog").MaxConcurrent; n != 1 {
			w.t.Errorf("%d UpdateLog at a time", n)
		}
		w.finish(task.Cancelled)
		if got := w.contents(); len(got) != 2 || got[0] != "x" {
			w.t.Errorf("rows %q", got)
		}
	})
}

// Close does not wait for a call that hangs.
func TestCloseCutsAHangingCall(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.s.Inject(giteatest.Hang().On("UpdateLog"))
		w.row("x")
		time.Sleep(4 * time.Second)
		at := time.Now()
		w.r.Close()
		if d := time.Since(at); d > time.Millisecond {
			w.t.Errorf("Close took %v", d)
		}
	})
}
