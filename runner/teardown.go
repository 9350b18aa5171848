package runner

import (
	"otelrunner/runner/job"
	"otelrunner/runner/report"
)

// reported is a task's reporter that keeps the removal of the task's sandbox for
// after the final report: nobody has to wait for the engine to take containers
// and networks away. It is used by the goroutine of the task alone.
type reported struct {
	*report.Reporter
	later []func()

	stopped bool // the task was stopped for its journal, and its log says so
}

var _ job.Deferrer = (*reported)(nil)

// Later takes what remove is to do.
func (r *reported) Later(remove func()) { r.later = append(r.later, remove) }

// remove does it.
func (r *reported) remove() {
	for _, f := range r.later {
		f()
	}
}
