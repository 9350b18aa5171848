// Package poll takes tasks from the server: workers that fetch, back off and
// hand what they got to a handler.
package poll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"otelrunner/runner/task"
)

// Fetcher asks the server for a task. The server answers at once: with a task,
// or with nil and the version of its list of tasks. It looks for work only when
// tasksVersion differs from its own.
type Fetcher interface {
	FetchTask(ctx context.Context, tasksVersion int64) (*task.Task, int64, error)
}

// Handler runs one task to its end, its report included. It is called from as
// many goroutines as the capacity says.
type Handler func(t *task.Task)

// ErrUnregistered says that the server does not know this runner any more: to
// go on polling would be of no use.
var ErrUnregistered = errors.New("the server does not know this runner (deleted, or its token was reset): register it again with `runner register`")

// Result is how one fetch ended; the values are those of the metric's label.
type Result string

// The results of a fetch. A fetch that ended by the deadline of our own is an
// empty answer whose duration means nothing.
const (
	Got     Result = "task"
	Empty   Result = "empty"
	Failed  Result = "error"
	TimedUp Result = "timeout"
)

// Meter is told what the workers do. Its methods are called from several
// goroutines.
type Meter interface {
	// Fetched is called after each fetch, with how long it took.
	Fetched(result Result, d time.Duration)
	// Backoff is called before each sleep with the interval before jitter.
	Backoff(interval time.Duration)
}

// Options configure a Poller. Fetcher and Handler are required.
type Options struct {
	Fetcher Fetcher
	Handler Handler

	// Capacity is the number of workers, and so of tasks at a time; ≥ 1.
	Capacity int

	// Interval is the wait after the first empty answer (default 2 s);
	// MaxInterval is the longest one (default 60 s).
	Interval, MaxInterval time.Duration

	// FetchTimeout ends a fetch (default 60 s). A server that is slow to
	// assign a task loses it to this runner when the runner hangs up first.
	FetchTimeout time.Duration

	// GiveUp, if set, ends a fetch that is under way when it ends, though its
	// task may be lost: an operator does not want to wait any longer.
	GiveUp context.Context

	// Admit, if set, is asked before each fetch. While it says false nothing is
	// fetched, and it is asked again every AdmitAgain.
	// It may take AdmitTime.
	Admit func(ctx context.Context) bool
	// AdmitTime is the longest that Admit takes, for Poller.Late; default 1 min.
	AdmitTime func() time.Duration

	// Wake, if set, makes an idle worker fetch at once for each value: somebody
	// knows that there is work. It should hold one value, for the moments in
	// which nobody is idle.
	Wake <-chan struct{}

	// Once ends Run after one task.
	Once bool

	// Unregistered tells the error of a server that does not know this
	// runner from every other one.
	Unregistered func(error) bool

	// Deadline tells the error of a call that our own deadline ended, though
	// the server may have noticed it first: it is told the deadline.
	Deadline func(error) bool

	// RetryAfter is what the server asked for in an error, or 0.
	RetryAfter func(error) time.Duration

	Meter Meter
	Log   *slog.Logger
}

// AdmitAgain is the wait between two questions to Options.Admit.
const AdmitAgain = 10 * time.Second

// Poller fetches tasks for one registered runner.
type Poller struct {
	opts    Options
	turn    turn
	version atomic.Int64
	pace    atomic.Pointer[pace]
	again   chan struct{}             // holds one value: see Again
	timeout atomic.Int64              // of a fetch, a time.Duration
	due     atomic.Pointer[time.Time] // when a worker is heard of again at the latest; nil: it is not known
	staff   staff

	// stop ends the fetching of all workers; its cause says why.
	stop context.CancelCauseFunc
}

// pace is how often the server is asked.
type pace struct{ interval, longest time.Duration }

// errDone stops the workers after the one task of Options.Once.
var errDone = errors.New("done")

// New returns a Poller; it does nothing before Run.
func New(o Options) *Poller {
	o.Capacity = max(o.Capacity, 1)
	if o.Once {
		o.Capacity = 1
	}
	if o.Interval <= 0 {
		o.Interval = 2 * time.Second
	}
	if o.MaxInterval <= 0 {
		o.MaxInterval = 60 * time.Second
	}
	if o.FetchTimeout <= 0 {
		o.FetchTimeout = 60 * time.Second
	}
	if o.GiveUp == nil {
		o.GiveUp = context.Background()
	}
	if o.Unregistered == nil {
		o.Unregistered = func(error) bool { return false }
	}
	if o.Deadline == nil {
		o.Deadline = func(error) bool { return false }
	}
	if o.RetryAfter == nil {
		o.RetryAfter = func(error) time.Duration { return 0 }
	}
	if o.AdmitTime == nil {
		o.AdmitTime = func() time.Duration { return time.Minute }
	}
	if o.Meter == nil {
		o.Meter = noMeter{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Poller{opts: o, again: make(chan struct{}, 1)}
	p.staff.poller = p
	p.SetFetchTimeout(o.FetchTimeout)
	p.Set(o.Capacity, o.Interval, o.MaxInterval)
	return p
}

// Set changes the capacity and the intervals, before Run and while it runs.
// Tasks that run go on: workers that are too many end when they are idle. Values
// below 1 leave what there is; Options.Once keeps its capacity.
func (p *Poller) Set(capacity int, interval, longest time.Duration) {
	now := pace{p.opts.Interval, p.opts.MaxInterval}
	if old := p.pace.Load(); old != nil {
		now = *old
	}
	if interval > 0 {
		now.interval = interval
	}
	if longest > 0 {
		now.longest = longest
	}
	p.pace.Store(&now)
	if capacity > 0 && !p.opts.Once {
		p.staff.set(capacity)
	} else if p.opts.Once {
		p.staff.set(1)
	}
}

// SetFetchTimeout changes Options.FetchTimeout for fetches to come.
func (p *Poller) SetFetchTimeout(d time.Duration) { p.timeout.Store(int64(d)) }

// Late is for how long nothing has been heard of the polling that should have been:
// a worker asks Admit, fetches, and sleeps, and says before each how long that may
// take. 0 is a poller that goes on as it should, has not begun, or whose workers are
// all busy.
func (p *Poller) Late() time.Duration {
	due := p.due.Load()
	if due == nil {
		return 0
	}
	return max(0, time.Since(*due)) // by the clock that stands still while the machine sleeps
}

// until notes that a worker is heard of again within d.
func (p *Poller) until(d time.Duration) {
	due := time.Now().Add(d)
	p.due.Store(&due)
}

// Again has an idle worker ask at once, for Admit first, and the server look for
// work whatever it said last: what the runner can take has changed. While no worker
// is idle, the first that is does so.
func (p *Poller) Again() {
	select {
	case p.again <- struct{}{}:
	default: // it is asked for already
	}
}

// Run polls until ctx ends and every task that was taken has been handled. A
// fetch that is under way when ctx ends is awaited, and its task is run: the
// server has already given it to this runner. Only Options.GiveUp ends the wait
// for it. Run returns nil, or an error that
// wraps ErrUnregistered. It may be called once.
func (p *Poller) Run(ctx context.Context) error {
	fetching, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.stop = stop

	p.staff.run(fetching)
	if cause := context.Cause(fetching); errors.Is(cause, ErrUnregistered) {
		return fmt.Errorf("fetch task: %w", cause)
	}
	return nil
}

type noMeter struct{}

func (noMeter) Fetched(Result, time.Duration) {}
func (noMeter) Backoff(time.Duration)         {}
