package report

import (
	"context"
	"fmt"
	"time"

	"otelrunner/runner/journal"
	"otelrunner/runner/task"
)

// syncTimeout is how long the disk may take to have the journal before the final
// state is sent all the same: heartbeats go on meanwhile.
const syncTimeout = 15 * time.Second

// syncJournal brings the journal to the disk. It runs beside the sender.
func (r *Reporter) syncJournal() {
	if err := r.o.Journal.Sync(syncTimeout); err != nil {
		r.o.Log.Warn("the journal is not on the disk; if this machine fails now, the end of the task may be lost", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.durable = true
	r.notify()
}

// readBack reads rows from the journal when there is room in memory. Only sendRows
// calls it, so that nothing else takes rows away meanwhile but giving all up.
func (r *Reporter) readBack() {
	r.mu.Lock()
	q := &r.queue
	from := q.base + int64(len(q.rows)) - q.shift
	read := q.spilled > 0 && !q.probe && (q.cost < r.o.MaxWaiting/2 || len(q.rows) == 0)
	r.mu.Unlock()
	if !read {
		return
	}
	rows, err := r.o.Journal.Rows(from, r.o.MaxWaiting/2)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logOver {
		return
	}
	lost := err != nil || len(rows) == 0
	if lost {
		missing := q.spilled - int64(len(rows))
		r.o.Log.Error("rows cannot be read back from the journal and are lost", "rows", missing, "error", err)
		rows = append(rows, journal.Row{Time: time.Now(), Text: fmt.Sprintf("[%d rows could not be read back from the runner's disk]", missing)})
	}
	q.unspill(rows, lost)
	r.measure()
}

// Resume goes on with the report of a task whose process has died, from
// o.Journal, which also gives TaskID, Steps and Started. Rows that the server does
// not have are sent; Note and Row append to them. It ends as every Reporter, by
// Finish or Close: if the journal has the job's result (State.Result), that is
// what Finish is called with.
//
// Which rows the server has is asked first: the process that died may not have
// come to write down what was acknowledged. So is whether the task still lives,
// by a heartbeat at once.
func Resume(ctx context.Context, o Options) *Reporter {
	s := o.Journal.State()
	o.TaskID, o.Steps, o.Started = s.Task, s.Steps, s.Started
	r := newReporter(ctx, o)
	r.lastState = time.Time{}
	q := &r.queue
	at := max(s.Acked, s.First)
	q.base, q.want, q.sent = at+s.Shift, at+s.Shift, s.Next+s.Shift
	q.spilled, q.shift, q.probe = s.Next-at, s.Shift, true
	for _, e := range s.Events {
		if next := e.Next + s.Shift; e.Result == task.Unspecified {
			r.steps.started(e.Step, e.Time, next)
		} else {
			r.steps.finished(e.Step, e.Result, e.Time, next)
		}
	}
	r.outputs.waiting = s.Outputs
	r.end = s.End
	go r.run()
	return r
}
