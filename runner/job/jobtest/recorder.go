package jobtest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// Recorder is a job.Sink that keeps what it is given, masked as a report would
// be. It also keeps account of whether the calls come in an order that a report
// can take. It is safe for concurrent use.
type Recorder struct {
	masker *report.Masker

	mu       sync.Mutex
	rows     []string
	times    []time.Time
	steps    []step
	running  int // the step that began last and has not ended, or -1
	outputs  map[string]string
	summary  map[int]string
	problems []string
}

type step struct {
	started, finished bool
	result            task.Result
	from, to          int
}

// NewRecorder returns a Recorder that hides the secrets of a task.
func NewRecorder(t *task.Task) *Recorder {
	secrets := slices.Collect(maps.Values(t.Secrets))
	secrets = append(secrets, t.String("token"), t.String("gitea_runtime_token"))
	return &Recorder{
		masker: report.NewMasker(secrets...), running: -1,
		outputs: map[string]string{}, summary: map[int]string{},
	}
}

// Row implements job.Sink.
func (r *Recorder) Row(t time.Time, line string) {
	line = r.masker.Mask(line)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, line)
	r.times = append(r.times, t)
}

// StepStarted implements job.Sink.
func (r *Recorder) StepStarted(i int, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.at(i)
	if s.started || s.finished || r.running >= 0 {
		r.problems = append(r.problems, fmt.Sprintf("step %d starts (started %v, finished %v, running %d)", i, s.started, s.finished, r.running))
	}
	s.started, s.from = true, len(r.rows)
	r.running = i
}

// StepFinished implements job.Sink.
func (r *Recorder) StepFinished(i int, res task.Result, _ time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.at(i)
	if s.finished || !res.Final() || r.running >= 0 && r.running != i || !s.started && res != task.Skipped {
		r.problems = append(r.problems, fmt.Sprintf("step %d finishes with %s (started %v, finished %v, running %d)", i, res, s.started, s.finished, r.running))
	}
	s.finished, s.result, s.to = true, res, len(r.rows)
	r.running = -1
}

func (r *Recorder) at(i int) *step {
	for len(r.steps) <= i {
		r.steps = append(r.steps, step{})
	}
	return &r.steps[i]
}

// AddMask implements job.Sink.
func (r *Recorder) AddMask(value string) { r.masker.Add(value) }

// SetOutput implements job.Sink.
func (r *Recorder) SetOutput(key, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.outputs[key] = value
}

// SetSummary implements job.Sink.
func (r *Recorder) SetSummary(i int, markdown []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.summary[i] = string(markdown)
}

// Rows returns the rows so far.
func (r *Recorder) Rows() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.rows)
}

// StepRows returns the rows of step i.
func (r *Recorder) StepRows(i int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.at(i)
	if !s.started {
		return nil
	}
	return slices.Clone(r.rows[s.from:s.to])
}

// Problems returns the calls that came out of order.
func (r *Recorder) Problems() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.problems)
}

// Outcome returns what was recorded, with the job's result.
func (r *Recorder) Outcome(result task.Result) Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := make([]task.Result, len(r.steps))
	for i, s := range r.steps {
		steps[i] = s.result
	}
	return Outcome{
		Result: result, Steps: steps, Outputs: maps.Clone(r.outputs),
		Summary: maps.Clone(r.summary), Rows: slices.Clone(r.rows),
	}
}
