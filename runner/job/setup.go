package job

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"

	"go.opentelemetry.io/otel/attribute"
)

// prepareContexts fills what is known before there is a sandbox.
func (j *jobRun) prepareContexts() error {
	j.github = githubContext(j.task)
	j.github["job"] = j.job.ID
	j.base = map[string]any{
		"github": j.github, "gitea": j.github,
		"vars":    j.task.Vars,
		"secrets": j.task.Secrets,
		"needs":   needsContext(j.task),
	}
	return j.planContexts()
}

// condition evaluates the job's `if`: its status functions are about the jobs
// that it needs.
func (j *jobRun) condition() (bool, error) {
	has := func(r task.Result) func() bool {
		return func() bool {
			for _, n := range j.task.Needs {
				if n.Result == r {
					return true
				}
			}
			return false
		}
	}
	ok, err := expr.Condition(j.job.If, &expr.Context{
		Values:    j.jobValues(),
		Allow:     workflow.Availability("jobs.<job_id>.if"),
		Success:   func() bool { return !has(task.Failure)() && !has(task.Cancelled)() && !has(task.Skipped)() },
		Failure:   has(task.Failure),
		Cancelled: has(task.Cancelled),
	})
	if err != nil {
		return false, fmt.Errorf("the job's if cannot be evaluated: %w", err)
	}
	return ok, nil
}

// jobTimeout evaluates the job's timeout-minutes.
func (j *jobRun) jobTimeout() (time.Duration, error) {
	d, err := evalMinutes(j.job.TimeoutMinutes, j.jobExprs("jobs.<job_id>.timeout-minutes"))
	if err != nil {
		return 0, fmt.Errorf("the job's timeout-minutes: %w", err)
	}
	if d == 0 {
		d = j.opts.Timeout
	}
	return d, nil
}

// evalMinutes evaluates a timeout-minutes; 0 is none.
func evalMinutes(text string, c *expr.Context) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	v, err := expr.EvalText(text, c)
	if err != nil {
		return 0, err
	}
	n, ok := v.(float64)
	if !ok {
		s := strings.TrimSpace(expr.Text(v))
		if s == "" {
			return 0, nil
		}
		if n, err = strconv.ParseFloat(s, 64); err != nil {
			return 0, fmt.Errorf("expected a number of minutes, found %s", excerpt(s))
		}
	}
	if math.IsNaN(n) || n < 0 {
		return 0, fmt.Errorf("expected a number of minutes above 0, found %s", excerpt(expr.Text(v)))
	}
	return time.Duration(min(n*float64(time.Minute), float64(math.MaxInt64/2))), nil
}

// setUp opens the sandbox, fetches the actions, at once where it can, and runs their
// pre steps.
func (j *jobRun) setUp() error {
	j.tellJob()
	if err := j.jobEnv(); err != nil {
		return err
	}
	t, err := j.pick()
	if err != nil {
		return err
	}
	begun := j.beginFetch(t.label.Scheme)
	defer begun.end()
	if err := j.open(begun.opening(j.life.soft), t); err != nil {
		if failed := begun.failed(); failed != nil && !j.life.stopped() {
			j.rows.group("Actions")
			j.fetched.release(j.rows.printf)
			j.rows.endGroup()
			return sentences(failed)
		}
		return err
	}
	j.github["workspace"] = j.info.Workspace
	j.github["event_path"] = j.join(j.info.Temp, "_github_workflow", "event.json")
	j.base["runner"] = j.runnerContext()
	j.defaults = j.defaultVariables()
	if err := j.writeEvent(); err != nil {
		return err
	}
	if err := j.prepareActions(begun); err != nil {
		return err
	}
	return j.runPres()
}

// jobExprs returns what the expressions at a key of the job may use.
func (j *jobRun) jobExprs(key string) *expr.Context {
	return &expr.Context{Values: j.jobValues(), Allow: workflow.Availability(key)}
}

// jobValues are the contexts of the job itself, with its env as far as it is
// known.
func (j *jobRun) jobValues() map[string]any {
	if j.state.env == nil {
		return j.base
	}
	values := maps.Clone(j.base)
	values["env"] = expr.CaseSensitive(j.state.env)
	return values
}

// tellJob writes what runs the job and why.
func (j *jobRun) tellJob() {
	version := j.opts.Version
	if version == "" {
		version = "unknown version"
	}
	j.rows.printf("Runner %s, %s", j.opts.Name, version)
	j.rows.printf("Job %s of %s, run %s", j.job.ID, j.task.String("repository"), expr.Text(j.github["run_id"]))
	if url := observe.From(j.life.hard).TraceURL; url != "" {
		j.rows.printf("Trace: %s", url)
	}
	for _, w := range j.wf.Warnings {
		w.Warning = false // the row says it
		j.rows.warnf("%s", w)
	}
	if j.rows.debug {
		j.rows.debugf("Debug rows are shown, because ACTIONS_STEP_DEBUG or ACTIONS_RUNNER_DEBUG is set.")
	}
}

// jobEnv evaluates env of the workflow and then of the job.
func (j *jobRun) jobEnv() error {
	j.state.env = map[string]string{}
	for _, level := range []struct {
		name, key string
		vars      workflow.Vars
	}{{"workflow", "env", j.wf.Env}, {"job", "jobs.<job_id>.env", j.job.Env}} {
		c := j.jobExprs(level.key)
		c.Values = maps.Clone(j.base)
		c.Values["env"] = expr.CaseSensitive(maps.Clone(j.state.env))
		env, err := evalVars(level.vars, c)
		if err != nil {
			return fmt.Errorf("env of the %s: %w", level.name, err)
		}
		maps.Copy(j.state.env, env)
	}
	return nil
}

// evalVars evaluates a mapping of names to texts.
func evalVars(v workflow.Vars, c *expr.Context) (map[string]string, error) {
	env := make(map[string]string, len(v.List))
	if v.Expr != "" {
		value, err := expr.EvalText(v.Expr, c)
		if err != nil {
			return nil, err
		}
		m, ok := expr.Plain(value).(map[string]any)
		if !ok && value != nil && value != "" {
			return nil, fmt.Errorf("%s gives a %s, want a mapping", v.Expr, strings.ToLower(expr.KindOf(value)))
		}
		for name, x := range m {
			env[name] = expr.Text(x)
		}
		return env, nil
	}
	for _, x := range v.List {
		text, err := expr.Interpolate(x.Value, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", x.Name, err)
		}
		env[x.Name] = text
	}
	return env, nil
}

// target is where a job is to run.
type target struct {
	runsOn   []string
	label    label.Label
	provider sandbox.Provider
	spec     sandbox.Spec
}

// pick picks the label, and with it who opens the sandbox.
func (j *jobRun) pick() (target, error) {
	runsOn, err := j.runsOn()
	if err != nil {
		return target{}, err
	}
	picked, err := j.opts.Labels.Pick(runsOn)
	if err != nil {
		return target{}, observe.Typed(typeLabel, err)
	}
	spec := sandbox.Spec{
		ID: sandboxID(j.task.ID), Owner: j.owner(), Repository: j.task.String("repository"),
		Image: picked.Arg, Env: j.opts.Env,
		Log: func(line string) { j.rows.printf("%s", line) },
	}
	if spec.Container, spec.Services, err = j.containers(); err != nil {
		return target{}, err
	}
	// A host label's job that names a container runs in it, as on Gitea's own
	// runner. A label that was made for isolation keeps its kind, and refuses.
	if spec.Container != nil && picked.Scheme == label.Host && j.opts.Providers[label.Docker] != nil {
		picked.Scheme = label.Docker
	}
	provider, err := j.opts.provider(picked)
	return target{runsOn, picked, provider, spec}, err
}

// open opens the sandbox.
func (j *jobRun) open(ctx context.Context, t target) (err error) {
	j.rows.printf("Labels of the runner: %s; the job runs on %s", strings.Join(j.opts.Labels.Names(), ", "), strings.Join(t.runsOn, ", "))
	j.rows.group("Sandbox %s for %s", t.label.Scheme, t.label.Name)
	ctx, end := observe.Span(ctx, "open sandbox", attribute.String("otelrunner.sandbox", string(t.label.Scheme)))
	j.spec = t.spec
	j.sandbox, err = t.provider.Open(ctx, t.spec)
	end(err)
	if err != nil {
		j.rows.endGroup()
		return err
	}
	j.info = j.sandbox.Info()
	j.rows.printf("%s %s on %s, workspace %s", j.info.OS, j.info.Arch, j.info.Name, j.info.Workspace)
	for _, line := range j.info.Details {
		j.rows.printf("%s", line)
	}
	j.openEndpoint(ctx)
	j.openCache(ctx)
	j.rows.endGroup()
	return nil
}

// owner marks what the job's sandbox makes.
func (j *jobRun) owner() map[string]string {
	owner := map[string]string{"task": strconv.FormatInt(j.task.ID, 10)}
	maps.Copy(owner, j.opts.Owner)
	return owner
}

// sandboxID names a job on this machine: runners of several servers may be on
// one.
func sandboxID(id int64) string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("task-%d-%s", id, hex.EncodeToString(b[:]))
}

// writeEvent writes the file that GITHUB_EVENT_PATH names.
func (j *jobRun) writeEvent() error {
	event := j.github["event"]
	if event == nil {
		event = map[string]any{}
	}
	data, err := json.MarshalIndent(event, "", "  ")
	if err != nil {
		return fmt.Errorf("write the event's file: %w", err)
	}
	path := expr.Text(j.github["event_path"])
	err = j.sandbox.WriteFiles(j.life.soft, []sandbox.File{{Path: path, Data: data, Mode: 0o644}})
	if err != nil {
		return fmt.Errorf("write the event's file: %w", err)
	}
	return nil
}
