package otel

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"otelrunner/runner/task"
)

// scopeName is the instrumentation scope of everything that this package makes.
const scopeName = "otelrunner/otel"

// DefaultNamespace is the prefix of the metric families for which dashboards
// and alerts exist. gitea_runner is the other one in use.
const DefaultNamespace = "act_runner"

// FetchResult says how one FetchTask call ended.
type FetchResult uint8

// The ends of a FetchTask call.
const (
	// FetchTask brought a task.
	FetchTask FetchResult = iota
	// FetchEmpty is the server's answer that there is nothing to do.
	FetchEmpty
	// FetchDeadline is a call that ended by the runner's own deadline. It counts
	// as an empty one, and its duration, which says nothing about the server, is
	// not observed.
	FetchDeadline
	// FetchError is a call that failed.
	FetchError
)

// Method is a call to the server whose failures are counted.
type Method uint8

// The methods that are counted.
const (
	MethodFetchTask Method = iota
	MethodUpdateLog
	MethodUpdateTask

	methods
)

// InstrumentOptions says what the instruments are called and what they show
// before anything has happened.
type InstrumentOptions struct {
	// Namespace is the first part of every family's name. "" is
	// DefaultNamespace. See ValidateNamespace for what it may be.
	Namespace string

	// Version and Name are the labels of the info family until Info is called.
	Version, Name string

	// Capacity is the number of jobs that may run at a time; SetCapacity
	// changes it.
	Capacity int

	// QueueThreshold is how long a job may wait for a runner before it is
	// counted; 0 counts none.
	QueueThreshold time.Duration

	// Buckets are the bounds of the histograms that operators may choose.
	Buckets Buckets

	// Pipelines makes the instruments that have a pipeline's name; nil makes
	// none. See Providers.PipelineMeterProvider.
	Pipelines metric.MeterProvider
}

// Instruments are all meters of the runner. The methods may be called at any
// time from any goroutine; none blocks, fails or allocates, whatever becomes of
// the readers. Label values are constants: what a user or a server chooses
// (task, repository, branch, URL) is never one.
//
// Gauges and counters are observable: they are read from the fields below when a
// reader collects. So every reader sees the same state, also under delta
// temporality, where a recorded gauge would vanish after one export, and counting
// costs an atomic addition. Histograms are recorded, for their exemplars.
type Instruments struct {
	poll   pollInstruments
	job    jobInstruments
	report reportInstruments
	work   workInstruments

	pipelines pipelineInstruments

	info         atomic.Pointer[[]metric.ObserveOption]
	capacity     atomic.Int64
	running      atomic.Int64
	bufferRows   atomic.Int64
	bufferBytes  atomic.Int64
	journalBytes atomic.Int64
	backoff      atomic.Int64 // nanoseconds
	draining     atomic.Bool
	started      time.Time
	unregisters  []metric.Registration
}

type pollInstruments struct {
	fetch         *counter // by fetchSeries
	fetchDuration metric.Float64Histogram
	clientErrors  *counter // by Method
}

type jobInstruments struct {
	total    *counter // by status
	duration metric.Float64Histogram
}

type reportInstruments struct {
	log, state                 *counter // by okSeries
	logDuration, stateDuration metric.Float64Histogram
}

// A status is the value of the label of that name, as an index.
type status uint8

const (
	statusSuccess status = iota
	statusFailure
	statusCancelled
	statusSkipped
	statusUnknown
)

// Bucket bounds in seconds, as act_runner has them.
var (
	fetchBuckets  = []float64{.01, .05, .1, .25, .5, 1, 2, 5, 10}
	reportBuckets = []float64{.01, .05, .1, .25, .5, 1, 2, 5}
	jobBuckets    = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192}
)

// NewInstruments makes the instruments on mp. Counters start at 0 for every
// value of their label, so that a rate over the first event is right. Close
// releases what is registered on mp.
func NewInstruments(mp metric.MeterProvider, opts InstrumentOptions) (*Instruments, error) {
	if opts.Namespace == "" {
		opts.Namespace = DefaultNamespace
	}
	if err := ValidateNamespace(opts.Namespace); err != nil {
		return nil, err
	}
	in := &Instruments{started: time.Now()}
	in.SetCapacity(opts.Capacity)
	in.Info(opts.Version, opts.Name)

	b := &builder{
		meter:     mp.Meter(scopeName, metric.WithInstrumentationVersion(opts.Version)),
		namespace: opts.Namespace,
	}
	in.poll = newPollInstruments(b)
	in.job = newJobInstruments(b, orDefault(opts.Buckets.Job, jobBuckets))
	in.report = newReportInstruments(b)
	in.work = newWorkInstruments(b, &opts)
	if opts.Pipelines == nil {
		opts.Pipelines = noop.NewMeterProvider()
	}
	var err error
	in.pipelines, err = newPipelineInstruments(opts.Pipelines, orDefault(opts.Buckets.Job, jobBuckets))
	b.keep(err)
	in.observe(b)
	if b.err != nil {
		return nil, errors.Join(fmt.Errorf("create instruments: %w", b.err), in.Close())
	}
	return in, nil
}

// Discard returns instruments that nobody reads, for callers that measure
// nothing.
func Discard() *Instruments {
	in, err := NewInstruments(noop.NewMeterProvider(), InstrumentOptions{})
	if err != nil {
		panic(err) // the no-op provider refuses nothing
	}
	return in
}

// Close ends the observation of the gauges. The other methods may still be
// called.
func (in *Instruments) Close() error {
	var errs []error
	for _, r := range in.unregisters {
		errs = append(errs, r.Unregister())
	}
	return errors.Join(errs...)
}

func newPollInstruments(b *builder) pollInstruments {
	return pollInstruments{
		fetch:         b.counter("poll_fetch", "{call}", "FetchTask calls by their result.", "result", "task", "empty", "error"),
		fetchDuration: b.histogram("poll_fetch_duration", "Duration of FetchTask calls that the server answered.", fetchBuckets),
		clientErrors:  b.counter("client_errors", "{error}", "Failed calls to the server by their method.", "method", "FetchTask", "UpdateLog", "UpdateTask"),
	}
}

// fetchSeries is the index of a result among the series of poll_fetch.
func fetchSeries(r FetchResult) int {
	switch r {
	case FetchTask:
		return 0
	case FetchEmpty, FetchDeadline:
		return 1
	default:
		return 2
	}
}

func newJobInstruments(b *builder, buckets []float64) jobInstruments {
	return jobInstruments{
		total:    b.counter("job", "{job}", "Finished jobs by their status.", "status", "success", "failure", "cancelled", "skipped", "unknown"),
		duration: b.histogram("job_duration", "Duration of finished jobs.", buckets),
	}
}

func newReportInstruments(b *builder) reportInstruments {
	return reportInstruments{
		log:           b.counter("report_log", "{call}", "UpdateLog calls by their result.", "result", "success", "error"),
		logDuration:   b.histogram("report_log_duration", "Duration of UpdateLog calls.", reportBuckets),
		state:         b.counter("report_state", "{call}", "UpdateTask calls by their result.", "result", "success", "error"),
		stateDuration: b.histogram("report_state_duration", "Duration of UpdateTask calls.", reportBuckets),
	}
}

// okSeries is the index of a call's result among the series of report_log and
// report_state.
func okSeries(ok bool) int {
	if ok {
		return 0
	}
	return 1
}

// observe registers the gauges and counters. One callback reads all of them, so
// that running and utilisation of one collection belong together.
func (in *Instruments) observe(b *builder) {
	info := b.intGauge("info", "", "Always 1; the labels say who this runner is.")
	capacity := b.intGauge("capacity", "{job}", "Jobs that may run at a time.")
	uptime := b.floatGauge("uptime", "s", "Time since the runner started.")
	backoff := b.floatGauge("poll_backoff", "s", "Interval between two fetches, before jitter.")
	running := b.intGauge("job_running", "{job}", "Jobs that are running.")
	utilization := b.floatGauge("job_capacity_utilization", "1", "Running jobs as a share of the capacity, 0 to 1.")
	rows := b.intGauge("report_log_buffer_rows", "{row}", "Log rows of all tasks that the server has not acknowledged.")

	size := b.intGauge("report_log_buffer", "By", "Memory of the log rows of all tasks that the server has not acknowledged.")
	journal := b.intGauge("journal", "By", "What the journals of all tasks take on the disk.")

	counters := append([]*counter{in.poll.fetch, in.poll.clientErrors, in.job.total, in.report.log, in.report.state}, in.work.counters()...)
	observed := []metric.Observable{info, capacity, uptime, backoff, running, utilization, rows, size, journal, in.work.workers}
	for _, c := range counters {
		observed = append(observed, c.family)
	}
	b.callback(in, func(_ context.Context, o metric.Observer) error {
		n, limit := in.running.Load(), in.capacity.Load()
		o.ObserveInt64(info, 1, *in.info.Load()...)
		o.ObserveInt64(capacity, limit)
		o.ObserveFloat64(uptime, time.Since(in.started).Seconds())
		o.ObserveFloat64(backoff, time.Duration(in.backoff.Load()).Seconds())
		o.ObserveInt64(running, n)
		o.ObserveFloat64(utilization, share(n, limit))
		o.ObserveInt64(rows, in.bufferRows.Load())
		o.ObserveInt64(size, in.bufferBytes.Load())
		o.ObserveInt64(journal, in.journalBytes.Load())
		in.work.observe(o, n, limit, in.draining.Load())
		for _, c := range counters {
			c.observe(o)
		}
		return nil
	}, observed...)
}

// share is n of limit, 0 to 1. After a reload that lowers the capacity more
// jobs than it may be running; that is 1, too.
func share(n, limit int64) float64 {
	if limit <= 0 || n <= 0 {
		return 0
	}
	return math.Min(1, float64(n)/float64(limit))
}

// Info sets the labels of the info family. The name is what the runner
// registered with.
func (in *Instruments) Info(version, name string) {
	set := attribute.NewSet(attribute.String("version", version), attribute.String("name", name))
	in.info.Store(&[]metric.ObserveOption{metric.WithAttributeSet(set)})
}

// SetCapacity sets how many jobs may run at a time, at the start and after a
// reload.
func (in *Instruments) SetCapacity(n int) { in.capacity.Store(int64(n)) }

// PollFetch counts one FetchTask call. d is observed unless r is FetchDeadline.
func (in *Instruments) PollFetch(ctx context.Context, r FetchResult, d time.Duration) {
	in.poll.fetch.add(fetchSeries(r))
	if r != FetchDeadline {
		in.poll.fetchDuration.Record(ctx, d.Seconds())
	}
}

// PollBackoff shows the interval between two fetches, before jitter.
func (in *Instruments) PollBackoff(base time.Duration) { in.backoff.Store(int64(base)) }

// ClientError counts one failed call to the server.
func (in *Instruments) ClientError(_ context.Context, m Method) {
	if m < methods {
		in.poll.clientErrors.add(int(m))
		in.work.errors.add(int(m))
	}
}

// JobStarted counts a job as running. Each JobStarted is followed by one
// JobFinished.
func (in *Instruments) JobStarted() { in.running.Add(1) }

// JobFinished counts a job by its result, as the status unknown if it has
// none, and observes how long it ran.
func (in *Instruments) JobFinished(ctx context.Context, r task.Result, d time.Duration) {
	in.running.Add(-1)
	in.job.total.add(int(statusOf(r)))
	in.job.duration.Record(ctx, d.Seconds())
}

func statusOf(r task.Result) status {
	switch r {
	case task.Success:
		return statusSuccess
	case task.Failure:
		return statusFailure
	case task.Cancelled:
		return statusCancelled
	case task.Skipped:
		return statusSkipped
	default:
		return statusUnknown
	}
}

// ReportLog counts one UpdateLog call that took d.
func (in *Instruments) ReportLog(ctx context.Context, ok bool, d time.Duration) {
	in.report.log.add(okSeries(ok))
	in.report.logDuration.Record(ctx, d.Seconds())
}

// ReportState counts one UpdateTask call that took d.
func (in *Instruments) ReportState(ctx context.Context, ok bool, d time.Duration) {
	in.report.state.add(okSeries(ok))
	in.report.stateDuration.Record(ctx, d.Seconds())
}

// BufferRows adds delta to the number of rows that wait, over all tasks. What a
// task has added is taken away again by the time it ends.
func (in *Instruments) BufferRows(delta int) { in.bufferRows.Add(int64(delta)) }

var namespacePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$`)

// translated are the words that the Prometheus translation moves or swallows
// when an instrument's name has them.
var translated = []string{"total", "ratio", "seconds"}

// ValidateNamespace reports why ns cannot begin the name of a metric family:
// words of letters and digits joined by single underscores, starting with a
// letter, and none that the translation to Prometheus gives a meaning.
func ValidateNamespace(ns string) error {
	if !namespacePattern.MatchString(ns) {
		return fmt.Errorf("metrics namespace %q: want words of letters and digits joined by single underscores, like %q", ns, DefaultNamespace)
	}
	for word := range strings.SplitSeq(ns, "_") {
		if slices.Contains(translated, word) {
			return fmt.Errorf("metrics namespace %q: the word %q is a suffix of Prometheus' own and would change every family's name; choose another", ns, word)
		}
	}
	return nil
}
