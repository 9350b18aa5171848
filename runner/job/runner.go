package job

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/action"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

// Run runs a task to its end and returns its result, which is always a final
// one. Everything that it started is gone when it returns, but for what it has given
// to a Deferrer.
//
// When cancel is closed, what runs is terminated, and then the steps whose
// condition holds after a cancel (always(), cancelled()) and the post steps run,
// for Options.CleanupTimeout at most. When ctx ends, everything is killed.
//
// A fault in the workflow or in the sandbox is told to the sink, in words for
// the workflow's author, and gives task.Failure. So does a panic.
func (r *Runner) Run(ctx context.Context, cancel <-chan struct{}, t *task.Task, sink Sink) (result task.Result) {
	log := observe.Logger(ctx, r.opts.Logger.With(slog.Int64("task", t.ID)))
	out := rows{sink: sink, debug: wantsDebug(t)}
	var j *jobRun
	defer func() {
		if v := recover(); v != nil {
			log.Error("the engine panicked", "panic", v, "stack", string(debug.Stack()))
			out.errorf("The runner failed while it ran this job: %v", v)
			result = task.Failure
			j.blame(observe.End{Result: observe.Error, ErrorType: typePanic, Text: fmt.Sprint(v)})
		}
		j.tellEnd(ctx, result)
	}()
	if r.opts.Trust != nil {
		for _, key := range []string{"server_url", "gitea_default_actions_url"} {
			r.opts.Trust(t.String(key))
		}
	}
	wf, job, err := readJob(t)
	if err != nil {
		out.faults(err)
		j = &jobRun{}
		j.blame(invalid(err))
		return task.Failure
	}
	j = &jobRun{
		opts: &r.opts, log: log, task: t, rows: out, sink: sink, wf: wf, job: job,
		uses: map[string]*use{}, programsFound: map[string]string{},
	}
	j.state.summary = map[int][]byte{}
	j.images.log = func(line string) { j.rows.printf("%s", line) }
	return j.whole(ctx, cancel)
}

// wantsDebug reports whether the debug rows are shown: a secret or a variable
// says so, as on GitHub.
func wantsDebug(t *task.Task) bool {
	for _, m := range []map[string]string{t.Secrets, t.Vars} {
		for _, name := range []string{"ACTIONS_STEP_DEBUG", "ACTIONS_RUNNER_DEBUG"} {
			if v := m[name]; strings.EqualFold(v, "true") || v == "1" {
				return true
			}
		}
	}
	return false
}

// readJob reads the one job of a task's workflow.
func readJob(t *task.Task) (*workflow.Workflow, *workflow.Job, error) {
	wf, err := workflow.ParsePayload(t.File, t.Workflow)
	if err != nil {
		return nil, nil, fmt.Errorf("the workflow cannot be run: %w", err)
	}
	job, err := workflow.SingleJob(wf)
	if err != nil {
		return nil, nil, err
	}
	if job.Uses != "" {
		return nil, nil, fmt.Errorf("the job %s uses the reusable workflow %s, which the server has to split into its jobs before a runner gets them",
			job.ID, job.Uses)
	}
	return wf, job, nil
}

// jobRun is one task on its way. What is set up before the first step is only
// read after that; what steps change is in state and scope.
type jobRun struct {
	opts *Options
	log  *slog.Logger
	task *task.Task
	rows rows
	sink Sink
	wf   *workflow.Workflow
	job  *workflow.Job

	life     life
	timeout  time.Duration
	spec     sandbox.Spec // what the sandbox is opened by
	sandbox  sandbox.Sandbox
	info     sandbox.Info
	beside   sandbox.HostContainers // of a host job's Docker actions, once there was one
	endpoint string                 // where its programs may send telemetry; "" is nowhere
	cache    Cache                  // nil: it has none of this runner's
	cacheURL string                 // where its programs reach the server of actions/cache; "" is nowhere
	scheme   label.Scheme           // of the sandbox, when it is opened
	actions  *action.Job
	fetched  heldLines // what actions tells
	images   images
	modules  moduleFetches
	github   map[string]any
	base     map[string]any    // the contexts that stay as they are
	defaults map[string]string // the runner's own variables

	scope *scope
	state state
	uses  map[string]*use

	programs      int               // numbers command files and scripts
	misplaced     map[string]bool   // names that an action may not use and that were told of
	programsFound map[string]string // by name, as long as the path stays

	cause error         // why the job was ended before its time
	fault *observe.End  // what made the job fail, the first thing
	usage sandbox.Usage // of all programs together
}

// whole runs the job from its condition to its outputs.
func (j *jobRun) whole(ctx context.Context, cancel <-chan struct{}) task.Result {
	run, err := j.decide()
	if err != nil {
		j.blame(invalid(err))
		j.rows.errorf("%s", sentence(err))
		j.skipSteps()
		return task.Failure
	}
	if !run {
		j.rows.printf("The job is skipped: %s", j.whySkipped())
		j.skipSteps()
		return task.Skipped
	}
	l, release := newLife(ctx, cancel, j.timeout, j.opts.CleanupTimeout)
	defer release()
	j.life = l
	j.scope = &scope{life: l, top: -1, steps: expr.NewObject(), names: map[string]int{}}
	defer j.close()
	defer j.attest()
	if err := j.within("set up job", j.setUp); err != nil {
		j.blame(observe.EndOf(err, observe.Error))
		j.tellSetUp(err)
		j.scope.failed = true
		j.skipSteps()
		return j.result()
	}
	j.runSteps()
	j.runPosts()
	j.setOutputs()
	return j.result()
}

// decide evaluates whether the job runs, and for how long.
func (j *jobRun) decide() (run bool, err error) {
	if err := j.prepareContexts(); err != nil {
		return false, err
	}
	// The condition may name env, though it is not GitHub's. What is wrong with
	// it is told when a job that runs is set up.
	_ = j.jobEnv()
	if run, err = j.condition(); err != nil || !run {
		return false, err
	}
	j.timeout, err = j.jobTimeout()
	return run, err
}

// whySkipped says what keeps the job from running: without a condition of its
// own, it is the jobs that it needs.
func (j *jobRun) whySkipped() string {
	if j.job.If != "" {
		return "its condition does not hold: " + j.job.If
	}
	verbs := map[task.Result]string{task.Failure: " failed", task.Cancelled: " was cancelled", task.Skipped: " was skipped"}
	var list []string
	for _, id := range sortedKeys(j.task.Needs) {
		if verb := verbs[j.task.Needs[id].Result]; verb != "" {
			list = append(list, id+verb)
		}
	}
	return "of its needs, " + strings.Join(list, ", ")
}

func (j *jobRun) tellSetUp(err error) {
	if j.life.stopped() {
		j.rows.errorf("The job was ended while it was set up: %v.", context.Cause(j.life.soft))
		return
	}
	j.rows.errorf("%s", sentence(err))
}

// result is the job's, from what has happened.
func (j *jobRun) result() task.Result {
	cause := context.Cause(j.life.soft)
	j.cause = cause
	switch {
	case errors.Is(cause, errJobTimeout):
		j.rows.errorf("The job has run for longer than its limit of %s.", minutes(j.timeout))
		return task.Failure
	case errors.Is(cause, errCancelled):
		j.rows.errorf("The job was cancelled.")
		return task.Cancelled
	case cause != nil:
		j.rows.errorf("The job was ended because the runner stops.")
		return task.Cancelled
	case !j.scope.failed:
		return task.Success
	case j.goesOn():
		j.rows.warnf("The job failed; since continue-on-error is set, its result is success.")
		return task.Success
	}
	return task.Failure
}

// goesOn evaluates the job's continue-on-error.
func (j *jobRun) goesOn() bool {
	v, err := expr.EvalText(j.job.ContinueOnError, j.jobExprs("jobs.<job_id>.continue-on-error"))
	if err != nil {
		j.rows.errorf("The job's continue-on-error cannot be evaluated: %v", err)
		return false
	}
	return isTrue(v)
}

// isTrue reads a boolean that may have become a string on its way.
func isTrue(v any) bool {
	if s, ok := v.(string); ok {
		return strings.EqualFold(strings.TrimSpace(s), "true")
	}
	return expr.Truthy(v)
}

// skipSteps tells of steps that do not run.
func (j *jobRun) skipSteps() {
	for i := range j.job.Steps {
		j.sink.StepFinished(i, task.Skipped, time.Now())
	}
}

// runSteps runs the job's steps in order.
func (j *jobRun) runSteps() {
	for i, st := range j.job.Steps {
		s := *j.scope
		s.top = i
		began := j.began(i)
		conclusion := task.Skipped
		if j.life.hard.Err() == nil {
			conclusion = j.step(&s, st, began)
		}
		j.scope.failed = s.failed
		j.sink.StepFinished(i, conclusion, time.Now())
	}
}

// began returns what tells the sink, once, that step i begins.
func (j *jobRun) began(i int) func() {
	done := false
	return func() {
		if !done {
			done = true
			j.sink.StepStarted(i, time.Now())
		}
	}
}

// setOutputs evaluates the job's outputs. Empty ones are not set, as on GitHub.
func (j *jobRun) setOutputs() {
	values := j.values(j.scope, actionContext{}, j.state.env)
	c := j.exprs(j.life.hard, j.scope, values, "jobs.<job_id>.outputs.<output_id>")
	var names []string
	for _, o := range j.job.Outputs {
		text, err := expr.Interpolate(o.Value, c)
		if err != nil {
			j.rows.errorf("The output %s of the job cannot be evaluated: %v", o.Name, err)
			j.scope.failed = true
			continue
		}
		if text != "" {
			j.sink.SetOutput(o.Name, text)
			names = append(names, o.Name)
		}
	}
	if len(names) > 0 {
		j.rows.printf("Outputs of the job: %s", strings.Join(names, ", "))
	}
}

// close removes the sandbox and lets go of the actions, also after a panic. What
// takes long may come after the job's result, where the sink wants it so.
func (j *jobRun) close() {
	defer j.closeCache()
	if j.actions != nil {
		defer func() {
			if err := j.actions.Close(); err != nil {
				j.log.Warn("let go of the actions", "error", err)
			}
		}()
	}
	if j.sandbox == nil {
		return
	}
	retirer, slow := j.sandbox.(sandbox.Retirer)
	sink, waits := j.sink.(Deferrer)
	if slow && waits {
		j.retire(retirer)
		sink.Later(func() { _ = j.closeSandbox() })
		return
	}
	if err := j.closeSandbox(); err != nil {
		j.rows.warnf("The sandbox could not be removed wholly: %v", err)
	}
}

// retire ends what the job's steps have left running.
func (j *jobRun) retire(s sandbox.Retirer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(j.life.hard), j.opts.CloseTimeout)
	defer cancel()
	if err := s.Retire(ctx); err != nil {
		j.rows.warnf("The sandbox could not be emptied wholly: %v", err)
	}
}

func (j *jobRun) closeSandbox() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(j.life.hard), j.opts.CloseTimeout)
	defer cancel()
	ctx, end := observe.Span(ctx, "clean up")
	var err error
	if j.beside != nil {
		err = j.beside.Close(ctx)
	}
	err = errors.Join(err, j.sandbox.Close(ctx))
	end(err)
	if err != nil {
		j.log.Warn("close the sandbox", "error", err)
	}
	return err
}
