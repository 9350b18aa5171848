package job

import (
	"context"
	"errors"
	"fmt"

	"otelrunner/runner/action"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
)

// node runs one program of a JavaScript action: its main, pre or post.
func (j *jobRun) node(r *stepRun, a *loaded, u *use, file string) done {
	program, err := j.nodeProgram(r, a, u, file)
	if err != nil {
		if r.life.soft.Err() != nil {
			return done{outcome: j.ended(r)}
		}
		j.rows.errorf("%s", sentence(err))
		return done{outcome: task.Failure}
	}
	exit, fx, err := j.run(r.life, program)
	for _, p := range fx.state {
		u.state[p.name] = p.value
	}
	return j.finish(r, exit, &fx, err)
}

func (j *jobRun) nodeProgram(r *stepRun, a *loaded, u *use, file string) (program, error) {
	node, err := j.findNode(r.life.soft, a)
	if err != nil {
		return program{}, err
	}
	own := make(map[string]string, len(u.inputs)+len(u.state))
	for name, value := range u.inputs {
		own[action.EnvName(name)] = value
	}
	for name, value := range u.state {
		own["STATE_"+name] = value
	}
	return program{
		args: []string{node, j.inAction(a, file)},
		env:  j.environment(r.env, r.action, own),
		path: j.state.path,
	}, nil
}

// findNode finds the Node.js that runs an action: the operator's where steps are
// processes of this machine, else the sandbox's.
func (j *jobRun) findNode(ctx context.Context, a *loaded) (string, error) {
	if j.opts.NodePath != "" && j.info.Kind == sandbox.Host {
		return j.opts.NodePath, nil
	}
	found, err := j.lookPath(ctx, "node")
	var missing *sandbox.NotFoundError
	if errors.As(err, &missing) {
		return "", fmt.Errorf("the action %s is written in JavaScript and needs Node.js %d, but there is no program node in this sandbox: "+
			"use an image that has it, or install it where the sandbox's PATH finds it", a.ref, a.meta.Runs.Node)
	}
	return found, err
}
