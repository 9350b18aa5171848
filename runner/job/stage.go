package job

import (
	"otelrunner/runner/action"
)

// stage is when a program of an action runs.
type stage int

const (
	stagePre stage = iota
	stageMain
	stagePost
)

// programOf is what an action runs at a stage: a file of a JavaScript or WebAssembly action, the
// entrypoint of a docker one. "" is nothing, but for the main stage of a docker
// action, whose image has an entrypoint of its own.
func programOf(r *action.Runs, s stage) string {
	switch r.Using {
	case action.NodeJS, action.WASMModule:
		return [...]string{stagePre: r.Pre, stageMain: r.Main, stagePost: r.Post}[s]
	case action.DockerImage:
		return [...]string{stagePre: r.PreEntrypoint, stageMain: r.Entrypoint, stagePost: r.PostEntrypoint}[s]
	}
	return ""
}

// runStage runs one program of an action.
func (j *jobRun) runStage(r *stepRun, a *loaded, u *use, s stage) done {
	plan := j.nodeProgram
	switch a.meta.Runs.Using {
	case action.DockerImage:
		plan = j.dockerProgram
	case action.WASMModule:
		plan = j.moduleProgram
	}
	p, err := plan(r, a, u, s)
	if err != nil {
		if r.life.soft.Err() != nil {
			return done{outcome: j.ended(r)}
		}
		j.rows.errorf("%s", sentence(err))
		return done{outcome: r.invalid(err)}
	}
	exit, fx, err := j.run(r.life, p)
	for _, p := range fx.state {
		u.state[p.name] = p.value
	}
	return j.finish(r, exit, &fx, err)
}

// ownVariables are the variables that an action's programs get beside those of
// its step: its inputs, and what it has saved with GITHUB_STATE.
func (u *use) ownVariables() map[string]string {
	own := make(map[string]string, len(u.inputs)+len(u.state)+2)
	for name, value := range u.inputs {
		own[action.EnvName(name)] = value
	}
	for name, value := range u.state {
		own["STATE_"+name] = value
	}
	return own
}
