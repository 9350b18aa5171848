package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/journal"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
)

// Client is what a Reporter needs of the server; *gitea.Client is one.
type Client interface {
	UpdateLog(context.Context, *runnerv1.UpdateLogRequest) (*runnerv1.UpdateLogResponse, error)
	UpdateTask(context.Context, *runnerv1.UpdateTaskRequest) (*runnerv1.UpdateTaskResponse, error)
}

// SummaryPutter uploads one step's summary; *Summaries is one.
type SummaryPutter interface {
	Put(ctx context.Context, step int, markdown []byte) error
}

// Defaults and bounds of Options.
const (
	DefaultMaxLatency    = 3 * time.Second
	DefaultInterval      = 5 * time.Second
	DefaultStateInterval = 5 * time.Second
	DefaultBatchSize     = 100
	DefaultMaxWaiting    = 4 << 20
)

const (
	// maxRequest bounds an UpdateLog request, uncompressed, in bytes: what
	// waits beyond it wakes the sender. Proxies take 1 MB by default.
	maxRequest = 512 << 10
	// batchPause is the least time between two requests for which only the
	// number of waiting rows is the reason.
	batchPause = time.Second
	// settle is how long a step's start or stop waits for the one that comes
	// with it: a step stops as the next one starts, and the server hears of
	// both in one request.
	settle = 5 * time.Millisecond
	// requestTimeout ends a call to a server that does not answer.
	requestTimeout = 30 * time.Second
)

// Options are what a Reporter is built from. Client and TaskID are required; the
// zero value of everything else is its default.
type Options struct {
	Client Client
	TaskID int64

	// Steps is how many steps the task has. Those that nothing was said of at
	// the end are reported as skipped: the server shows them as waiting for
	// ever otherwise. 0: only steps that are told of are reported.
	Steps int

	// Started is when the task began; zero is now.
	Started time.Time

	// Masker masks this task's secrets; nil makes one. Secrets are added to
	// it before the first row: the task's secrets, its tokens, and the
	// passwords of registries and proxies.
	Masker  *Masker
	Secrets []string

	// MaxLatency is how long a row waits at most.
	MaxLatency time.Duration
	// Interval is how often rows that wait are sent in any case. It matters
	// only where it is shorter than MaxLatency.
	Interval time.Duration
	// BatchSize is how many waiting rows wake the sender, once a second at
	// most.
	BatchSize int
	// StateInterval is the time between two heartbeats.
	StateInterval time.Duration
	// MaxWaiting bounds the memory of rows that the server does not have, in
	// bytes. Beyond it rows are in the Journal only; without one, Row blocks.
	MaxWaiting int

	// Journal keeps the task's rows and its end on disk until the server has
	// them; nil: they are in memory only. Its owner ends it, after Finish or
	// Close. Row blocks while it is full. When it fails, rows are kept in memory.
	Journal *journal.Log

	// Copy, if set, is called with each row, masked, in order. It must not block.
	Copy func(t time.Time, row string)

	// Summaries uploads step summaries; nil where the server takes none.
	Summaries SummaryPutter

	// Rows, if set, is given each row as the server gets it: masked, and in the
	// order of the calls to Row of one goroutine. It must not wait.
	Rows func(t time.Time, row string)

	Instruments Instruments // nil: nothing is measured
	Log         *slog.Logger
}

// Instruments are what a report is measured with; *otel.Instruments are some. They
// are called for requests and for what waits, never for a row.
type Instruments interface {
	ReportLog(ctx context.Context, ok bool, d time.Duration)
	ReportState(ctx context.Context, ok bool, d time.Duration)
	ClientError(ctx context.Context, m otel.Method)
	BufferRows(delta int)
	BufferBytes(delta int)
	JournalBytes(delta int64)
}

func (o Options) withDefaults() Options {
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	if o.Masker == nil {
		o.Masker = NewMasker()
	}
	for _, s := range o.Secrets {
		o.Masker.Add(s)
	}
	if o.MaxLatency <= 0 {
		o.MaxLatency = DefaultMaxLatency
	}
	if o.Interval <= 0 {
		o.Interval = DefaultInterval
	}
	if o.StateInterval <= 0 {
		o.StateInterval = DefaultStateInterval
	}
	if o.BatchSize <= 0 {
		o.BatchSize = DefaultBatchSize
	}
	if o.MaxWaiting <= 0 {
		o.MaxWaiting = DefaultMaxWaiting
	}
	if o.Instruments == nil {
		o.Instruments = otel.Discard()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("task", o.TaskID)
	return o
}

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
	switch {
	case r.logOver:
		r.queue.lost++
		if j := r.o.Journal; j != nil && !j.Full() {
			j.Row(t, row) // for whoever looks for what the server does not have
		}
		return
	}
	before, waiting := r.queue.bytes, r.queue.waiting()
	r.keep(t, row)
	if waiting == 0 || len(r.queue.rows) == r.o.BatchSize || before < maxRequest && r.queue.bytes >= maxRequest {
		r.notify()
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
	if r.overflow > 0 {
		r.o.Log.Warn("rows of a killed job were dropped: the server took them too slowly", "rows", r.overflow)
		r.overflow = 0
	}
	return r.phase
}
