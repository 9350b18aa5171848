package report

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otelrunner/runner/task"
)

// Finish delivers what is left (rows, seal, summaries, outputs, the final state),
// each for as long as it takes, and ends the Reporter. Heartbeats go on meanwhile.
// It returns nil when the server has the final state; when ctx ends first, or the
// server has given the task up, the error says what it does not have. All calls
// to Row have returned before Finish is called. Only the first call counts.
func (r *Reporter) Finish(ctx context.Context, result task.Result) error {
	if !result.Final() {
		result = task.Failure
	}
	r.mu.Lock()
	if r.phase == running && !r.closed {
		r.conclude(result)
	}
	r.mu.Unlock()

	select {
	case <-r.done:
	case <-ctx.Done():
	}
	phase := r.shut()
	r.mu.Lock()
	defer r.mu.Unlock()
	if phase == finished && r.err == nil {
		return nil
	}
	err := r.err
	if err != nil {
		phase = r.gaveUp
	} else {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = errors.New("closed")
	}
	rows := "1 row"
	if n := r.queue.waiting() + r.queue.lost; n != 1 {
		rows = fmt.Sprintf("%d rows", n)
	}
	return fmt.Errorf("report task %d: gave up while %s (%s not delivered): %w", r.o.TaskID, phase, rows, err)
}

// conclude begins the end of the report; r.mu is held.
func (r *Reporter) conclude(result task.Result) {
	r.result = result
	if r.end.IsZero() { // else a process before this one has seen the end
		r.end = time.Now()
	}
	for _, warning := range r.refuseOutputs() {
		r.push(r.end, r.masker.Mask(warning))
	}
	r.steps.finish(result, r.o.Steps, r.end, r.queue.next())
	if j := r.o.Journal; j != nil {
		j.Finish(result, r.end, r.outputs.waiting)
	}
	r.phase = draining
	r.notify()
}

// Undelivered is how many rows the server has refused, or cannot get because it
// has given the task up. What it does not have yet for other reasons is not
// counted.
func (r *Reporter) Undelivered() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue.lost
}

// GivenUp reports whether the server does not know the task any more, or refuses
// every word of it.
func (r *Reporter) GivenUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// Close ends the Reporter without delivering anything more. After Finish it does
// nothing.
func (r *Reporter) Close() { r.shut() }

// shut ends the sender and returns how far it came.
func (r *Reporter) shut() phase {
	r.cancel()
	r.unhook()
	<-r.done
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.room.Broadcast()
	r.o.Instruments.BufferRows(-r.gauge)
	r.gauge = 0
	r.measureBytes(0, 0)
	if r.unkept > 0 {
		r.o.Log.Warn("rows of a task that the server has given up are lost: they were not kept", "rows", r.unkept)
		r.unkept = 0
	}
	if r.overflow > 0 {
		r.o.Log.Warn("rows of a killed job were dropped: the server took them too slowly", "rows", r.overflow)
		r.overflow = 0
	}
	return r.phase
}
