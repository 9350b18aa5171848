package job

import (
	"fmt"

	"otelrunner/runner/task"
	"otelrunner/runner/workflow/expr"
)

// composite runs the steps of a composite action, in a scope of their own.
func (j *jobRun) composite(r *stepRun, a *loaded, u *use) done {
	inner := j.innerScope(r, u)
	if inner.depth > maxDepth {
		j.rows.errorf("Composite actions nest deeper than %d levels at %s; do they use each other in a circle?", maxDepth, a.ref)
		return done{outcome: task.Failure}
	}
	for _, st := range a.meta.Runs.Steps {
		if inner.life.hard.Err() != nil {
			break
		}
		j.step(inner, st, func() {})
	}
	d := done{outcome: inner.status()}
	r.fault = inner.fault
	if inner.life.stopped() {
		d.outcome = j.ended(r)
	}
	outputs, err := j.compositeOutputs(r, inner, a)
	if err != nil {
		j.rows.errorf("%s", sentence(err))
		d.outcome = r.invalid(err)
	}
	d.outputs = outputs
	return d
}

// innerScope is where the steps of a composite action run. Its status is its own:
// success() is about the steps in it.
func (j *jobRun) innerScope(r *stepRun, u *use) *scope {
	inputs := make(map[string]any, len(u.inputs))
	for name, value := range u.inputs {
		inputs[name] = value
	}
	return &scope{
		life: r.life, top: r.scope.top, path: childPath(r.scope, r.Index), depth: r.scope.depth + 1,
		inputs: inputs, env: merge(r.scope.env, r.own), action: r.action,
		steps: expr.NewObject(), names: map[string]int{},
	}
}

func (j *jobRun) compositeOutputs(r *stepRun, inner *scope, a *loaded) ([]pair, error) {
	c := j.exprs(r.life.hard, inner, j.values(inner, r.action, merge(j.state.env, inner.env)), "action.outputs.<output_id>.value")
	outputs := make([]pair, 0, len(a.meta.Outputs))
	for _, o := range a.meta.Outputs {
		text, err := expr.Interpolate(o.Value, c)
		if err != nil {
			return nil, fmt.Errorf("the output %s of %s cannot be evaluated: %w", o.Name, a.ref, err)
		}
		outputs = append(outputs, pair{o.Name, text})
	}
	return outputs, nil
}
