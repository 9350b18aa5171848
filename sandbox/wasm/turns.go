package wasm

import (
	"context"
	"runtime"
	"slices"
	"sync"
)

// Turns bound how many modules are compiled at a time, by all the providers that they
// are given to: a compiling may take compileMemory and a processor. Where there are
// more, jobs take turns: one that has much to compile is before another one with
// one module at a time. They are safe for concurrent use.
type Turns struct {
	mu      sync.Mutex
	most    int
	running int
	queue   []*line // who waits, next first; empty where there is room
}

// line are a job's compilings that wait, next first.
type line struct {
	job     string
	waiting []chan struct{} // closed when its turn comes
}

// NewTurns lets most modules be compiled at a time; 0 is what this machine bears: as
// many as it has processors, and one for each 4 GiB of memory, but one in any case.
func NewTurns(most int) *Turns {
	t := &Turns{}
	t.Set(most)
	return t
}

// Set changes how many modules are compiled at a time; see NewTurns. What runs goes on.
func (t *Turns) Set(most int) {
	if most <= 0 {
		most = machineTurns(runtime.GOMAXPROCS(0), machineMemory())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.most = most
	t.call()
}

// turnMemory is the machine's memory for each compiling: what one may take, and a
// part of what else runs.
const turnMemory = compileMemory + 1<<30

// machineTurns is how many modules a machine compiles at a time; memory is in bytes, 0
// where it is not known.
func machineTurns(processors int, memory uint64) int {
	if memory > 0 {
		processors = int(min(uint64(processors), memory/turnMemory)) //nolint:gosec // a small number
	}
	return max(1, processors)
}

// atOnce takes a turn that is free. It has to be given back by done.
func (t *Turns) atOnce() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running >= t.most {
		return false
	}
	t.running++
	return true
}

// wait waits for a job's turn, which has to be given back by done; the error is the
// context's cause where that ends first. The runner itself, which is the job "", is
// next: what it compiles is the shell, for which all jobs wait.
func (t *Turns) wait(ctx context.Context, job string) error {
	if t.atOnce() {
		return nil
	}
	turn := t.join(job)
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	if !t.leave(turn) { // it came in this moment
		t.done()
	}
	return context.Cause(ctx)
}

// done gives a turn back.
func (t *Turns) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running--
	t.call()
}

// call gives free turns to those who wait: a job that has more to compile is the
// last again. The lock is held.
func (t *Turns) call() {
	for t.running < t.most && len(t.queue) > 0 {
		l := t.queue[0]
		t.queue = t.queue[1:]
		close(l.waiting[0])
		t.running++
		if l.waiting = l.waiting[1:]; len(l.waiting) > 0 {
			t.put(l)
		}
	}
}

// put puts a line into the queue. The lock is held.
func (t *Turns) put(l *line) {
	if l.job == "" {
		t.queue = slices.Insert(t.queue, 0, l)
		return
	}
	t.queue = append(t.queue, l)
}

// join waits in a job's line.
func (t *Turns) join(job string) chan struct{} {
	turn := make(chan struct{})
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.queue, func(l *line) bool { return l.job == job })
	if i >= 0 {
		t.queue[i].waiting = append(t.queue[i].waiting, turn)
	} else {
		t.put(&line{job: job, waiting: []chan struct{}{turn}})
	}
	t.call() // one may have become free since it was looked
	return turn
}

// leave waits no longer, and reports whether it had waited until now.
func (t *Turns) leave(turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, l := range t.queue {
		at := slices.Index(l.waiting, turn)
		if at < 0 {
			continue
		}
		if l.waiting = slices.Delete(l.waiting, at, at+1); len(l.waiting) == 0 {
			t.queue = slices.Delete(t.queue, i, i+1)
		}
		return true
	}
	return false
}
