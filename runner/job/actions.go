package job

import (
	"errors"
	"strings"

	"otelrunner/runner/action"
	"otelrunner/runner/workflow/expr"
)

// prepareActions fetches all actions that the job's steps name.
func (j *jobRun) prepareActions() error {
	var uses []string
	for _, st := range j.job.Steps {
		if st.Uses != "" && !expr.HasExpression(st.Uses) {
			uses = append(uses, st.Uses)
		}
	}
	if len(uses) == 0 || j.opts.Actions == nil {
		return nil
	}
	j.rows.group("Actions")
	defer j.rows.endGroup()
	return sentences(j.actionsOf().Prepare(j.life.soft, uses))
}

// sentences puts joined errors into one row each.
func sentences(err error) error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return err
	}
	var text []string
	for _, e := range joined.Unwrap() {
		text = append(text, e.Error())
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
			Log:   func(line string) { j.rows.printf("%s", line) },
		})
	}
	return j.actions
}
