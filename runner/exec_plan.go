package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"

	"go.yaml.in/yaml/v4"
)

// execPlan is a workflow file that is ready to be run job by job.
type execPlan struct {
	wf     *workflow.Workflow
	root   *yaml.Node      // the file's mapping, aliases resolved
	jobs   []*workflow.Job // those that are run, in the order in which they are
	inputs map[string]any
	repo   *repository
	o      ExecOptions
	event  string
}

func newExecPlan(o ExecOptions) (*execPlan, error) {
	data, err := os.ReadFile(o.File)
	if err != nil {
		return nil, workflowError(err)
	}
	wf, err := workflow.Parse(o.File, data)
	if err != nil {
		return nil, workflowError(err)
	}
	p := &execPlan{wf: wf, o: o, event: eventName(o, wf)}
	if p.root, err = rootNode(data); err != nil {
		return nil, workflowError(fmt.Errorf("%s: %w", o.File, err))
	}
	if p.jobs, err = selectJobs(wf, o.Job); err != nil {
		return nil, workflowError(err)
	}
	if p.inputs, err = p.readInputs(); err != nil {
		return nil, workflowError(err)
	}
	p.repo, err = openRepository(o.Dir)
	return p, err
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

// readInputs checks the given inputs against those that the workflow declares.
func (p *execPlan) readInputs() (map[string]any, error) {
	given := map[string]any{}
	for k, v := range p.o.Inputs {
		given[k] = v
	}
	var declared []workflow.Input
	switch {
	case p.event == "workflow_dispatch" && p.wf.On.Dispatch != nil:
		declared = p.wf.On.Dispatch.Inputs
	case p.event == "workflow_call" && p.wf.On.Call != nil:
		declared = p.wf.On.Call.Inputs
	case len(given) > 0:
		return nil, fmt.Errorf("%s: inputs were given, but the workflow has neither on.workflow_dispatch nor on.workflow_call for them", p.o.File)
	}
	if err := workflow.CheckInputs(declared, given); err != nil {
		return nil, fmt.Errorf("%s: %w", p.o.File, err)
	}
	values, err := workflow.InputValues(declared, given, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.o.File, err)
	}
	return values, nil
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

// rootNode is the mapping of a workflow file, without aliases, so that parts of
// it can be taken out. (Parse has bounded what the aliases stand for.)
func rootNode(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	return plainNode(doc.Content[0]), nil
}

func plainNode(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	out := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.Tag, Value: n.Value}
	for _, child := range n.Content {
		out.Content = append(out.Content, plainNode(child))
	}
	return out
}

// payload is the workflow with one job and one combination, as a server sends it.
func (p *execPlan) payload(j *workflow.Job, c *workflow.Combination, name string, passOverCheckout bool) ([]byte, error) {
	root := plainNode(p.root)
	jobs := child(root, "jobs")
	node := child(jobs, j.ID)
	if node == nil {
		return nil, fmt.Errorf("the job %s is not found in the file", j.ID)
	}
	jobs.Content = []*yaml.Node{textNode(j.ID), node}
	remove(node, "needs")
	set(node, "name", textNode(literal(name)))
	if c.Values != nil {
		matrix, err := matrixNode(c.Values)
		if err != nil {
			return nil, err
		}
		set(child(node, "strategy"), "matrix", matrix)
	}
	if passOverCheckout {
		replaceCheckouts(child(node, "steps"))
	}
	return yaml.Marshal(root)
}

// matrixNode has a list of one value for each key.
func matrixNode(values *expr.Object) (*yaml.Node, error) {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for key, value := range values.All() {
		text, err := json.Marshal([]any{plainValue(value)})
		if err != nil {
			return nil, fmt.Errorf("matrix.%s: %w", key, err)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal(text, &doc); err != nil { // JSON is YAML
			return nil, fmt.Errorf("matrix.%s: %w", key, err)
		}
		out.Content = append(out.Content, textNode(key), doc.Content[0])
	}
	return out, nil
}

// plainValue is v with its texts made literal: they have been evaluated.
func plainValue(v any) any {
	switch v := expr.Plain(v).(type) {
	case string:
		return literal(v)
	case []any:
		for i := range v {
			v[i] = plainValue(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = plainValue(v[k])
		}
		return v
	default:
		return v
	}
}

// literal writes a text so that it is not evaluated (again).
func literal(text string) string { return strings.ReplaceAll(text, "${{", "${{ '${{' }}") }

// replaceCheckouts puts a line of log in the place of the steps that would fetch
// the repository, which is there already. A step that fetches another one stays.
func replaceCheckouts(steps *yaml.Node) {
	if steps == nil {
		return
	}
	for _, step := range steps.Content {
		uses := child(step, "uses")
		if uses == nil || !isCheckout(uses.Value) || child(child(step, "with"), "repository") != nil {
			continue
		}
		if child(step, "name") == nil {
			set(step, "name", textNode("Run "+uses.Value))
		}
		remove(step, "uses")
		remove(step, "with")
		set(step, "run", textNode(`echo "The workspace is a copy of the working directory; --checkout fetches the commit instead."`))
	}
}

func isCheckout(uses string) bool {
	name, _, _ := strings.Cut(uses, "@")
	return name == "actions/checkout" || strings.HasSuffix(name, "://github.com/actions/checkout") || strings.HasSuffix(name, "://gitea.com/actions/checkout")
}

// child is the value of a key of a mapping, or nil. Keys are compared without
// case, as the ids of jobs are.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return n.Content[i+1]
		}
	}
	return nil
}

func set(n *yaml.Node, key string, value *yaml.Node) {
	remove(n, key)
	n.Content = append(n.Content, textNode(key), value)
}

func remove(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// github is the github context of a job, with the keys that a server sends.
func (p *execPlan) github(jobID string) map[string]any {
	r := p.repo
	event := map[string]any{"ref": r.ref, "after": r.sha, "repository": map[string]any{
		"full_name": r.name, "name": r.name[strings.LastIndexByte(r.name, '/')+1:], "default_branch": "main",
	}}
	if p.o.Event != nil {
		event = map[string]any{}
		for k, v := range p.o.Event {
			event[k] = v
		}
	}
	if len(p.o.Inputs) > 0 {
		inputs := map[string]any{}
		for k, v := range p.o.Inputs {
			inputs[k] = v
		}
		event["inputs"] = inputs
	}
	owner, _, _ := strings.Cut(r.name, "/")
	return map[string]any{
		"event_name": p.event, "event": event, "job": jobID, "workflow": workflowName(p.wf),
		"ref": r.ref, "ref_name": r.refName(), "ref_type": r.refType(), "sha": r.sha, "ref_protected": false,
		"head_ref": eventText(event, "pull_request", "head", "ref"), "base_ref": eventText(event, "pull_request", "base", "ref"),
		"repository": r.name, "repository_owner": owner, "repositoryUrl": strings.TrimSuffix(r.server+"/"+r.name, "/"),
		"server_url": r.server, "api_url": r.server + "/api/v1", "graphql_url": "",
		"actor": r.actor, "triggering_actor": r.actor, "run_id": "1", "run_number": "1", "run_attempt": "1",
		"token": p.o.Secrets["GITHUB_TOKEN"], "gitea_default_actions_url": p.actionsURL(), "gitea_runtime_token": "",
		"secret_source": "Actions", "retention_days": "", "action": "", "action_path": "", "action_ref": "",
		"action_repository": "", "action_status": "", "env": "", "path": "", "event_path": "", "workspace": "",
	}
}

func (p *execPlan) actionsURL() string {
	if m := p.o.Config.Runner.GithubMirror; m != "" {
		return m
	}
	return "https://github.com"
}

func workflowName(wf *workflow.Workflow) string {
	if wf.Name != "" {
		return wf.Name
	}
	return filepath.Base(wf.File)
}

// eventText is a text within an event, or "".
func eventText(event any, path ...string) string {
	for _, key := range path {
		m, ok := event.(map[string]any)
		if !ok {
			return ""
		}
		event = m[key]
	}
	s, _ := event.(string)
	return s
}
