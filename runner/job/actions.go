package job

import (
	"context"
	"errors"
	"strings"
	"sync"

	"otelrunner/otel/observe"
	"otelrunner/runner/action"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// prepareActions fetches all actions that the job's steps name, or waits for who
// does that already, and makes the images of those that have one ready, as much of
// it at once as can be.
func (j *jobRun) prepareActions(begun *fetching) (err error) {
	uses := j.toFetch()
	if len(uses) == 0 || j.opts.Actions == nil && j.opts.Modules == nil {
		return nil
	}
	j.rows.group("Actions")
	defer j.rows.endGroup()
	j.fetched.release(j.rows.printf)
	ctx, end := observe.Span(j.life.soft, "prepare actions")
	defer func() { end(err) }()
	actions, named := j.actionsOf(), j.stepImages(uses) // both are made here, before anything is shared
	var wg sync.WaitGroup
	var modulesErr error
	wg.Go(func() { j.prepareImages(ctx, named) }) // what goes wrong is told below
	wg.Go(func() { modulesErr = j.prepareModules(ctx, uses) })
	switch {
	case begun != nil:
		err = begun.wait()
	case actions != nil:
		err = actions.Prepare(ctx, uses)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if j.opts.RefuseEarly {
		if refused := j.refuseEarly(ctx, uses, 0); len(refused) > 0 {
			return sentences(append([]error{err, modulesErr}, refused...)...)
		}
	}
	return sentences(append([]error{err, modulesErr}, j.prepareImages(ctx, j.fetchedDocker(ctx, uses, 0))...)...)
}

// usesOf are the actions that steps name, as far as that is known before they run.
func usesOf(steps []*workflow.Step) (uses []string) {
	for _, st := range steps {
		if st.Uses != "" && !expr.HasExpression(st.Uses) {
			uses = append(uses, st.Uses)
		}
	}
	return uses
}

// stepImages are the images that are named outright.
func (j *jobRun) stepImages(uses []string) (found []*loaded) {
	for _, text := range uses {
		if ref, err := j.parseUses(text); err == nil && ref.Kind == action.Docker {
			found = append(found, imageAction(ref))
		}
	}
	return found
}

// sentences puts errors, joined ones too, into one row each.
func sentences(errs ...error) error {
	var text []string
	for _, err := range errs {
		joined, ok := err.(interface{ Unwrap() []error }) // only what joins, not what it wraps
		switch {
		case ok:
			for _, e := range joined.Unwrap() {
				text = append(text, e.Error())
			}
		case err != nil:
			text = append(text, err.Error())
		}
	}
	if text == nil {
		return nil
	}
	return errors.New(strings.Join(text, "\n"))
}

// Actions finds what `uses:` names; *action.Fetcher is one.
type Actions interface {
	Job(action.JobOptions) *action.Job
}

// actionsOf returns the job's view of the actions; nil where there is none.
func (j *jobRun) actionsOf() *action.Job {
	if j.actions == nil && j.opts.Actions != nil {
		j.actions = j.opts.Actions.Job(action.JobOptions{
			Bases: action.Bases{
				Default:  j.task.String("gitea_default_actions_url"),
				Instance: expr.Text(j.github["server_url"]),
			},
			Token: j.task.String("token"),
			Scope: j.task.String("repository"),
			Log:   func(line string) { j.fetched.write(line, j.rows.printf) },
			Skip:  j.isBuiltIn,
		})
	}
	return j.actions
}
