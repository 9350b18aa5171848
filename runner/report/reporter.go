package report

import (
	"context"
	"sync"
	"time"

	"otelrunner/runner/task"
)

// Reporter reports one task. New starts it; Finish or Close ends it, and one of
// them must be called. Its methods are safe for concurrent use; the order of rows
// is the order of the calls to Row.
type Reporter struct {
	o      Options
	masker *Masker

	ctx    context.Context // of all calls; ends with cancel
	cancel context.CancelFunc
	unhook func() bool   // takes back what watches the job's context
	done   chan struct{} // closed when the sending goroutine has ended
	wake   chan struct{} // one token: the state below has changed

	stopped chan struct{} // closed when the server has ended the task

	mu   sync.Mutex
	room sync.Cond // there is room for rows, or none will be needed

	queue   queue
	steps   steps
	phase   phase
	killed  bool // the job's context has ended: Row must not block
	closed  bool // Row discards
	logOver bool // the server takes no rows
	logBusy bool // an UpdateLog is under way
	// stateBusy says that an UpdateTask is.
	stateBusy bool
	over      bool // the server takes nothing any more
	overflow  int  // rows dropped after the job was killed
	// unkept are rows that neither the server nor the journal took.
	unkept int64

	change, told int       // number of changes of the state, and what the server has heard of
	changed      time.Time // the first change that it has not heard of
	flushTo      int64     // rows before this index are sent at once
	lastLog      time.Time // when the last UpdateLog was sent
	lastState    time.Time // when the last UpdateTask was sent, or New called
	logRetry     retry
	stateRetry   retry
	chunk        int // bytes of an UpdateLog request; shrinks when refused
	gauge        int // rows in the buffer gauge
	gaugeBytes   int // and what they take in memory
	gaugeDisk    int64
	syncing      bool // the journal is on its way to the disk
	durable      bool // it has arrived, or there is none
	reason       task.Result
	result       task.Result // of the job, set by Finish
	end          time.Time
	finalTried   bool
	err          error // why the report is incomplete
	gaveUp       phase // in which err came
	outputs      outputs
	summaries    summaries
}

// New starts the report of a task. ctx is the job's: when it ends (everything is
// killed), Row blocks no more. Reporting goes on until Finish or Close: values of
// ctx, such as a span, go into the calls, its end does not.
func New(ctx context.Context, o Options) *Reporter {
	r := newReporter(ctx, o)
	go r.run()
	return r
}

// newReporter makes a Reporter whose sender has not started.
func newReporter(ctx context.Context, o Options) *Reporter {
	o = o.withDefaults()
	r := &Reporter{
		o:         o,
		masker:    o.Masker,
		done:      make(chan struct{}),
		wake:      make(chan struct{}, 1),
		stopped:   make(chan struct{}),
		steps:     newSteps(),
		chunk:     maxRequest,
		lastState: time.Now(),
		durable:   o.Journal == nil,
	}
	r.room.L = &r.mu
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.unhook = context.AfterFunc(ctx, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.killed = true
		r.room.Broadcast()
	})
	return r
}

// Masker is the task's: whoever writes job data elsewhere (slog, spans, errors)
// masks it with this.
func (r *Reporter) Masker() *Masker { return r.masker }

// Mask masks text as rows are masked.
func (r *Reporter) Mask(text string) string { return r.masker.Mask(text) }

// AddMask masks value in every row, output and summary that comes after it.
// Values that cannot be told from ordinary text are not masked; see Masker.Add.
func (r *Reporter) AddMask(value string) { r.masker.Add(value) }

// Cut returns how many bytes of line, the beginning of a line that is too long to
// wait for its end, may be given to Row: no secret lies across.
func (r *Reporter) Cut(line []byte) int { return r.masker.Cut(string(line)) }

// Row adds a row to the log, or one for each line of line. It is masked, made
// valid UTF-8 and split where it is longer than 64 KiB. It blocks while
// MaxWaiting bytes wait for the server, or while the Journal is full, until the
// job's context ends. Rows that come after Finish has sealed the log are dropped.
func (r *Reporter) Row(t time.Time, line string) {
	split(r.masker.Mask(clean(line)), func(row string) {
		r.tap(t, row)
		r.store(t, row)
	})
	if j := r.o.Journal; j != nil && j.Behind() {
		_ = j.Flush() // an error is the journal's end, which Journal.Failed tells
	}
}

// Note is Row for what the runner itself has to say: it never blocks, however many
// rows wait.
func (r *Reporter) Note(t time.Time, line string) {
	split(r.masker.Mask(clean(line)), func(row string) {
		r.tap(t, row)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.push(t, row)
	})
}

func (r *Reporter) tap(t time.Time, row string) {
	if r.o.Rows != nil {
		r.o.Rows(t, row)
	}
}

// store keeps one finished row until the server has it.
func (r *Reporter) store(t time.Time, row string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.full() {
		if r.killed {
			r.overflow++
			return
		}
		r.room.Wait()
	}
	r.push(t, row)
}

// push appends a row, however many wait; r.mu is held.
func (r *Reporter) push(t time.Time, row string) {
	if r.closed || r.phase >= sealing {
		return
	}
	if r.o.Copy != nil {
		r.o.Copy(t, row)
	}
	if r.logOver {
		r.setAside(t, row)
		return
	}
	before, waiting := r.queue.bytes, r.queue.waiting()
	r.keep(t, row)
	if waiting == 0 || len(r.queue.rows) == r.o.BatchSize || before < maxRequest && r.queue.bytes >= maxRequest {
		r.notify()
	}
}

// setAside puts a row that the server does not take into the journal, for whoever
// looks for it, while there is room; r.mu is held.
func (r *Reporter) setAside(t time.Time, row string) {
	r.queue.lost++
	j := r.o.Journal
	if j == nil || j.Err() != nil {
		r.unkept++
		return
	}
	if r.unkept == 0 && !j.Full() {
		j.Row(t, row)
		return
	}
	if r.unkept++; r.unkept == 1 { // and none after it, so that there is no hole
		j.Row(t, "[the rows that follow are not kept: the journal of the task has reached journal.max_size]")
		r.o.Log.Warn("the journal of a task that the server has given up has reached journal.max_size; rows that follow are lost")
	}
}

// keep puts a row into the journal, and into memory where there is room or it is
// nowhere else; r.mu is held.
func (r *Reporter) keep(t time.Time, row string) {
	q := &r.queue
	kept := r.o.Journal != nil && r.o.Journal.Row(t, row)
	switch {
	case kept && (q.spilled > 0 || q.cost >= r.o.MaxWaiting):
		q.spill()
	case q.spilled > 0:
		q.last(t, row)
	default:
		q.add(t, row, time.Now)
	}
}

// full reports whether a row must wait; r.mu is held.
func (r *Reporter) full() bool {
	if r.closed || r.logOver || r.phase >= sealing {
		return false
	}
	if j := r.o.Journal; j != nil && j.Err() == nil {
		return j.Full()
	}
	return r.queue.cost >= r.o.MaxWaiting
}

// notify wakes the sender.
func (r *Reporter) notify() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// StepStarted says that step i (its index in the workflow's steps) began at t.
// Rows that come after it, and those since the step before it ended, are its own.
func (r *Reporter) StepStarted(i int, t time.Time) {
	r.transition(func(next int64) {
		r.steps.started(i, t, next)
		if r.o.Journal != nil {
			r.o.Journal.Event(i, t, task.Unspecified)
		}
	})
}

// StepFinished says that step i ended at t. A step that was never started was
// skipped, and has no rows.
func (r *Reporter) StepFinished(i int, res task.Result, t time.Time) {
	r.transition(func(next int64) {
		r.steps.finished(i, res, t, next)
		if r.o.Journal != nil {
			r.o.Journal.Event(i, t, res)
		}
	})
}

// transition changes the state, which the server hears at once, after the rows
// that the state speaks of.
func (r *Reporter) transition(f func(next int64)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := r.queue.next()
	f(next)
	if r.change == r.told {
		r.changed = time.Now()
	}
	r.change++
	r.flushTo = max(r.flushTo, next)
	r.notify()
}

// Stopped is closed when the server has ended the task; StopReason says how.
func (r *Reporter) Stopped() <-chan struct{} { return r.stopped }

// StopReason is Unspecified until Stopped is closed. Then it is Cancelled for a
// cancel, after which cleanup steps run and go on being reported, and Failure if
// the server gave the task up: a sweep, its time limit, a task or runner that
// was deleted.
func (r *Reporter) StopReason() task.Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

// stop closes Stopped once; r.mu is held.
func (r *Reporter) stop(reason task.Result) bool {
	if r.reason.Final() {
		return false
	}
	r.reason = reason
	close(r.stopped)
	return true
}
