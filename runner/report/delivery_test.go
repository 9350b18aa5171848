package report_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
)

// numbered writes n rows, some of them in steps.
func numbered(w *world, n int) (want []string) {
	w.r.StepStarted(0, time.Now())
	for i := range n {
		line := fmt.Sprintf("row %d %s", i, strings.Repeat("-", i%200))
		want = append(want, line)
		w.row(line)
		if i%97 == 0 {
			time.Sleep(50 * time.Millisecond)
		}
	}
	w.r.StepFinished(0, task.Success, time.Now())
	return want
}

// delivered checks that the server has all rows, once and in order, then the
// seal's, and the result.
func delivered(w *world, want []string, result task.Result) {
	w.t.Helper()
	got := w.contents()
	if len(got) == 0 || got[len(got)-1] != "" {
		w.t.Errorf("the log does not end with the seal's row: %d rows", len(got))
	} else if diff := cmp.Diff(want, got[:len(got)-1]); diff != "" {
		w.t.Errorf("rows (-want +got):\n%.2000s", diff)
	}
	state := w.task()
	if !state.Sealed || state.Result != result {
		w.t.Errorf("sealed %v, result %q\n%s", state.Sealed, state.Result, w.log)
	}
	if len(state.Steps) > 0 && state.Steps[0].LogLength != int64(len(want)) {
		w.t.Errorf("the step has %d rows, want %d", state.Steps[0].LogLength, len(want))
	}
}

func TestDeliveryThroughFaults(t *testing.T) {
	for name, faults := range map[string][]giteatest.Fault{
		"none":           nil,
		"partial acks":   {giteatest.PartialAck(7).On("UpdateLog").Times(40)},
		"cut replies":    {giteatest.CutAfter().Chance(.5)},
		"cut requests":   {giteatest.CutBefore().Chance(.5)},
		"503":            {giteatest.Status(503).Chance(.6)},
		"html":           {giteatest.HTML(200, "Log in").Chance(.5)},
		"own errors":     {giteatest.Code(connect.CodeInternal, "database is locked").Chance(.5)},
		"body limit":     {giteatest.BodyLimit(1500).On("UpdateLog")},
		"retry after":    {giteatest.Status(429).RetryAfter(7 * time.Second).Times(6)},
		"everything":     {giteatest.CutAfter().Chance(.2), giteatest.Status(502).Chance(.2), giteatest.PartialAck(3).Chance(.3).On("UpdateLog"), giteatest.Latency(3 * time.Second).Chance(.3)},
		"a hung server":  {giteatest.Hang().Times(3).Skip(1)},
		"not taking any": {giteatest.PartialAck(0).On("UpdateLog").Times(5)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubbleOf(t, giteatest.Options{Seed: 7, IgnoreEmptySeal: true}, giteatest.RunnerOptions{}, report.Options{}, func(w *world) {
				for _, f := range faults {
					w.s.Inject(f)
				}
				want := numbered(w, 1000)
				w.finish(task.Success)
				delivered(w, want, task.Success)
			})
		})
	}
}

func TestRetriesDoNotStorm(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.row("x")
		w.s.Inject(giteatest.Status(503).On("UpdateLog"))
		time.Sleep(5 * time.Minute)
		times := w.at("UpdateLog")
		if n := len(times); n < 25 || n > 50 {
			w.t.Errorf("%d attempts in 5 minutes: %v", n, times)
		}
		if n := strings.Count(w.log.String(), "could not be sent"); n != 1 {
			w.t.Errorf("the log says it %d times", n)
		}
	})
}

// A server that was away for too long has failed the task and sealed its log:
// what it still takes is sent, and the runner's log says what happened.
func TestAServerThatGaveTheTaskUp(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.row("before")
		time.Sleep(4 * time.Second)
		w.s.SetDown(true)
		w.row("never seen")
		time.Sleep(11 * time.Minute)
		w.s.SetDown(false)
		<-w.r.Stopped()
		if r := w.r.StopReason(); r != task.Failure {
			w.t.Errorf("reason %q", r)
		}
		w.row("nor this")
		w.r.SetOutput("k", "v")
		w.finish(task.Cancelled)
		if s := w.task(); s.Result != task.Failure || s.Outputs["k"] != "v" {
			w.t.Errorf("%+v", s)
		}
		for _, want := range []string{"the server has ended the task", "rows are lost"} {
			if !strings.Contains(w.log.String(), want) {
				w.t.Errorf("the runner's log has no %q:\n%s", want, w.log)
			}
		}
	})
}

func TestCancel(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.r.StepStarted(0, time.Now())
		w.row("working")
		time.Sleep(7 * time.Second)
		w.s.Cancel(w.id)
		at := time.Now()
		<-w.r.Stopped()
		if d := time.Since(at); d > 5*time.Second {
			w.t.Errorf("the cancel was noticed after %v", d)
		}
		if r := w.r.StopReason(); r != task.Cancelled {
			w.t.Errorf("reason %q", r)
		}
		// A long cleanup goes on being reported.
		beats := w.task().Heartbeats
		w.r.StepFinished(0, task.Cancelled, time.Now())
		w.row("cleaning up")
		time.Sleep(3 * time.Minute)
		if n := w.task().Heartbeats - beats; n < 36 {
			w.t.Errorf("%d heartbeats during 3 minutes of cleanup", n)
		}
		w.finish(task.Cancelled)
		if diff := cmp.Diff([]string{"working", "cleaning up", ""}, w.contents()); diff != "" {
			w.t.Errorf("rows (-want +got):\n%s", diff)
		}
		if s := w.task(); s.Result != task.Cancelled || s.Steps[0].Result != task.Cancelled {
			w.t.Errorf("%+v", s)
		}
	})
}

// Heartbeats go on while Finish is held up, and the order of the end is kept.
func TestTheOrderOfTheEnd(t *testing.T) {
	put := putter{}
	inBubble(t, report.Options{Summaries: &put}, func(w *world) {
		want := numbered(w, 10)
		w.r.SetSummary(0, []byte("# well done"))
		w.r.SetOutput("a", "1")
		put.do = func() error {
			// What must be there by now.
			if s := w.task(); !s.Sealed || len(s.Outputs) != 0 || s.Result.Final() {
				w.t.Errorf("during the summaries: %+v", s)
			}
			time.Sleep(20 * time.Second)
			return nil
		}
		w.s.Inject(giteatest.Status(503).On("UpdateLog").Skip(1).Times(8))
		w.finish(task.Success)
		delivered(w, want, task.Success)
		if put.got[0] != "# well done" {
			w.t.Errorf("summaries %v", put.got)
		}
		calls := w.s.Calls("UpdateTask")
		if !calls[len(calls)-1].Final || slices.ContainsFunc(calls[:len(calls)-1], func(c giteatest.Call) bool { return c.Final }) {
			w.t.Errorf("the final state is not the last call, or not the only one: %+v", calls)
		}
	})
}

type putter struct {
	do  func() error
	got map[int]string
}

func (p *putter) Put(_ context.Context, step int, markdown []byte) error {
	if p.got == nil {
		p.got = make(map[int]string)
	}
	p.got[step] = string(markdown)
	if p.do == nil {
		return nil
	}
	return p.do()
}

// The final state of an ephemeral runner deletes it: if the answer is lost, the
// next attempt is refused, and all is well.
func TestTheFinalStateOfAnEphemeralRunner(t *testing.T) {
	for name, fault := range map[string]giteatest.Fault{
		"answered": giteatest.Latency(time.Second),
		"cut":      giteatest.CutAfter().On("UpdateTask").Times(1),
	} {
		t.Run(name, func(t *testing.T) {
			inBubbleOf(t, giteatest.Options{}, giteatest.RunnerOptions{Name: "e", Labels: []string{"dump"}, Ephemeral: true}, report.Options{StateInterval: time.Minute}, func(w *world) {
				w.row("x")
				w.s.Inject(fault)
				w.finish(task.Success)
				delivered(w, []string{"x"}, task.Success)
				time.Sleep(10 * time.Minute)
				calls := w.s.Calls("")
				if last := calls[len(calls)-1]; time.Since(last.Start) < 9*time.Minute {
					w.t.Errorf("calls after the end: %+v", last)
				}
			})
		})
	}
}

// A task that was deleted with its repository: nothing can be delivered, and
// nobody waits for it.
func TestATaskThatIsGone(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.row("x")
		w.s.DeleteTask(w.id)
		<-w.r.Stopped()
		if r := w.r.StopReason(); r != task.Failure {
			w.t.Errorf("reason %q", r)
		}
		w.s.ResetCalls()
		for range 100_000 {
			w.row("must not block")
		}
		time.Sleep(time.Minute)
		if err := w.r.Finish(w.t.Context(), task.Failure); err == nil || !strings.Contains(err.Error(), "gave up while the job was running (100001 rows not delivered)") {
			w.t.Errorf("Finish = %v", err)
		}
		if n := len(w.s.Calls("")); n != 0 {
			w.t.Errorf("%d more calls", n)
		}
	})
}

func TestFinishEndsWithItsContext(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.row("x")
		w.s.Inject(giteatest.Hang())
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
		defer cancel()
		err := w.r.Finish(ctx, task.Success)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "gave up while sending rows (1 row not delivered)") {
			w.t.Errorf("Finish = %v", err)
		}
		if d := time.Since(w.start); d != time.Minute {
			w.t.Errorf("took %v", d)
		}
	})
}

func TestBackPressure(t *testing.T) {
	const bound = 1 << 20
	inBubble(t, report.Options{MaxWaiting: bound}, func(w *world) {
		hit := w.s.Inject(giteatest.Status(503).On("UpdateLog"))
		var written atomic.Int64
		done := make(chan struct{})
		line := strings.Repeat("z", 1000)
		go func() {
			defer close(done)
			for range 5000 {
				w.row(line)
				written.Add(1)
			}
		}()
		time.Sleep(2 * time.Minute)
		n := int(written.Load())
		if n*len(line) > bound || n*len(line) < bound/2 {
			w.t.Errorf("%d bytes were taken while the server was away; the bound is %d", n*len(line), bound)
		}
		hit.Remove()
		<-done
		w.finish(task.Success)
		if got := w.task().RowCount; got != 5001 {
			w.t.Errorf("%d rows, want 5001", got)
		}
	})
}

func TestRowDoesNotBlockAfterTheKill(t *testing.T) {
	inBubble(t, report.Options{MaxWaiting: 10_000}, func(w *world) {
		w.s.Inject(giteatest.Status(503).On("UpdateLog").Times(1000))
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 1000 {
				w.row("a row of a job that is being killed")
			}
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		select {
		case <-done:
			w.t.Fatal("nothing was blocked")
		default:
		}
		w.kill()
		<-done
		w.r.Close()
		if !strings.Contains(w.log.String(), "rows of a killed job were dropped") {
			w.t.Errorf("the runner's log:\n%s", w.log)
		}
	})
}

func TestCloseAndFinishRace(t *testing.T) {
	for i := range 30 {
		inBubble(t, report.Options{}, func(w *world) {
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for j := range 500 {
					w.row("row")
					if j%100 == 0 {
						w.r.StepStarted(j/100, time.Now())
						time.Sleep(time.Millisecond)
					}
				}
			}()
			time.Sleep(time.Duration(i) * 300 * time.Microsecond)
			closed := make(chan struct{})
			if i%2 == 0 {
				go func() {
					w.r.Close()
					close(closed)
				}()
			} else {
				close(closed)
			}
			<-ended
			_ = w.r.Finish(w.t.Context(), task.Success)
			<-closed
			w.r.Close()
			w.row("too late")
			w.r.StepStarted(9, time.Now())
			w.r.AddMask("also too late")
		})
	}
}

// The same over a socket, in real time.
func TestOverLoopback(t *testing.T) {
	s := giteatest.New(giteatest.Options{})
	defer s.Close()
	url, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	uuid, token := s.AddRunner(giteatest.RunnerOptions{Name: "r", Labels: []string{"dump"}})
	c, err := gitea.New(gitea.Options{Instance: url, UUID: uuid, Token: token, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	if _, err := s.AddRecorded("push"); err != nil {
		t.Fatal(err)
	}
	got, _, err := c.FetchTask(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Inject(giteatest.CutAfter().Times(1))
	w := &world{t: t, s: s, id: got.ID, log: &buffer{}, start: time.Now()}
	w.r = report.New(t.Context(), report.Options{Client: c, TaskID: got.ID})
	want := numbered(w, 500)
	w.finish(task.Success)
	delivered(w, want, task.Success)
}

// A task that the server ended just before its result arrived: the result is not
// what the job's owner sees, and the runner's log says why.
func TestAResultThatComesTooLate(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.s.Fail(w.id)
		w.finish(task.Success)
		if r := w.r.StopReason(); r != task.Failure || !strings.Contains(w.log.String(), "the server has ended the task") {
			w.t.Errorf("reason %q\n%s", r, w.log)
		}
	})
}

// What the runner has to say does not wait for a server that is away.
func TestNoteDoesNotBlock(t *testing.T) {
	inBubble(t, report.Options{MaxWaiting: 1000}, func(w *world) {
		w.r.AddMask("s3cret-value")
		w.s.SetDown(true)
		for range 6 {
			w.row("x")
		}
		at := time.Now()
		w.r.Note(at, "too full, s3cret-value")
		w.r.Note(at, "and more")
		if time.Since(at) > 0 {
			w.t.Error("Note blocked")
		}
		w.s.SetDown(false)
		w.finish(task.Failure)
		if got := strings.Join(w.contents(), ","); got != "x,x,x,x,x,x,too full, ***,and more," {
			w.t.Errorf("rows %q", got)
		}
	})
}
