package job

import (
	"fmt"
	"strconv"
	"strings"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

// planContexts fills the contexts that come from the workflow: inputs, matrix
// and strategy.
func (j *jobRun) planContexts() error {
	inputs, err := j.inputs()
	if err != nil {
		return err
	}
	j.base["inputs"] = inputs
	return j.strategy()
}

// strategy fills the matrix and strategy contexts. A task is one combination of
// its matrix, so that there is one to be found.
func (j *jobRun) strategy() error {
	s := j.job.Strategy
	if s == nil {
		s = &workflow.Strategy{}
	}
	c := j.jobExprs("jobs.<job_id>.strategy")
	all, err := s.Matrix.Expand(func(text string) (any, error) { return expr.EvalText(text, c) })
	if err != nil {
		return fmt.Errorf("the job's %w", err)
	}
	if len(all) != 1 {
		return fmt.Errorf("the job's matrix has %d combinations, want the one that this task is about", len(all))
	}
	j.base["matrix"] = nil
	if v := all[0].Values; v != nil {
		j.base["matrix"] = v
	}
	failFast, maxParallel := any(true), any(1.0)
	for _, v := range []struct {
		text string
		to   *any
	}{{s.FailFast, &failFast}, {s.MaxParallel, &maxParallel}} {
		if v.text == "" {
			continue
		}
		if *v.to, err = expr.EvalText(v.text, c); err != nil {
			return fmt.Errorf("the job's strategy: %w", err)
		}
	}
	if n, err := strconv.ParseFloat(expr.Text(maxParallel), 64); err == nil {
		maxParallel = n
	}
	place := j.task.Strategy
	if place.MaxParallel > 0 {
		maxParallel = float64(place.MaxParallel)
	}
	j.base["strategy"] = map[string]any{
		"fail-fast": isTrue(failFast), "max-parallel": maxParallel,
		"job-index": float64(place.Index), "job-total": float64(max(1, place.Total)),
	}
	return nil
}

// inputs gives the inputs context: typed as the workflow declares them, for a
// workflow that was started by hand or called by another one.
func (j *jobRun) inputs() (map[string]any, error) {
	event, _ := expr.Plain(j.github["event"]).(map[string]any)
	given, _ := event["inputs"].(map[string]any)
	var declared []workflow.Input
	switch on := j.wf.On; {
	case j.task.String("event_name") == "workflow_call" && on.Call != nil:
		declared = on.Call.Inputs
	case j.task.String("event_name") == "workflow_dispatch" && on.Dispatch != nil:
		declared = on.Dispatch.Inputs
	case len(given) > 0:
		return given, nil
	}
	return workflow.InputValues(declared, given, func(text string) (any, error) {
		return expr.EvalText(text, j.jobExprs("on.workflow_call.inputs.<inputs_id>.default"))
	})
}

// runsOn evaluates the labels that the job wants.
func (j *jobRun) runsOn() ([]string, error) {
	c := j.jobExprs("jobs.<job_id>.runs-on")
	r := j.job.RunsOn
	if r.Expr != "" {
		v, err := expr.EvalText(r.Expr, c)
		if err != nil {
			return nil, fmt.Errorf("runs-on: %w", err)
		}
		return labelsOf(expr.Plain(v)), nil
	}
	labels := make([]string, len(r.Labels))
	for i, l := range r.Labels {
		text, err := expr.Interpolate(l, c)
		if err != nil {
			return nil, fmt.Errorf("runs-on: %w", err)
		}
		labels[i] = text
	}
	return labels, nil
}

// labelsOf reads the value of a `runs-on`: a label, a list of them, or an object
// that has either.
func labelsOf(v any) []string {
	switch v := v.(type) {
	case map[string]any:
		return labelsOf(v["labels"])
	case []any:
		all := make([]string, len(v))
		for i, x := range v {
			all[i] = expr.Text(x)
		}
		return all
	case nil:
		return nil
	}
	return []string{expr.Text(v)}
}

// containers evaluates what the job wants of a container sandbox.
func (j *jobRun) containers() (*sandbox.Container, []sandbox.Service, error) {
	c, err := j.jobContainer()
	if err != nil {
		return nil, nil, fmt.Errorf("container of the job: %w", err)
	}
	services, err := j.services()
	if err != nil {
		return nil, nil, fmt.Errorf("services of the job: %w", err)
	}
	if c != nil {
		j.hide(c.Password)
	}
	for i := range services {
		j.hide(services[i].Password)
	}
	return c, services, nil
}

// hide masks a registry's password, which need not come from a secret.
func (j *jobRun) hide(password string) {
	if password != "" {
		j.sink.AddMask(password)
	}
}

func (j *jobRun) jobContainer() (*sandbox.Container, error) {
	if j.job.Container == nil {
		return nil, nil
	}
	in := *j.job.Container
	if in.Expr != "" {
		v, err := expr.EvalText(in.Expr, j.jobExprs("jobs.<job_id>.container"))
		if err != nil {
			return nil, err
		}
		found, err := workflow.ContainerFrom(v)
		if err != nil || found == nil {
			return nil, err
		}
		return literalContainer(found), nil
	}
	c, err := j.evalContainer(&in, "jobs.<job_id>.container")
	if err != nil || c.Image == "" {
		return nil, err
	}
	return c, nil
}

func (j *jobRun) services() ([]sandbox.Service, error) {
	in := j.job.Services
	if in.Expr != "" {
		v, err := expr.EvalText(in.Expr, j.jobExprs("jobs.<job_id>.services"))
		if err != nil {
			return nil, err
		}
		found, err := workflow.ServicesFrom(v)
		if err != nil {
			return nil, err
		}
		services := make([]sandbox.Service, len(found))
		for i := range found {
			services[i] = sandbox.Service{Name: found[i].ID, Container: *literalContainer(&found[i].Container)}
		}
		return services, nil
	}
	var services []sandbox.Service
	for i := range in.List {
		s, err := j.service(&in.List[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", in.List[i].ID, err)
		}
		if s.Image != "" { // a service without an image is left out, as on GitHub
			services = append(services, s)
		}
	}
	return services, nil
}

func (j *jobRun) service(in *workflow.Service) (sandbox.Service, error) {
	s := sandbox.Service{Name: in.ID}
	if in.Expr != "" {
		v, err := expr.EvalText(in.Expr, j.jobExprs("jobs.<job_id>.services"))
		if err != nil {
			return s, err
		}
		c, err := workflow.ContainerFrom(v)
		if c != nil {
			s.Container = *literalContainer(c)
		}
		return s, err
	}
	c, err := j.evalContainer(&in.Container, "jobs.<job_id>.services.<service_id>")
	if err == nil {
		s.Container = *c
	}
	return s, err
}

// evalContainer evaluates the texts of a container; key is that of its
// availability.
func (j *jobRun) evalContainer(in *workflow.Container, key string) (*sandbox.Container, error) {
	c := j.jobExprs(strings.TrimSuffix(key, ".<service_id>"))
	out := &sandbox.Container{}
	var err error
	texts := func(list []string) []string {
		done := make([]string, 0, len(list))
		for _, text := range list {
			text, evalErr := expr.Interpolate(text, c)
			if evalErr != nil && err == nil {
				err = evalErr
			}
			done = append(done, text)
		}
		return done
	}
	one := func(text string) string { return texts([]string{text})[0] }
	out.Image, out.Options = one(in.Image), one(in.Options)
	out.Entrypoint, out.Command = splitArguments(one(in.Entrypoint)), splitArguments(one(in.Command))
	out.Ports, out.Volumes = texts(in.Ports), texts(in.Volumes)
	if in.Credentials != nil {
		c = j.withEnv(key + ".credentials")
		out.Username, out.Password = one(in.Credentials.Username), one(in.Credentials.Password)
	}
	if err != nil {
		return nil, err
	}
	out.Env, err = evalVars(in.Env, j.withEnv(key+".env.<env_id>"))
	return out, err
}

// withEnv is jobExprs with the job's env.
func (j *jobRun) withEnv(key string) *expr.Context {
	c := j.jobExprs(key)
	values := make(map[string]any, len(c.Values)+1)
	for k, v := range c.Values {
		values[k] = v
	}
	values["env"] = j.state.env
	c.Values = values
	return c
}

// literalContainer takes over a container whose texts are final.
func literalContainer(in *workflow.Container) *sandbox.Container {
	out := &sandbox.Container{
		Image: in.Image, Ports: in.Ports, Volumes: in.Volumes, Options: in.Options, Env: map[string]string{},
		Entrypoint: splitArguments(in.Entrypoint), Command: splitArguments(in.Command),
	}
	if in.Credentials != nil {
		out.Username, out.Password = in.Credentials.Username, in.Credentials.Password
	}
	for _, v := range in.Env.List {
		out.Env[v.Name] = v.Value
	}
	return out
}
