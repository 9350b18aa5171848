package poll

import (
	"context"
	"slices"
	"sync"
)

// turn lets one idle worker poll while the others wait, so that an idle runner
// costs its server the same whatever its capacity.
type turn struct {
	mu      sync.Mutex
	holder  *ticket
	waiting []*ticket // first in line first
}

// ticket is a worker's place in line; one worker, one ticket.
type ticket struct {
	granted chan struct{} // one token when the turn is this ticket's
	yield   chan struct{} // one token when the holder is asked to give way
}

func newTicket() *ticket {
	return &ticket{granted: make(chan struct{}, 1), yield: make(chan struct{}, 1)}
}

// acquire waits for the turn, or for ctx to end. A worker in a hurry goes to the
// head of the line, and a holder that sleeps gives way to it.
func (t *turn) acquire(ctx context.Context, k *ticket, hurry bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if t.enter(k, hurry) {
		return nil
	}
	select {
	case <-k.granted:
		return nil
	case <-ctx.Done():
		t.leave(k)
		return ctx.Err()
	}
}

// enter takes the turn if it is free, else takes a place in line.
func (t *turn) enter(k *ticket, hurry bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == nil {
		t.hold(k)
		return true
	}
	if !hurry {
		t.waiting = append(t.waiting, k)
		return false
	}
	t.waiting = slices.Insert(t.waiting, 0, k)
	select {
	case t.holder.yield <- struct{}{}:
	default:
	}
	return false
}

// hold makes k the holder; an old request to give way is not for it.
func (t *turn) hold(k *ticket) {
	select {
	case <-k.yield:
	default:
	}
	t.holder = k
}

// leave gives up k's place in line, or the turn if it has come meanwhile.
func (t *turn) leave(k *ticket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == k {
		<-k.granted
		t.next()
		return
	}
	t.waiting = slices.DeleteFunc(t.waiting, func(w *ticket) bool { return w == k })
}

// release hands the turn to the next in line. Only the holder may call it.
func (t *turn) release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next()
}

func (t *turn) next() {
	t.holder = nil
	if len(t.waiting) == 0 {
		return
	}
	k := t.waiting[0]
	t.waiting = t.waiting[1:]
	t.hold(k)
	k.granted <- struct{}{}
}
