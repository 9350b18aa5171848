package runner

import (
	"context"
	"sync"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/observe"
	"otelrunner/runner/task"
)

// jobMeter tells the instruments what happens in one job.
type jobMeter struct {
	*otel.Instruments
	pipeline *otel.Pipeline

	mu    sync.Mutex
	ended observe.End
}

var _ observe.Meter = (*jobMeter)(nil)

func newJobMeter(in *otel.Instruments, t *task.Task) *jobMeter {
	return &jobMeter{Instruments: in, pipeline: in.Pipeline(pipeline(t)), ended: observe.End{Result: observe.Error, ErrorType: "panic"}}
}

// Job implements observe.Meter.
func (m *jobMeter) Job(ctx context.Context, _ string, e observe.End, cpu time.Duration, peakMemory int64) {
	m.mu.Lock()
	m.ended = e
	m.mu.Unlock()
	m.JobUsage(ctx, cpu, peakMemory)
}

// end is how the job ended; one of which nobody told has panicked.
func (m *jobMeter) end() observe.End {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}
