package runner

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"

	"go.yaml.in/yaml/v4"
)

// execPlan is what Exec knows before it runs anything.
type execPlan struct {
	o     ExecOptions
	repo  *repository
	files map[string]*workflowFile // that are called, by their path in the repository
	top   *flow
}

// workflowFile is a workflow file that has been read.
type workflowFile struct {
	name string // for messages
	wf   *workflow.Workflow
	root *yaml.Node // the file's mapping, aliases resolved

	depth int // at which what it calls has been read
}

func newExecPlan(o ExecOptions) (*execPlan, error) {
	file, err := readWorkflow(o.File, o.File)
	if err != nil {
		return nil, workflowError(err)
	}
	p := &execPlan{o: o, files: map[string]*workflowFile{}}
	if p.repo, err = openRepository(o.Dir, o.Exact); err != nil {
		return nil, err
	}
	jobs, err := selectJobs(file.wf, o.Job)
	if err != nil {
		return nil, workflowError(err)
	}
	p.top = newFlow(file, jobs)
	p.top.event = eventName(o, file.wf)
	p.top.secrets = o.Secrets
	if err := p.topInputs(); err != nil {
		return nil, workflowError(err)
	}
	if err := p.readCalled(file, jobs, 1); err != nil {
		return nil, workflowError(err)
	}
	return p, nil
}

func readWorkflow(path, name string) (*workflowFile, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	wf, err := workflow.Parse(name, data)
	if err != nil {
		return nil, err
	}
	root, err := rootNode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &workflowFile{name: name, wf: wf, root: root}, nil
}

// rootNode is the mapping of a workflow file, without aliases, so that parts of
// it can be taken out. (Parse has bounded what the aliases stand for.)
func rootNode(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil {
		return nil, err
	}
	return plainNode(doc.Content[0]), nil
}

// eventName is the given one, or one that the workflow has.
func eventName(o ExecOptions, wf *workflow.Workflow) string {
	switch {
	case o.EventName != "":
		return o.EventName
	case len(o.Inputs) > 0 && wf.On.Dispatch != nil:
		return "workflow_dispatch"
	case len(o.Inputs) > 0 && wf.On.Call != nil:
		return "workflow_call"
	case wf.On.Has("push") || len(wf.On.Events) == 0:
		return "push"
	}
	return wf.On.Events[0].Name
}

// topInputs checks the given inputs against those that the workflow declares.
func (p *execPlan) topInputs() error {
	given := map[string]any{}
	if inputs, ok := p.o.Event["inputs"].(map[string]any); ok {
		maps.Copy(given, inputs)
	}
	for k, v := range p.o.Inputs {
		given[k] = v
	}
	top := p.top
	var declared []workflow.Input
	switch on := top.file.wf.On; {
	case top.event == "workflow_dispatch" && on.Dispatch != nil:
		declared = on.Dispatch.Inputs
	case top.event == "workflow_call" && on.Call != nil:
		declared = on.Call.Inputs
	case len(p.o.Inputs) > 0:
		return fmt.Errorf("%s: inputs were given, but the workflow has neither on.workflow_dispatch nor on.workflow_call for them", p.o.File)
	}
	if err := workflow.CheckInputs(declared, given); err != nil {
		return fmt.Errorf("%s: %w", p.o.File, err)
	}
	github := p.github(top, "")
	c := &expr.Context{
		Values: map[string]any{"github": github, "gitea": github, "vars": p.o.Vars, "inputs": map[string]any{}},
		Allow:  workflow.Availability("on.workflow_call.inputs.<inputs_id>.default"),
	}
	var err error
	top.inputs, err = workflow.InputValues(declared, given, func(text string) (any, error) { return expr.EvalText(text, c) })
	if err != nil {
		return fmt.Errorf("%s: %w", p.o.File, err)
	}
	if top.given = given; len(given) == 0 {
		top.given = nil
	}
	if top.event == "workflow_dispatch" {
		top.given = dispatched(top.inputs)
	}
	return nil
}

// dispatched are the inputs in a dispatch's event, as a server sends them: all that
// are declared, those of the type boolean as such and all others as texts.
func dispatched(inputs map[string]any) map[string]any {
	given := make(map[string]any, len(inputs))
	for name, value := range inputs {
		if _, isBool := value.(bool); !isBool {
			value = expr.Text(value)
		}
		given[name] = value
	}
	return given
}

// selectJobs are all jobs, or the one called id and those that it needs, each
// after those that it needs. (Parse refuses circles.)
func selectJobs(wf *workflow.Workflow, id string) ([]*workflow.Job, error) {
	var order []*workflow.Job
	var add func(j *workflow.Job)
	add = func(j *workflow.Job) {
		if j == nil || slices.Contains(order, j) {
			return
		}
		for _, need := range j.Needs {
			add(wf.Job(need))
		}
		order = append(order, j)
	}
	if id == "" {
		for _, j := range wf.Jobs {
			add(j)
		}
		return order, nil
	}
	if wf.Job(id) == nil {
		var ids []string
		for _, j := range wf.Jobs {
			ids = append(ids, j.ID)
		}
		hint := ""
		if near := expr.Nearest(id, ids); near != "" {
			hint = ", did you mean " + near + "?"
		}
		return nil, fmt.Errorf("%s has no job %q; it has %s%s", wf.File, id, strings.Join(ids, ", "), hint)
	}
	add(wf.Job(id))
	return order, nil
}

func (p *execPlan) actionsURL() string {
	if m := p.o.Config.Runner.GithubMirror; m != "" {
		return m
	}
	return "https://github.com"
}

// workflowName is that of the workflow at the top, also where another one is
// called.
func (p *execPlan) workflowName(f *flow) string {
	for f.by != nil {
		f = f.by.job.flow
	}
	if f.file.wf.Name != "" {
		return f.file.wf.Name
	}
	return filepath.Base(f.file.name)
}
