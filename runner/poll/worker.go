package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"otelrunner/runner/task"
)

// worker takes one task at a time. Its counters are its own.
type worker struct {
	p       *Poller
	ticket  *ticket
	backoff backoff
	woken   bool // the last sleep was cut short by a wake-up
	log     *slog.Logger

	stop context.CancelFunc // ends this worker when it is idle
	busy atomic.Bool        // it runs a task
}

// run takes tasks until ctx ends. A worker that comes from a task goes to the
// head of the line: what ended may be what other jobs of the run waited for.
func (w *worker) run(ctx context.Context) {
	fromTask := false
	for {
		if w.p.turn.acquire(ctx, w.ticket, fromTask) != nil {
			return
		}
		t := w.poll(ctx)
		w.p.due.Store(nil) // the next holder says more; there may be none for long
		w.p.turn.release()
		fromTask = t != nil
		if t == nil {
			continue
		}
		if w.p.opts.Once {
			w.p.stop(errDone)
		}
		w.handle(t)
	}
}

// poll fetches and sleeps, in this order, with the turn held, until there is a
// task. Without one it returns when ctx has ended or when a worker that comes
// from a task wants the turn.
func (w *worker) poll(ctx context.Context) *task.Task {
	for ctx.Err() == nil {
		w.p.until(w.p.opts.AdmitTime())
		if a := w.p.opts.Admit; a != nil && !a(ctx) {
			if !w.pause(ctx, AdmitAgain) {
				return nil
			}
			continue
		}
		t, err := w.fetch(ctx)
		if t != nil {
			w.backoff.reset()
			return t
		}
		if w.p.opts.Unregistered(err) {
			w.p.stop(fmt.Errorf("%w: %w", ErrUnregistered, err))
			return nil
		}
		if !w.sleep(ctx, err) {
			w.backoff.reset()
			return nil
		}
	}
	return nil
}

// fetch makes one call and counts how it ended.
func (w *worker) fetch(ctx context.Context) (*task.Task, error) {
	o := &w.p.opts
	// The end of polling does not end a call: the server may be about to
	// assign a task to it.
	timeout := time.Duration(w.p.timeout.Load())
	w.p.until(timeout)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	defer context.AfterFunc(o.GiveUp, cancel)()

	sent := w.p.version.Load()
	start := time.Now()
	t, version, err := o.Fetcher.FetchTask(ctx, sent)
	took := time.Since(start)

	switch {
	case err == nil && t != nil:
		o.Meter.Fetched(Got, took)
		t.Fetched = task.Fetched{Began: start, Ended: start.Add(took)}
		w.recovered()
		w.p.version.Store(0) // there may be more: let the next fetch look
		return t, nil
	case err == nil:
		o.Meter.Fetched(Empty, took)
		if version > sent {
			w.p.version.CompareAndSwap(sent, version)
		}
		w.recovered()
		w.backoff.empty()
		return nil, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded), o.Deadline(err):
		o.Meter.Fetched(TimedUp, took)
		w.log.Debug("the server did not answer in time", "timeout", timeout)
		w.backoff.empty()
		return nil, nil
	case o.GiveUp.Err() != nil:
		w.log.Warn("a fetch was given up; a task that the server was about to assign is lost")
		return nil, nil
	default:
		o.Meter.Fetched(Failed, took)
		w.backoff.failed()
		return nil, err
	}
}

// sleep waits before the next fetch; false means that the turn is to be given
// up: ctx has ended, or another worker comes from a task.
func (w *worker) sleep(ctx context.Context, err error) bool {
	o := &w.p.opts
	pace := w.p.pace.Load()
	interval := w.backoff.interval(pace.interval, pace.longest)
	if w.woken && err == nil {
		// Who woke this worker may have been a moment too early.
		interval = pace.interval
	}
	w.woken = false
	o.Meter.Backoff(interval)
	d := sleep(interval, pace.longest)
	if err != nil {
		d = max(d, o.RetryAfter(err))
		w.log.Warn("fetch task: the server cannot be asked for work", "error", err, "errors", w.backoff.errors, "again_in", d.Round(time.Millisecond))
	}
	return w.rest(ctx, d, o.Wake)
}

// pause is sleep without a reason to hurry.
func (w *worker) pause(ctx context.Context, d time.Duration) bool { return w.rest(ctx, d, nil) }

// rest waits for d, or until wake or another worker says that there is something;
// false is sleep's.
func (w *worker) rest(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	w.p.until(d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		w.woken = true
		w.p.version.Store(0) // there is something, whatever the server remembers
		return true
	case <-w.p.again:
		w.p.version.Store(0)
		return true
	case <-w.ticket.yield:
		return false
	case <-ctx.Done():
		return false
	}
}

func (w *worker) recovered() {
	if w.backoff.errors > 0 {
		w.log.Info("fetch task: the server answers again", "errors", w.backoff.errors)
	}
}

// handle runs the task. The handler reports a panic as that task's failure
// where it can; what gets here must still not end the other workers' tasks.
func (w *worker) handle(t *task.Task) {
	defer func() {
		if v := recover(); v != nil {
			w.log.Error("run task: panic", "task", t.ID, "panic", v, "stack", string(debug.Stack()))
		}
	}()
	w.busy.Store(true)
	defer w.busy.Store(false)
	w.p.opts.Handler(t)
}
