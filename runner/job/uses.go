package job

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"otelrunner/runner/action"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

// loaded is an action whose files lie in the sandbox.
type loaded struct {
	ref  action.Reference
	meta *action.Metadata
	root string // the repository's folder, or the workspace
	dir  string // the action's folder in it

	// fetched is where it came from; nil for an action of the workspace and
	// for an image. Those that run in a container of their own have no root.
	fetched *action.Action

	warnings []string // of its metadata, for the log

	module *fetchedModule // of a `wasm://` step that names one elsewhere
}

// use is one step's use of an action, from its pre step to its post step.
type use struct {
	inputs map[string]string
	state  map[string]string // GITHUB_STATE
	posted bool

	// args and entrypoint are what the step says about a container; image is
	// the one that its programs run in, once it is ready.
	args, entrypoint, image string
}

// useOf returns the use of a step, the same each time.
func (j *jobRun) useOf(r *stepRun) *use {
	key := childPath(r.scope, r.Index)
	u := j.uses[key]
	if u == nil {
		u = &use{state: map[string]string{}}
		j.uses[key] = u
	}
	return u
}

// childPath names a step in the job.
func childPath(s *scope, index int) string {
	top := ""
	if s.path == "" {
		top = "job"
	}
	return fmt.Sprintf("%s%s/%d", s.path, top, index)
}

// maxDepth is how deep composite actions may nest, as on GitHub.
const maxDepth = 10

// useAction runs a `uses:` step.
func (j *jobRun) useAction(r *stepRun) done {
	if d, ok := j.instead(r); ok {
		return d
	}
	a, u, err := j.enter(r)
	if err != nil {
		if r.life.soft.Err() != nil {
			return done{outcome: j.ended(r)}
		}
		j.rows.errorf("%s", sentence(err))
		return done{outcome: r.invalid(err)}
	}
	switch a.meta.Runs.Using {
	case action.Composite:
		return j.composite(r, a, u)
	case builtIn:
		return j.checkOut(r, u)
	}
	j.registerPost(r, a, u)
	return j.runStage(r, a, u, stageMain)
}

// enter loads a step's action, evaluates its inputs and opens the step's rows.
func (j *jobRun) enter(r *stepRun) (*loaded, *use, error) {
	uses, err := expr.Interpolate(r.Uses, r.at("with"))
	if err != nil {
		return nil, nil, fmt.Errorf("uses of the step: %w", err)
	}
	with, err := r.with()
	if err != nil {
		return nil, nil, err
	}
	a, err := j.load(r.life.soft, uses)
	if err != nil {
		j.tellUse(r, uses, with)
		return nil, nil, err
	}
	u, warnings, err := j.bind(r, a, with)
	if err != nil {
		j.tellUse(r, uses, with)
		return nil, nil, err
	}
	j.tellUse(r, uses, merge(u.inputs, u.dockerInputs()))
	for _, w := range slices.Concat(a.warnings, warnings) {
		j.rows.warnf("%s", w)
	}
	return a, u, nil
}

// tellUse opens a step's rows: its action, the inputs that are not empty and its
// variables, folded.
func (j *jobRun) tellUse(r *stepRun, uses string, inputs map[string]string) {
	j.rows.group("Run %s", uses)
	given := maps.Clone(inputs)
	maps.DeleteFunc(given, func(_, value string) bool { return value == "" })
	j.tellMap("with", given)
	j.tellEnv(r.env)
	j.rows.endGroup()
}

// bind gives a step the context and the inputs of its action.
func (j *jobRun) bind(r *stepRun, a *loaded, with map[string]string) (u *use, warnings []string, err error) {
	r.action = actionContext{name: r.action.name, path: a.dir, ref: a.ref.Ref, repository: a.ref.Name}
	r.exprs.Values = j.values(r.scope, r.action, r.env)
	in := a.meta.Resolve(with)
	defaults := new(expr.Context)
	*defaults = *r.exprs
	defaults.Allow = workflow.Availability("action.inputs.<input_id>.default")
	defaults.Values = withoutSecrets(defaults.Values)
	for name := range in.Default {
		text, err := expr.Interpolate(in.Values[name], defaults)
		if err != nil {
			return nil, nil, fmt.Errorf("the default of the input %s of %s: %w", name, a.ref, err)
		}
		in.Values[name] = text
	}
	u = j.useOf(r)
	u.inputs = in.Values
	switch a.meta.Runs.Using {
	case action.DockerImage:
		u.takeDockerInputs(with)
	case action.WASMModule:
		u.takeArgs(with)
	}
	if k := a.ref.Kind; k == action.Docker || k == action.WASM {
		return u, nil, nil // an image or module declares no inputs
	}
	return u, in.Warnings, nil
}

// load brings an action into the sandbox and reads its metadata. Its kind is one
// that can run here.
func (j *jobRun) load(ctx context.Context, uses string) (*loaded, error) {
	ref, err := j.parseUses(uses)
	if err != nil {
		return nil, err
	}
	var a *loaded
	switch ref.Kind {
	case action.Local:
		a, err = j.loadLocal(ctx, ref)
	case action.Remote:
		if j.isBuiltIn(ref) {
			return j.checkoutAction(ref), nil
		}
		a, err = j.loadRemote(ctx, ref)
	case action.Docker:
		a = imageAction(ref)
	case action.WASM:
		a, err = j.loadModule(ctx, ref)
	default:
		return nil, fmt.Errorf("the action %s is of an unknown kind", uses)
	}
	if err != nil {
		return nil, err
	}
	if !j.canRun(a.meta.Runs.Using) {
		return nil, errors.New(j.refusal(uses, a.meta.Runs.Using))
	}
	return a, nil
}

// canRun reports whether a kind of action runs in the job's sandbox.
func (j *jobRun) canRun(using action.Using) bool {
	switch using {
	case action.Composite:
		return true
	case action.NodeJS:
		return j.info.Kind != sandbox.WASM
	case action.DockerImage:
		_, ok := j.containerRunner()
		return ok || j.info.Kind == sandbox.Host && j.opts.Containers != nil
	case action.WASMModule:
		return j.info.Kind == sandbox.WASM || j.opts.ModuleRunner != nil
	}
	return false
}

func (j *jobRun) parseUses(uses string) (action.Reference, error) {
	if a := j.actionsOf(); a != nil {
		return a.Parse(uses)
	}
	return action.Parse(uses, action.Bases{Default: j.task.String("gitea_default_actions_url")})
}

func (j *jobRun) loadRemote(ctx context.Context, ref action.Reference) (*loaded, error) {
	actions := j.actionsOf()
	if actions == nil {
		return nil, fmt.Errorf("the action %s lies in a repository, and this runner fetches none", ref)
	}
	a, err := actions.Action(ctx, ref)
	if err != nil {
		return nil, err
	}
	if a.Metadata.Runs.Using == action.DockerImage || !j.canRun(a.Metadata.Runs.Using) { // load says why
		return &loaded{ref: ref, meta: a.Metadata, fetched: a}, nil
	}
	root, err := j.sandbox.Stage(ctx, path.Join("_actions", a.Key), a.Tree)
	if err != nil {
		return nil, fmt.Errorf("bring the action %s into the sandbox: %w", ref, err)
	}
	return &loaded{ref: ref, meta: a.Metadata, fetched: a, root: root, dir: j.join(root, ref.Path)}, nil
}

func (j *jobRun) loadLocal(ctx context.Context, ref action.Reference) (*loaded, error) {
	meta, err := action.ReadLocal(func(file string) ([]byte, error) {
		return j.sandbox.ReadFile(ctx, j.join(j.info.Workspace, file), 1<<20+1)
	}, ref.Path)
	if err != nil {
		return nil, err
	}
	warnings := slices.Clip(meta.Warnings)
	if pre := programOf(&meta.Runs, stagePre); pre != "" {
		warnings = append(warnings, fmt.Sprintf("The pre step of %s (%s) is not run: an action of the workspace is not there before the job's first step. Name the action by its repository (owner/name@ref) to have it run.", ref, pre))
	}
	return &loaded{
		ref: ref, meta: meta, warnings: warnings,
		root: j.info.Workspace, dir: j.join(j.info.Workspace, ref.Path),
	}, nil
}

// inAction returns the path of a file of an action; its own path may climb out of
// the action's folder.
func (j *jobRun) inAction(a *loaded, file string) string {
	return j.join(a.root, path.Join(a.ref.Path, strings.ReplaceAll(file, `\`, "/")))
}
