package job

import (
	"context"
	"slices"

	"otelrunner/runner/task"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

// An Instead does the work of some steps that use an action, in the place of the
// action. It is safe for concurrent use.
type Instead interface {
	// Takes reports whether a `uses` names an action whose work it may do. Such
	// an action is not fetched before the job's first step, and has no pre step.
	Takes(uses string) bool

	// Do does a step's work. What it does not do (done is false) is left to the
	// action itself. A row is what log is given.
	Do(ctx context.Context, s InsteadStep, log func(row string)) (outputs map[string]string, done bool, err error)
}

// InsteadStep is a step whose work is to be done.
type InsteadStep struct {
	Uses    string
	With    map[string]string // evaluated
	GitHub  map[string]any    // the github context
	Sandbox sandbox.Sandbox
}

// instead has a step's work done without its action, where that can be.
func (j *jobRun) instead(r *stepRun) (done, bool) {
	if !j.takenOver(r.Uses) {
		return done{}, false
	}
	uses, err := expr.Interpolate(r.Uses, r.at("with"))
	if err != nil {
		return done{}, false // the action's way tells of it
	}
	with, err := r.with()
	if err != nil {
		return done{}, false
	}
	step := InsteadStep{Uses: uses, With: with, GitHub: j.github, Sandbox: j.sandbox}
	var rows []string
	outputs, did, err := j.opts.Instead.Do(r.life.soft, step, func(row string) { rows = append(rows, row) })
	if !did && err == nil {
		return done{}, false
	}
	j.tellUse(r, uses, with)
	for _, row := range rows {
		j.rows.printf("%s", row)
	}
	if err != nil {
		if r.life.soft.Err() != nil {
			return done{outcome: j.ended(r)}, true
		}
		j.rows.errorf("%s", sentence(err))
		return done{outcome: task.Failure}, true
	}
	d := done{outcome: task.Success}
	for _, name := range sortedKeys(outputs) {
		d.outputs = append(d.outputs, pair{name, outputs[name]})
	}
	return d, true
}

// takenOver reports whether the work of an action may be done without it.
func (j *jobRun) takenOver(uses string) bool {
	return j.opts.Instead != nil && j.opts.Instead.Takes(uses)
}

// withoutInstead are the actions that have to be fetched before the first step.
func (j *jobRun) withoutInstead(uses []string) []string {
	return slices.DeleteFunc(uses, j.takenOver)
}
