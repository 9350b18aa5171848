package job

import (
	"context"
	"errors"
	"fmt"

	"otelrunner/sandbox"
)

// nodeProgram plans one program of a JavaScript action: its main, pre or post.
func (j *jobRun) nodeProgram(r *stepRun, a *loaded, u *use, s stage) (program, error) {
	node, err := j.findNode(r.life.soft, a)
	if err != nil {
		return program{}, err
	}
	return program{
		args: []string{node, j.inAction(a, programOf(&a.meta.Runs, s))},
		env:  j.environment(r.env, r.action, u.ownVariables()),
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
