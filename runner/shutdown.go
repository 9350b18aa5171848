package runner

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"
)

// reportGrace is how long the report of an ended job may take once the runner is
// asked to stop: a server that is away must not keep it for ever.
const reportGrace = time.Minute

var (
	errDraining = errors.New("the runner is draining")
	errStopping = errors.New("the runner is stopping")
	errKilled   = errors.New("the runner was told to stop at once")
)

// A shutdown goes from stage to stage, each of which ends something. A request
// to stop begins the first one; a further request cuts the wait for the next. A
// request to drain ends fetching too, but begins no stage: jobs take their time,
// and so do their reports.
//
//	1 fetching ends; jobs go on for the shutdown timeout
//	2 cancel is closed: jobs run their cleanup steps
//	3 jobs ends: everything that runs is killed
//	4 reports ends: what the server does not have yet, it never gets
type shutdown struct {
	fetching context.Context
	asked    context.Context // ends with the first request to stop
	cancel   chan struct{}
	jobs     context.Context
	reports  context.Context
	timeout  atomic.Int64 // of jobs, a time.Duration

	done chan struct{} // closed by end
	gone chan struct{} // closed when the goroutine has ended
}

// newShutdown watches ctx, whose end is a first request, stops and drains. end must
// be called, when nothing runs any more.
func newShutdown(ctx context.Context, stops, drains <-chan struct{}, timeout time.Duration, log *slog.Logger) *shutdown {
	background := context.WithoutCancel(ctx)
	s := &shutdown{cancel: make(chan struct{}), done: make(chan struct{}), gone: make(chan struct{})}
	s.setTimeout(timeout)
	var stopFetching, stopped, killJobs, dropReports context.CancelCauseFunc
	s.fetching, stopFetching = context.WithCancelCause(background)
	s.asked, stopped = context.WithCancelCause(background)
	s.jobs, killJobs = context.WithCancelCause(background)
	s.reports, dropReports = context.WithCancelCause(background)

	go func() {
		defer close(s.gone)
		defer dropReports(nil)
		defer killJobs(nil)
		defer stopped(nil)
		defer stopFetching(nil)
		if !s.first(stops, drains, ctx.Done(), func() {
			log.Info("draining: no more tasks are taken, running jobs finish")
			stopFetching(errDraining)
		}) {
			return
		}
		stopped(errStopping)
		timeout := time.Duration(s.timeout.Load())
		log.Info("stopping: no more tasks are taken, running jobs may go on", "for", timeout)
		stopFetching(errStopping)
		if !s.after(timeout, stops) {
			return
		}
		log.Info("stopping: jobs that still run are cancelled, their cleanup steps run")
		close(s.cancel)
		if !s.wait(stops, nil, nil) {
			return
		}
		log.Warn("stopping: jobs that still run are killed")
		killJobs(errKilled)
		if !s.wait(stops, nil, nil) {
			return
		}
		log.Warn("stopping: reports that are under way are given up")
		dropReports(errKilled)
		<-s.done
	}()
	return s
}

// setTimeout changes how long jobs may go on after a first request that is still to
// come.
func (s *shutdown) setTimeout(d time.Duration) { s.timeout.Store(int64(d)) }

// first waits for the first request to stop, and calls drain at one to drain.
func (s *shutdown) first(stops, drains, ctxDone <-chan struct{}, drain func()) bool {
	for {
		select {
		case <-drains:
			drain()
			drains = nil
			continue
		case <-s.done:
			return false
		case <-stops:
		case <-ctxDone:
		}
		return true
	}
}

// wait waits for any of its channels; false means that all is over.
func (s *shutdown) wait(stops, ctxDone <-chan struct{}, timer <-chan time.Time) bool {
	select {
	case <-s.done:
		return false
	case <-stops:
	case <-ctxDone:
	case <-timer:
	}
	return true
}

func (s *shutdown) after(d time.Duration, stops <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	return s.wait(stops, nil, timer.C)
}

// end ends the watching.
func (s *shutdown) end() {
	close(s.done)
	<-s.gone
}

// reporting is the context in which one job's report is brought to its end. It
// lasts for as long as the server takes, unless the runner is stopping.
func (s *shutdown) reporting() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(s.reports)
	limited := make(chan *time.Timer, 1)
	unhook := context.AfterFunc(s.asked, func() {
		limited <- time.AfterFunc(reportGrace, func() { cancel(errStopping) })
	})
	return ctx, func() {
		if !unhook() {
			(<-limited).Stop()
		}
		cancel(nil)
	}
}
