package job

import (
	"context"
	"errors"

	"otelrunner/runner/action"
)

// refuseEarly says, before the first step, which of the actions that steps name
// cannot run in the job's sandbox, those that composite actions use too. Actions of
// the workspace are not there yet: their steps are refused when they come.
func (j *jobRun) refuseEarly(ctx context.Context, uses []string, depth int) (errs []error) {
	seen := map[string]bool{}
	for _, text := range uses {
		ref, err := j.parseUses(text)
		if err != nil || seen[text] {
			continue // told when it was fetched, or when the step runs
		}
		seen[text] = true
		switch {
		case ref.Kind == action.Docker && !j.canRun(action.DockerImage):
			errs = append(errs, errors.New(j.refusal(text, action.DockerImage)))
		case ref.Kind == action.Remote && j.actionsOf() != nil && !j.isBuiltIn(ref):
			a, err := j.actionsOf().Action(ctx, ref)
			if err != nil {
				continue
			}
			runs := &a.Metadata.Runs
			switch {
			case !j.canRun(runs.Using):
				errs = append(errs, errors.New(j.refusal(text, runs.Using)))
			case runs.Using == action.Composite && depth < maxDepth:
				errs = append(errs, j.refuseEarly(ctx, usesOf(runs.Steps), depth+1)...)
			}
		}
	}
	return errs
}
