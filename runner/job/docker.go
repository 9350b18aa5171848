package job

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"otelrunner/runner/action"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

const dockerScheme = "docker://"

// dockerProgram plans a run of a docker action's image, or of a `docker://` step's.
func (j *jobRun) dockerProgram(r *stepRun, a *loaded, u *use, s stage) (program, error) {
	env, args, err := j.envAndArgs(r, a, u)
	if err != nil {
		return program{}, err
	}
	runner, err := j.containersFor(r.life.soft, a)
	if err != nil {
		return program{}, err
	}
	if u.image == "" {
		if u.image, err = j.images.prepare(r.life.soft, runner, a); err != nil {
			return program{}, err
		}
	}
	own := u.ownVariables()
	for name, value := range u.dockerInputs() {
		own[action.EnvName(name)] = value
	}
	return program{
		args: args,
		env:  j.environment(merge(env, r.env), r.action, own),
		container: &containerProgram{
			runner: runner, image: u.image, entrypoint: splitArguments(entrypointOf(a, u, s)),
		},
	}, nil
}

// envAndArgs evaluates what an action of an image or a module gives its programs.
func (j *jobRun) envAndArgs(r *stepRun, a *loaded, u *use) (env map[string]string, args []string, err error) {
	values := j.exprs(r.life.hard, r.scope, inputsOnly(u), "action.runs.args")
	if env, err = evalVars(a.meta.Runs.Env, values); err != nil {
		return nil, nil, fmt.Errorf("env of %s: %w", a.ref, err)
	}
	if args, err = dockerArguments(a, u, values); err != nil {
		return nil, nil, fmt.Errorf("args of %s: %w", a.ref, err)
	}
	return env, args, nil
}

// containerProgram is what a program that runs in a container of its own has
// beside the others.
type containerProgram struct {
	runner     sandbox.Containers
	image      string
	entrypoint []string
}

// entrypointOf gives what replaces the image's entrypoint. The action's own comes
// before the step's, as on GitHub.
func entrypointOf(a *loaded, u *use, s stage) string {
	text := programOf(&a.meta.Runs, s)
	if text == "" && s == stageMain {
		return u.entrypoint
	}
	return text
}

// dockerArguments gives the arguments of all stages: the action's, one for one, or
// else the step's, split; nil leaves the image's own.
func dockerArguments(a *loaded, u *use, values *expr.Context) ([]string, error) {
	if a.meta.Runs.Args == nil {
		return splitArguments(u.args), nil
	}
	args := make([]string, len(a.meta.Runs.Args))
	for i, text := range a.meta.Runs.Args {
		var err error
		if args[i], err = expr.Interpolate(text, values); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// inputsOnly is what args and env of an action may use.
func inputsOnly(u *use) map[string]any {
	inputs := make(map[string]any, len(u.inputs))
	for name, value := range u.inputs {
		inputs[name] = value
	}
	return map[string]any{"inputs": inputs}
}

// containerRunner is the job's sandbox where it can run containers of other images.
func (j *jobRun) containerRunner() (sandbox.ContainerRunner, bool) {
	runner, ok := j.sandbox.(sandbox.ContainerRunner)
	return runner, ok
}

// containersFor are what an action's containers are run by: the job's sandbox, or
// what stands beside that of a host job, which is opened when the first step needs it.
func (j *jobRun) containersFor(ctx context.Context, a *loaded) (sandbox.Containers, error) {
	if runner, ok := j.containerRunner(); ok {
		return runner, nil
	}
	if !j.canRun(action.DockerImage) {
		return nil, errors.New(j.refusal(a.ref.String(), action.DockerImage))
	}
	if j.beside == nil {
		opened, err := j.opts.Containers.OpenContainers(ctx, j.sandbox, j.spec)
		if err != nil {
			return nil, fmt.Errorf("the action %s runs in a container, for which a host job needs a container engine: %w. "+
				"On a machine without one, run the job on a label of the kind name:docker://image of another runner, or use an action that is not made of an image", a.ref, err)
		}
		j.beside = opened
	}
	return j.beside, nil
}

// imageAction is the action of a `docker://` step.
func imageAction(ref action.Reference) *loaded {
	return &loaded{ref: ref, meta: &action.Metadata{
		File: ref.String(),
		Runs: action.Runs{Using: action.DockerImage, Image: dockerScheme + ref.Target, Env: workflow.Vars{}},
	}}
}

// refusal says why a kind of action cannot run here.
func (j *jobRun) refusal(uses string, using action.Using) string {
	switch {
	case using == action.NodeJS:
		return fmt.Sprintf("The action %s is written in JavaScript, and there is no Node.js in the WASM sandbox, which this job's label chose: "+
			"run the job on a label of the kind name:host or name:docker://image, or use an action that is a WebAssembly module (using: wasm, or uses: wasm://…) or is composed of run steps; actions/checkout is built in.", uses)
	case using == action.DockerImage && j.info.Kind == sandbox.WASM:
		return fmt.Sprintf("The action %s runs in a container, and this job's label chose the WASM sandbox, which has none: "+
			"run the job on a label of the kind name:docker://image, or use an action that is a WebAssembly module (using: wasm, or uses: wasm://…) or is composed of run steps.", uses)
	case using == action.DockerImage:
		return fmt.Sprintf("The action %s runs in a container, and this runner's operator does not let steps of host jobs start any (host.docker_actions is false): "+
			"give the job a container, or a label of the kind name:docker://image.", uses)
	}
	return fmt.Sprintf("The action %s is a WebAssembly module, and this runner has no WASM sandbox to run it in.", uses)
}

// dockerInputs are what takeDockerInputs has kept.
func (u *use) dockerInputs() map[string]string {
	in := map[string]string{}
	for _, x := range []struct{ name, value string }{{"args", u.args}, {"entrypoint", u.entrypoint}} {
		if x.value != "" {
			in[x.name] = x.value
		}
	}
	return in
}

// takeDockerInputs keeps what a step says about the container. They are inputs as
// well where the action declares them.
func (u *use) takeDockerInputs(with map[string]string) {
	u.takeArgs(with)
	for name, value := range with {
		if strings.EqualFold(name, "entrypoint") {
			u.entrypoint = value
		}
	}
}

// takeArgs keeps the arguments that a step gives to a program.
func (u *use) takeArgs(with map[string]string) {
	for name, value := range with {
		if strings.EqualFold(name, "args") {
			u.args = value
		}
	}
}
