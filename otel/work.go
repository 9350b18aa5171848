package otel

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/cicdconv"

	"otelrunner/otel/observe"
)

// workInstruments measure what happens in jobs. Every label has values from a
// list; what is not in it counts as other.
type workInstruments struct {
	queue     metric.Float64Histogram
	slow      *counter // jobs that waited longer than threshold
	threshold time.Duration

	step  metric.Float64Histogram
	steps [][observe.Results][]metric.RecordOption // by the sandbox

	phase  metric.Float64Histogram
	phases [observe.Phases][]metric.RecordOption

	limits *counter // by limitSeries
	caches *counter // by cacheSeries

	cpu    metric.Float64Histogram
	memory metric.Int64Histogram

	errors  *counter // by the error's type
	workers metric.Int64ObservableUpDownCounter
	states  [3][]metric.ObserveOption // available, busy, offline
}

// The values of the labels sandbox and limit, and the types of the runner's own
// errors.
var (
	sandboxes  = []string{"host", "docker", "wasm", "other"}
	limitNames = []string{"memory", "cpu", "time", "output", "files", "disk", "other"}
	errorTypes = []string{"fetch_task", "update_log", "update_task", "job"}
)

// errorJob is the index of errorTypes for a job that ended by the runner's fault.
const errorJob = 3

// Bounds of buckets: seconds, but for the memory, which is in bytes.
var (
	queueBuckets  = []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}
	stepBuckets   = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600}
	phaseBuckets  = []float64{.001, .005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
	cpuBuckets    = []float64{.1, .5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 14400}
	memoryBuckets = []float64{1 << 20, 4 << 20, 16 << 20, 64 << 20, 256 << 20, 512 << 20, 1 << 30, 2 << 30, 4 << 30, 8 << 30, 16 << 30, 32 << 30}
)

// Buckets are the bounds of histograms' buckets, in seconds, growing; nil is the
// default.
type Buckets struct{ Job, Step, Queue []float64 }

func orDefault(given, standard []float64) []float64 {
	if len(given) == 0 {
		return standard
	}
	return given
}

func newWorkInstruments(b *builder, opts *InstrumentOptions) workInstruments {
	w := workInstruments{
		threshold: opts.QueueThreshold,
		queue:     b.histogram("job_queue_duration", "Time that jobs without needs waited for a runner.", orDefault(opts.Buckets.Queue, queueBuckets)),
		slow:      b.counter("job_queue_over_threshold", "{job}", "Jobs that waited longer for a runner than metrics.queue_threshold.", ""),
		step:      b.histogram("step_duration", "Duration of steps by the kind of sandbox and their result.", orDefault(opts.Buckets.Step, stepBuckets)),
		phase:     b.histogram("sandbox_phase_duration", "Duration of what a sandbox does beside the steps' own programs.", phaseBuckets),
		cpu:       b.histogram("job_cpu", "CPU time of a job's programs together, where the sandbox tells it.", cpuBuckets),
		memory:    b.bytes("job_memory_peak", "Largest memory of one of a job's programs, where the sandbox tells it.", memoryBuckets),
	}
	for _, kind := range sandboxes {
		var byResult [observe.Results][]metric.RecordOption
		for r := range observe.Results {
			byResult[r] = recordWith(attribute.String("sandbox", kind), attribute.String("result", r.String()))
		}
		w.steps = append(w.steps, byResult)
	}
	for p := range observe.Phases {
		w.phases[p] = recordWith(attribute.String("sandbox", p.Sandbox()), attribute.String("phase", p.Label()))
	}
	var limits, caches []attribute.Set
	for _, kind := range sandboxes {
		for _, limit := range limitNames {
			limits = append(limits, attribute.NewSet(attribute.String("sandbox", kind), attribute.String("limit", limit)))
		}
	}
	for c := range observe.Caches {
		for _, result := range []string{"hit", "miss"} {
			caches = append(caches, attribute.NewSet(attribute.String("cache", c.String()), attribute.String("result", result)))
		}
	}
	w.limits = b.counterOf("sandbox_limit", "{limit}", "Limits of a sandbox that ended a step's program.", limits)
	w.caches = b.counterOf("cache_lookup", "{lookup}", "Looks into what is kept for later jobs.", caches)
	w.conventions(b)
	return w
}

// conventions makes the instruments of the CI/CD semantic conventions whose
// attributes are constants; the others are Pipeline's.
func (w *workInstruments) conventions(b *builder) {
	var sets []attribute.Set
	for _, t := range errorTypes {
		sets = append(sets, attribute.NewSet(semconv.CICDSystemComponent("runner"), semconv.ErrorTypeKey.String(t)))
	}
	w.errors = newCounter(sets)
	failed, err := cicdconv.NewSystemErrorsObservable(b.meter)
	b.keep(err)
	w.errors.family = failed.Inst()
	workers, err := cicdconv.NewWorkerCountObservable(b.meter)
	b.keep(err)
	w.workers = workers.Inst()
	for i, state := range []attribute.KeyValue{semconv.CICDWorkerStateAvailable, semconv.CICDWorkerStateBusy, semconv.CICDWorkerStateOffline} {
		w.states[i] = []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(state))}
	}
}

func (w *workInstruments) counters() []*counter {
	return []*counter{w.slow, w.limits, w.caches, w.errors}
}

// observe shows what the workers do: busy ones run a job, those that no job can
// get any more are offline.
func (w *workInstruments) observe(o metric.Observer, running, capacity int64, draining bool) {
	idle := max(0, capacity-running)
	available, offline := idle, int64(0)
	if draining {
		available, offline = 0, idle
	}
	for i, n := range []int64{available, running, offline} {
		o.ObserveInt64(w.workers, n, w.states[i]...)
	}
}

// recordWith is built once for each series: built for each call, it costs
// allocations.
func recordWith(attrs ...attribute.KeyValue) []metric.RecordOption {
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// indexOf is the index of a value in a list whose last entry stands for all others.
func indexOf(list []string, value string) int {
	if i := slices.Index(list, value); i >= 0 {
		return i
	}
	return len(list) - 1
}

// JobQueued observes how long a job has waited for a runner.
func (in *Instruments) JobQueued(ctx context.Context, d time.Duration) {
	in.work.queue.Record(ctx, d.Seconds())
	if in.work.threshold > 0 && d > in.work.threshold {
		in.work.slow.add(0)
	}
}

// Phase observes a phase of a sandbox; it is a method of observe.Meter.
func (in *Instruments) Phase(ctx context.Context, p observe.Phase, d time.Duration) {
	if p < observe.Phases {
		in.work.phase.Record(ctx, d.Seconds(), in.work.phases[p]...)
	}
}

// Cache counts one look into a cache; it is a method of observe.Meter.
func (in *Instruments) Cache(_ context.Context, c observe.Cache, hit bool) {
	if c < observe.Caches {
		in.work.caches.add(2*int(c) + okSeries(hit))
	}
}

// Limit counts a limit that was hit; it is a method of observe.Meter.
func (in *Instruments) Limit(_ context.Context, sandbox, limit string) {
	in.work.limits.add(indexOf(sandboxes, sandbox)*len(limitNames) + indexOf(limitNames, limit))
}

// Step observes a step; it is a method of observe.Meter.
func (in *Instruments) Step(ctx context.Context, sandbox string, r observe.Result, d time.Duration) {
	if r < observe.Results {
		in.work.step.Record(ctx, d.Seconds(), in.work.steps[indexOf(sandboxes, sandbox)][r]...)
	}
}

// JobUsage observes what a job's programs used, as far as it is known.
func (in *Instruments) JobUsage(ctx context.Context, cpu time.Duration, peakMemory int64) {
	if cpu > 0 {
		in.work.cpu.Record(ctx, cpu.Seconds())
	}
	if peakMemory > 0 {
		in.work.memory.Record(ctx, peakMemory)
	}
}

// Draining says that no further job is taken, from now on.
func (in *Instruments) Draining() { in.draining.Store(true) }

// BufferBytes adds delta to the memory of the rows that wait, over all tasks.
func (in *Instruments) BufferBytes(delta int) { in.bufferBytes.Add(int64(delta)) }

// JournalBytes adds delta to what the journals of all tasks take on the disk.
func (in *Instruments) JournalBytes(delta int64) { in.journalBytes.Add(delta) }
