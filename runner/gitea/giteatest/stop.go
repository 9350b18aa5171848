package giteatest

import (
	"slices"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
)

// The server's clocks.
const (
	sweepInterval  = 5 * time.Minute
	zombieAfter    = 10 * time.Minute // without a call about the task
	endlessAfter   = 3 * time.Hour    // since it was assigned
	abandonedAfter = 24 * time.Hour   // without a runner
	silentAfter    = time.Minute      // of the runner: a cancel does not wait for it
)

// Cancel cancels the task, as a person does on the server's page. A runner with
// the capability `cancelling` that is not silent is given time to clean up: the
// task ends with the runner's own final state, as cancelled. Otherwise it is
// final at once. The runtime token is refused from here on.
func (s *Server) Cancel(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil || t.final() {
		return
	}
	if t.runner == nil {
		s.waiting = slices.DeleteFunc(s.waiting, func(o *record) bool { return o == t })
	}
	if t.runner != nil && t.runner.cancelling && !t.runner.deleted && s.now().Sub(t.runner.lastOnline) <= silentAfter {
		t.cancelling = true
		s.notify()
		return
	}
	s.finish(t, runnerv1.Result_RESULT_CANCELLED)
}

// Sweep does what the server does every five minutes, and when it starts: it fails
// zombies and tasks beyond the time limit, sealing their logs, and cancels what
// no runner took. It also happens by itself with the first call after five
// minutes.
func (s *Server) Sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(s.now())
}

func (s *Server) sweepIfDue(now time.Time) {
	if !now.Before(s.nextSweep) {
		s.sweep(now)
	}
}

func (s *Server) sweep(now time.Time) {
	s.nextSweep = now.Add(sweepInterval)
	for _, t := range s.order {
		switch {
		case t.final():
		case t.runner == nil && now.Sub(t.added) > abandonedAfter:
			s.waiting = slices.DeleteFunc(s.waiting, func(o *record) bool { return o == t })
			s.finish(t, runnerv1.Result_RESULT_CANCELLED)
		case t.runner != nil && (now.Sub(t.lastCall) > zombieAfter || now.Sub(t.assigned) > endlessAfter):
			t.sealed = true
			result := runnerv1.Result_RESULT_FAILURE
			if t.cancelling {
				result = runnerv1.Result_RESULT_CANCELLED
			}
			s.finish(t, result)
		}
	}
}

// Fail ends the task as the sweep does, at once: FAILURE, and its log sealed.
func (s *Server) Fail(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[id]; t != nil && !t.final() {
		s.waiting = slices.DeleteFunc(s.waiting, func(o *record) bool { return o == t })
		t.sealed = true
		s.finish(t, runnerv1.Result_RESULT_FAILURE)
	}
}

// FailDials takes the server away as a name that cannot be resolved or a network
// that is gone does: connections in memory fail with err, and those that there are
// are cut. nil ends that.
func (s *Server) FailDials(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials = err
	s.notify()
}

// SetDown takes the server away: connections in memory are refused, requests on
// any other are cut. With false it comes back, sweeping first as a starting
// server does.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down && !down {
		s.sweep(s.now())
	}
	s.down = down
	s.notify()
}
