package report

import (
	"context"
	"log/slog"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/journal"

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
