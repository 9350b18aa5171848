package runner

import (
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// maxDepth is how deep workflows may call each other, the one at the top
// counted (GitHub's limit).
const maxDepth = 10

// workflowFolders are where the workflows lie that a job may call.
var workflowFolders = []string{".gitea/workflows", ".github/workflows"}

// readCalled reads the workflows that jobs call, those that they call in turn,
// and so on, so that what is wrong with them is said before anything runs.
func (p *execPlan) readCalled(f *workflowFile, jobs []*workflow.Job, depth int) error {
	if f.depth >= depth {
		return nil // looked at as deep as here
	}
	f.depth = depth
	for _, j := range jobs {
		if j.Uses == "" {
			continue
		}
		if depth == maxDepth {
			return fmt.Errorf("%s:%d: jobs.%s.uses: workflows call each other deeper than %d levels", f.name, j.Pos.Line, j.ID, maxDepth)
		}
		called, err := p.called(j.Uses)
		if err != nil {
			return fmt.Errorf("%s:%d: jobs.%s.uses: %w", f.name, j.Pos.Line, j.ID, err)
		}
		if err := p.readCalled(called, called.wf.Jobs, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// called is the workflow file that a `uses` names.
func (p *execPlan) called(uses string) (*workflowFile, error) {
	name, local := strings.CutPrefix(uses, "./")
	switch {
	case expr.HasExpression(uses):
		return nil, fmt.Errorf("%s: the name of a workflow cannot be an expression", uses)
	case !local:
		return nil, fmt.Errorf("%s is a workflow of another repository; `runner exec` runs those of this one only, written as ./%s/FILE.yml", uses, workflowFolders[0])
	case strings.Contains(name, "@"):
		return nil, fmt.Errorf("%s: a workflow of the same repository has no @ref", uses)
	case !slices.Contains(workflowFolders, path.Dir(path.Clean(name))):
		return nil, fmt.Errorf("%s: the workflows that can be called lie in %s", uses, strings.Join(workflowFolders, " or "))
	}
	if f := p.files[name]; f != nil {
		return f, nil
	}
	f, err := readWorkflow(filepath.Join(p.repo.root, filepath.FromSlash(name)), name)
	if err != nil {
		return nil, err
	}
	if f.wf.On.Call == nil {
		return nil, fmt.Errorf("%s cannot be called: it has no on.workflow_call", uses)
	}
	p.files[name] = f
	return f, nil
}

// enter begins the workflow that a leg calls.
func (x *execution) enter(l *leg) (*flow, error) {
	f, err := x.plan.called(l.job.Uses)
	if err != nil {
		return nil, err
	}
	call := newFlow(f, f.wf.Jobs)
	call.by, call.title, call.depth, call.event = l, l.name+" / ", l.job.flow.depth+1, "workflow_call"
	if call.given, err = x.with(l); err != nil {
		return nil, err
	}
	declared := f.wf.On.Call
	if err := workflow.CheckInputs(declared.Inputs, call.given); err != nil {
		return nil, fmt.Errorf("jobs.%s.with: %w", l.job.ID, err)
	}
	c := x.callContext(call, "on.workflow_call.inputs.<inputs_id>.default")
	call.inputs, err = workflow.InputValues(declared.Inputs, call.given, func(text string) (any, error) { return expr.EvalText(text, c) })
	if err != nil {
		return nil, fmt.Errorf("jobs.%s.with: %w", l.job.ID, err)
	}
	call.given = call.inputs // as a server sends them: all of them, typed
	call.secrets, err = x.secretsFor(l, declared.Secrets)
	return call, err
}

// callContext is what the expressions of an on.workflow_call may use.
func (x *execution) callContext(call *flow, key string) *expr.Context {
	github := x.plan.github(call, call.by.job.ID)
	return &expr.Context{Allow: workflow.Availability(key), Values: map[string]any{
		"github": github, "gitea": github, "vars": x.Vars, "inputs": call.inputs,
	}}
}

// with are the inputs that a leg gives.
func (x *execution) with(l *leg) (map[string]any, error) {
	c := &expr.Context{Values: x.withMatrix(l), Allow: workflow.Availability("jobs.<job_id>.with.<with_id>")}
	return evalMapping(l.job.With, c, fmt.Sprintf("jobs.%s.with", l.job.ID))
}

// evalMapping evaluates names and values; a whole expression keeps its type.
func evalMapping(v workflow.Vars, c *expr.Context, what string) (map[string]any, error) {
	out := map[string]any{}
	if v.Expr != "" {
		value, err := expr.EvalText(v.Expr, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		m, ok := expr.Plain(value).(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: expected a mapping, the expression gave %s", what, expr.KindOf(value))
		}
		return m, nil
	}
	for _, x := range v.List {
		value, err := expr.EvalText(x.Value, c)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", what, x.Name, err)
		}
		out[x.Name] = expr.Plain(value)
	}
	return out, nil
}

// secretsFor are the secrets that a leg gives to the workflow that it calls, and
// the token, which every job has.
func (x *execution) secretsFor(l *leg, declared []workflow.Secret) (map[string]string, error) {
	mine := l.job.flow.secrets
	out := map[string]string{}
	if l.job.SecretsInherit {
		maps.Copy(out, mine)
	} else {
		values := x.withMatrix(l)
		values["secrets"] = mine
		c := &expr.Context{Values: values, Allow: workflow.Availability("jobs.<job_id>.secrets.<secrets_id>")}
		what := fmt.Sprintf("jobs.%s.secrets", l.job.ID)
		given, err := evalMapping(l.job.Secrets, c, what)
		if err != nil {
			return nil, err
		}
		for name, value := range given {
			if !declares(declared, name) {
				return nil, fmt.Errorf("%s: %s does not declare the secret %s in on.workflow_call.secrets", what, l.job.Uses, name)
			}
			out[name] = expr.Text(value)
		}
		for _, name := range []string{"GITHUB_TOKEN", "GITEA_TOKEN"} {
			if token, ok := mine[name]; ok {
				out[name] = token
			}
		}
	}
	for _, s := range declared {
		if s.Required && !hasSecret(out, s.Name) {
			return nil, fmt.Errorf("%s needs the secret %s: give it in jobs.%s.secrets", l.job.Uses, s.Name, l.job.ID)
		}
	}
	return out, nil
}

func declares(declared []workflow.Secret, name string) bool {
	return slices.ContainsFunc(declared, func(s workflow.Secret) bool { return strings.EqualFold(s.Name, name) })
}

func hasSecret(secrets map[string]string, name string) bool {
	for k, v := range secrets {
		if strings.EqualFold(k, name) && v != "" {
			return true
		}
	}
	return false
}

// leave takes the outputs of the workflow that a leg has called.
func (x *execution) leave(l *leg) error {
	jobs := map[string]any{}
	for _, j := range l.call.jobs {
		jobs[j.ID] = map[string]any{"result": string(j.result), "outputs": j.outputs}
	}
	c := x.callContext(l.call, "on.workflow_call.outputs.<output_id>.value")
	c.Values["jobs"] = jobs
	f := l.call.file
	for _, o := range f.wf.On.Call.Outputs {
		text, err := expr.Interpolate(o.Value, c)
		if err != nil {
			return fmt.Errorf("%s:%d: the output %s cannot be evaluated: %w", f.name, o.Pos.Line, o.Name, err)
		}
		l.outputs[o.Name] = text
	}
	return nil
}
