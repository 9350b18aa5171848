package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/job"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// ErrWorkflow is wrapped by the errors of Exec that are in the workflow file or
// in what it was given: nothing has run.
var ErrWorkflow = errors.New("workflow")

// ExecOptions configure Exec. Config, Log, File and Out are required.
type ExecOptions struct {
	Config  *config.Config
	Version string
	Environ []string // of the process, in the form of os.Environ
	Log     slog.Handler

	// File is the workflow; Dir is the folder whose repository the jobs work
	// on.
	File, Dir string
	// Job runs only this job, and those that it needs; "" runs all.
	Job string
	// Labels are put before those of the configuration.
	Labels label.List

	// EventName and Event are the github context's; "" and nil are made up.
	EventName string
	Event     map[string]any

	Secrets, Vars, Inputs, Env map[string]string

	// Checkout leaves the workspaces empty and runs the workflow's
	// actions/checkout steps. Otherwise a job's workspace begins as a copy of
	// the repository's folder, and those steps are passed over.
	Checkout bool

	// Out takes the log, in colours if Color is set, with what the engine says
	// of each step (its script, shell and environment) if Verbose is set.
	Out     io.Writer
	Color   bool
	Verbose bool

	// Stops cancels the run; a second one kills what runs.
	Stops <-chan struct{}
}

// Exec runs a workflow file with no server: its jobs one after the other, in the
// order of their needs, each combination of a matrix for itself. The result is
// the worst of theirs. An error says why nothing could be run; one that wraps
// ErrWorkflow is the file's or the options' fault.
func Exec(ctx context.Context, o ExecOptions) (task.Result, error) {
	plan, err := newExecPlan(o)
	if err != nil {
		return task.Failure, err
	}
	log := slog.New(o.Log)
	httpClient, err := gitea.NewHTTPClient(gitea.HTTPOptions{Insecure: o.Config.Runner.Insecure, CAFile: o.Config.Runner.CAFile})
	if err != nil {
		return task.Failure, err
	}
	labels, err := execLabels(o)
	if err != nil {
		return task.Failure, err
	}
	stop := newShutdown(ctx, o.Stops, 0, slog.New(slog.DiscardHandler))
	defer stop.end()
	options := engineOptions{
		cfg: o.Config, env: o.Env, labels: labels, name: "exec", version: o.Version, environ: o.Environ,
		owner: map[string]string{"runner": "exec"}, transport: httpClient.Transport, log: log,
	}
	if !o.Checkout {
		options.workspace = plan.repo.root
	}
	engine, err := newEngine(stop.fetching, options)
	if err != nil {
		return task.Failure, err
	}
	x := &execution{ExecOptions: o, plan: plan, engine: engine, stop: stop, labels: labels,
		screen: &screen{out: o.Out, color: o.Color, verbose: o.Verbose}, done: map[string]task.Need{}}
	return x.run(), nil
}

// execLabels are the given ones, then those of the configuration, then the
// defaults. A name that is there already is left out.
func execLabels(o ExecOptions) (label.List, error) {
	labels := o.Labels
	for _, text := range append(o.Config.Runner.Labels, DefaultLabels()...) {
		l, err := label.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("runner.labels: %w", err)
		}
		if _, ok := labels.Find(l.Name); !ok {
			labels = append(labels, l)
		}
	}
	return labels, nil
}

// execution is one run of Exec.
type execution struct {
	ExecOptions
	plan   *execPlan
	engine engine
	stop   *shutdown
	labels label.List
	screen *screen

	tasks  int64
	done   map[string]task.Need // jobs that have ended, by id
	totals []jobTotal
}

// jobTotal is a line of the summary.
type jobTotal struct {
	name   string
	result task.Result
	took   time.Duration
}

func (x *execution) run() task.Result {
	for _, j := range x.plan.jobs {
		x.done[j.ID] = x.runJob(j)
	}
	if len(x.totals) > 1 {
		x.screen.summary(x.totals)
	}
	worst := task.Success
	for _, t := range x.totals {
		worst = worse(worst, t.result)
	}
	return worst
}

// worse is the result of two jobs taken together; a skipped one is no fault.
func worse(a, b task.Result) task.Result {
	rank := map[task.Result]int{task.Skipped: 0, task.Success: 1, task.Cancelled: 2, task.Failure: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// runJob runs all combinations of a job.
func (x *execution) runJob(j *workflow.Job) task.Need {
	need := task.Need{Result: task.Skipped, Outputs: map[string]string{}}
	combinations, err := x.combinations(j)
	if err == nil && j.Uses != "" {
		err = fmt.Errorf("it uses the workflow %s; `runner exec` does not run reusable workflows yet", j.Uses)
	}
	if err != nil {
		x.screen.job(j.ID)
		x.screen.line(job.RowError + "The job " + j.ID + " cannot be run: " + err.Error())
		x.total(j.ID, task.Failure, 0)
		need.Result = task.Failure
		return need
	}
	failFast := x.failFast(j)
	for i := range combinations {
		c := &combinations[i]
		if failFast && need.Result == task.Failure || x.stopping() {
			x.total(x.name(j, c), task.Cancelled, 0)
			need.Result = worse(need.Result, task.Cancelled)
			continue
		}
		need.Result = worse(need.Result, x.runCombination(j, c, need.Outputs))
	}
	return need
}

func (x *execution) stopping() bool { return x.stop.fetching.Err() != nil }

// runCombination runs one combination and adds its outputs to those of the job.
func (x *execution) runCombination(j *workflow.Job, c *workflow.Combination, outputs map[string]string) task.Result {
	name := x.name(j, c)
	x.screen.job(name)
	began := time.Now()
	payload, err := x.plan.payload(j, c, name, !x.Checkout)
	if err != nil {
		x.screen.line(job.RowError + "The job cannot be run: " + err.Error())
		x.total(name, task.Failure, 0)
		return task.Failure
	}
	x.tasks++
	t := &task.Task{
		ID: x.tasks, Workflow: payload, Context: x.plan.github(j.ID), Secrets: x.Secrets, Vars: x.Vars, Needs: x.needs(j),
	}
	x.warnLabels(j)
	sink := newTerminal(x.screen, x.titles(j, c), append(taskSecrets(t), runnerSecrets(x.Config, x.Environ)...), outputs)
	result := x.engine.Run(x.stop.jobs, x.stop.cancel, t, sink)
	x.screen.jobEnd(name, result, time.Since(began))
	x.total(name, result, time.Since(began))
	return result
}

func (x *execution) total(name string, r task.Result, took time.Duration) {
	x.totals = append(x.totals, jobTotal{name, r, took})
}

// needs are the results of the jobs that j waited for.
func (x *execution) needs(j *workflow.Job) map[string]task.Need {
	needs := map[string]task.Need{}
	for _, id := range j.Needs {
		if other := x.plan.wf.Job(id); other != nil {
			needs[other.ID] = x.done[other.ID]
		}
	}
	return needs
}

// warnLabels says which flag would help where a label is not known.
func (x *execution) warnLabels(j *workflow.Job) {
	for _, name := range j.RunsOn.Labels {
		if _, ok := x.labels.Find(name); !ok && !expr.HasExpression(name) {
			x.screen.line(job.RowWarning + "No label " + name + " is known here; to run its jobs on this machine, add: --label " + name + ":host")
		}
	}
}

// values are the contexts at a job's strategy and name.
func (x *execution) values(j *workflow.Job) map[string]any {
	needs := map[string]any{}
	for id, n := range x.needs(j) {
		needs[id] = map[string]any{"result": string(n.Result), "outputs": n.Outputs}
	}
	github := x.plan.github(j.ID)
	return map[string]any{
		"github": github, "gitea": github, "needs": needs, "vars": x.Vars, "inputs": x.plan.inputs,
	}
}

func (x *execution) combinations(j *workflow.Job) ([]workflow.Combination, error) {
	if j.Strategy == nil {
		return []workflow.Combination{{}}, nil
	}
	c := &expr.Context{Values: x.values(j), Allow: workflow.Availability("jobs.<job_id>.strategy")}
	list, err := j.Strategy.Matrix.Expand(func(text string) (any, error) { return expr.EvalText(text, c) })
	if err != nil {
		return nil, fmt.Errorf("strategy: %w", err)
	}
	return list, nil
}

// failFast reports whether a failed combination ends the others: yes, unless the
// workflow says no.
func (x *execution) failFast(j *workflow.Job) bool {
	if j.Strategy == nil || j.Strategy.FailFast == "" {
		return true
	}
	text, err := expr.Interpolate(j.Strategy.FailFast, &expr.Context{Values: x.values(j)})
	return err != nil || !strings.EqualFold(strings.TrimSpace(text), "false")
}

// name is what a combination of a job is called.
func (x *execution) name(j *workflow.Job, c *workflow.Combination) string {
	text, err := expr.Interpolate(j.Name, &expr.Context{Values: x.withMatrix(j, c)})
	if err != nil {
		text = j.Name
	}
	return j.DisplayName(text, *c)
}

func (x *execution) withMatrix(j *workflow.Job, c *workflow.Combination) map[string]any {
	values := x.values(j)
	if c.Values != nil {
		values["matrix"] = c.Values
	}
	return values
}

// titles are what the steps are called, as far as it is known before they run.
func (x *execution) titles(j *workflow.Job, c *workflow.Combination) []string {
	values := &expr.Context{Values: x.withMatrix(j, c)}
	titles := make([]string, len(j.Steps))
	for i, s := range j.Steps {
		titles[i] = s.Title()
		if text, err := expr.Interpolate(s.Title(), values); err == nil {
			titles[i] = text
		}
	}
	return titles
}

// workflowError wraps what is the file's fault.
func workflowError(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return &explained{fmt.Sprintf("read the workflow: %v", err), errors.Join(ErrWorkflow, err)}
	}
	return &explained{err.Error(), errors.Join(ErrWorkflow, err)}
}
