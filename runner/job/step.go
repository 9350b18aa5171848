package job

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// stepRun is a step while it runs: what its program or action needs to know.
type stepRun struct {
	*workflow.Step
	scope  *scope
	action actionContext
	own    map[string]string // its env, evaluated
	env    map[string]string // the env context: the job's, the scope's and its own
	exprs  *expr.Context     // for at
	// misplaced is told of a name that GitHub refuses in an action.
	misplaced func(name string)

	life    life
	timeout time.Duration // 0: none

	fault *observe.End // why it did not succeed
}

// at returns what the expressions at one of the step's keys may use. The steps of
// a composite action may use less.
func (r *stepRun) at(key string) *expr.Context {
	c := *r.exprs
	switch {
	case r.scope.path == "":
		c.Allow = workflow.Availability("jobs.<job_id>.steps." + key)
	case key == "if":
		c.Allow = workflow.Availability("action.runs.steps.if")
	default:
		c.Allow = workflow.Availability("action.runs.steps")
	}
	if r.scope.path != "" {
		c.Misplaced = r.misplaced
	}
	return &c
}

// done is how a step's work ended.
type done struct {
	outcome task.Result
	outputs []pair
}

// step runs one step of a scope and returns its conclusion. begin is called
// before the first row that is the step's, and not for a step that is skipped
// without a word.
func (j *jobRun) step(s *scope, st *workflow.Step, begin func()) task.Result {
	if j.rows.debug {
		begin()
	}
	r := &stepRun{Step: st, scope: s, misplaced: j.tellMisplaced}
	run, err := j.prepareStep(r)
	var d done
	switch {
	case err != nil:
		begin()
		j.rows.errorf("%s", sentence(err))
		d.outcome = task.Failure
		j.startStep(r, j.title(r), "")(r.invalid(err))
	case !run:
		s.record(st.ID, nil, task.Skipped, task.Skipped)
		return task.Skipped
	default:
		begin()
		d = j.perform(r)
	}
	conclusion := d.outcome
	if run && conclusion == task.Failure && j.stepGoesOn(r) {
		conclusion = task.Success
	}
	s.record(st.ID, d.outputs, d.outcome, conclusion)
	if conclusion == task.Failure {
		s.failed = true
		j.blameStep(s, r)
	}
	return conclusion
}

// prepareStep evaluates what decides whether and for how long a step runs. run
// is false also after an error in its env or condition: continue-on-error does
// not help against these, as on GitHub.
func (j *jobRun) prepareStep(r *stepRun) (run bool, err error) {
	s := r.scope
	r.action = s.action
	r.action.name = s.unique(stepName(r.Step))
	outer := merge(j.state.env, s.env)
	r.exprs = j.exprs(s.life.hard, s, j.values(s, r.action, outer), "")
	if r.own, err = evalVars(r.Env, r.at("env")); err != nil {
		return false, fmt.Errorf("env of the step: %w", err)
	}
	r.env = merge(outer, r.own)
	r.exprs.Values["env"] = j.envContext(r.env)
	if run, err = expr.Condition(r.If, r.at("if")); err != nil {
		return false, fmt.Errorf("the step's if cannot be evaluated: %w", err)
	}
	if r.If != "" {
		j.rows.debugf("The condition %s is %v.", r.If, run)
	}
	if !run {
		return false, nil
	}
	if r.timeout, err = evalMinutes(r.TimeoutMinutes, r.at("timeout-minutes")); err != nil {
		return true, fmt.Errorf("the step's timeout-minutes: %w", err)
	}
	return true, nil
}

// tellMisplaced warns, once a name, of what an action uses and GitHub refuses
// there. A workflow's own steps are warned of when it is read.
func (j *jobRun) tellMisplaced(name string) {
	name = strings.ToLower(name)
	if j.misplaced[name] {
		return
	}
	if j.misplaced == nil {
		j.misplaced = map[string]bool{}
	}
	j.misplaced[name] = true
	j.rows.warnf("GitHub refuses %s in the steps of an action; this runner goes on, and what has no value here is empty.", name)
}

// stepName is what github.action is made of.
func stepName(st *workflow.Step) string {
	name, _, _ := strings.Cut(st.Uses, "@")
	switch {
	case st.ID != "":
		return st.ID
	case st.IsRun:
		return "__run"
	case strings.HasPrefix(name, "."):
		return "__self"
	}
	return "__" + identifier(name)
}

// survives reports whether a step whose condition holds now would also run after
// a cancel: then a cancel lets it end by itself, as on GitHub.
func survives(cond string, c *expr.Context) bool {
	if cond == "" {
		return false
	}
	after := *c
	never := func() bool { return false }
	after.Success, after.Failure, after.Cancelled = never, never, func() bool { return true }
	ok, err := expr.Condition(cond, &after)
	return ok && err == nil
}

// perform does a step's work within its limits. A panic is the step's failure.
func (j *jobRun) perform(r *stepRun) (d done) {
	var release func()
	r.life, release = r.scope.life.step(survives(r.If, r.at("if")), r.timeout)
	defer release()
	end := j.startStep(r, j.title(r), "")
	defer func() { end(d.outcome) }()
	defer j.recovered(r, &d)
	if r.IsRun {
		return j.script(r)
	}
	return j.useAction(r)
}

// recovered keeps a panic within the step.
func (j *jobRun) recovered(r *stepRun, d *done) {
	if v := recover(); v != nil {
		r.fault = &observe.End{Result: observe.Error, ErrorType: typePanic, Text: fmt.Sprint(v)}
		j.log.Error("a step panicked", "panic", v, "stack", string(debug.Stack()))
		j.rows.errorf("The runner failed while it ran this step: %v", v)
		d.outcome = task.Failure
	}
}

// stepGoesOn evaluates a step's continue-on-error.
func (j *jobRun) stepGoesOn(r *stepRun) bool {
	if r.ContinueOnError == "" {
		return false
	}
	v, err := expr.EvalText(r.ContinueOnError, r.at("continue-on-error"))
	if err != nil {
		j.rows.errorf("The step's continue-on-error cannot be evaluated: %v", err)
		return false
	}
	return isTrue(v)
}

// finish takes over a program's effects and gives the step's end.
func (j *jobRun) finish(r *stepRun, exit int, fx *effects, err error) done {
	j.state.apply(fx)
	if len(fx.summary) > 0 && r.scope.top >= 0 {
		j.summarize(r.scope.top, fx.summary)
	}
	return done{outcome: j.judge(r, exit, fx, err), outputs: fx.outputs}
}

// summarize adds to the summary of a workflow's step.
func (j *jobRun) summarize(step int, text []byte) {
	all := j.state.summary[step]
	if len(all)+len(text)+1 > maxSummary {
		j.rows.errorf("The summary of this step has more than %d KiB with this part, which is not shown.", maxSummary>>10)
		return
	}
	if len(all) > 0 && all[len(all)-1] != '\n' {
		all = append(all, '\n')
	}
	all = append(all, text...)
	j.state.summary[step] = all
	j.sink.SetSummary(step, append([]byte(nil), all...))
}

// judge turns a program's end into a step's outcome, and says why in the log.
func (j *jobRun) judge(r *stepRun, exit int, fx *effects, err error) task.Result {
	switch {
	case err != nil && r.life.soft.Err() != nil:
		return j.ended(r)
	case err != nil:
		j.broken(r, err)
		j.rows.errorf("%s", sentence(err))
	case exit != 0:
		r.exited(exit)
		j.rows.errorf("Process completed with exit code %d.", exit)
	case !fx.failed:
		return task.Success
	default:
		r.fault = &observe.End{Result: observe.Failure, ErrorType: typeCommandFile, Text: "a file like GITHUB_ENV or GITHUB_OUTPUT was malformed"}
	}
	return task.Failure
}

// ended is the outcome of a step whose time was over.
func (j *jobRun) ended(r *stepRun) task.Result {
	cause := context.Cause(r.life.soft)
	r.stopped(cause)
	j.rows.errorf("%s", reason(cause, r.timeout))
	if errors.Is(cause, errStepTimeout) {
		return task.Failure
	}
	return task.Cancelled
}

// tellEnv writes the variables of a step into its opening group.
func (j *jobRun) tellEnv(env map[string]string) {
	j.tellMap("env", env)
}

func (j *jobRun) tellMap(title string, m map[string]string) {
	if len(m) == 0 {
		return
	}
	j.rows.printf("%s:", title)
	for _, name := range sortedKeys(m) {
		j.rows.printf("  %s: %s", name, strings.ReplaceAll(m[name], "\n", "\n    "))
	}
}

// with evaluates a step's `with`.
func (r *stepRun) with() (map[string]string, error) {
	with, err := evalVars(r.With, r.at("with"))
	if err != nil {
		return nil, fmt.Errorf("with of the step: %w", err)
	}
	return with, nil
}
