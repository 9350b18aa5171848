package poll

import (
	"context"
	"slices"
	"sync"
)

// staff are the workers of a Poller. There are never more of them than the
// capacity, but for those that finish a task after it was lowered.
type staff struct {
	poller *Poller

	mu       sync.Mutex
	capacity int
	ctx      context.Context // nil before run
	live     []*worker
	leaving  int // how many of them are to end when they are idle
	next     int // number of the next worker
	workers  sync.WaitGroup
}

// run starts the workers and waits until ctx has ended and with it all of them.
func (s *staff) run(ctx context.Context) {
	s.mu.Lock()
	s.ctx = ctx
	s.hire()
	s.mu.Unlock()
	s.workers.Wait()
}

func (s *staff) set(capacity int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.capacity = capacity
	for len(s.live)-s.leaving > capacity {
		s.dismiss()
	}
	s.hire()
}

// dismiss tells one worker to end, an idle one if there is one; s.mu is held.
func (s *staff) dismiss() {
	var who *worker
	for _, w := range s.live {
		if w.stop != nil && (who == nil || who.busy.Load() && !w.busy.Load()) {
			who = w
		}
	}
	who.stop()
	who.stop = nil
	s.leaving++
}

// hire starts the workers that are missing; s.mu is held.
func (s *staff) hire() {
	for s.ctx != nil && s.ctx.Err() == nil && len(s.live) < s.capacity {
		ctx, stop := context.WithCancel(s.ctx)
		w := &worker{p: s.poller, ticket: newTicket(), log: s.poller.opts.Log.With("worker", s.next), stop: stop}
		s.next++
		s.live = append(s.live, w)
		s.workers.Go(func() {
			defer stop()
			defer s.left(w)
			w.run(ctx)
		})
	}
}

// left notes a worker's end; one that was dismissed too soon is replaced.
func (s *staff) left(w *worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.stop == nil {
		s.leaving--
	}
	s.live = slices.DeleteFunc(s.live, func(o *worker) bool { return o == w })
	s.hire()
}
