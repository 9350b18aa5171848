package job

import (
	"errors"
	"fmt"
	"strings"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

// script runs a `run:` step.
func (j *jobRun) script(r *stepRun) done {
	p, shown, err := j.planScript(r)
	if shown != nil {
		j.tellScript(r, shown, p.dir)
	}
	if err != nil {
		if r.life.soft.Err() != nil {
			return done{outcome: j.ended(r)}
		}
		j.rows.errorf("%s", sentence(err))
		return done{outcome: r.invalid(err)}
	}
	p.env = j.environment(r.env, r.action, nil)
	p.path = j.state.path
	exit, fx, err := j.run(r.life, p)
	return j.finish(r, exit, &fx, err)
}

// shownScript is a script as the log shows it.
type shownScript struct{ text, shell string }

// planScript evaluates a script and finds its shell. shown is nil when there is
// nothing to be shown yet.
func (j *jobRun) planScript(r *stepRun) (p program, shown *shownScript, err error) {
	text, err := expr.Interpolate(r.Run, r.at("run"))
	if err != nil {
		return p, nil, fmt.Errorf("run of the step cannot be evaluated: %w", err)
	}
	shown = &shownScript{text: text}
	wanted, dir, err := j.shellAndDir(r)
	if err != nil {
		return p, shown, err
	}
	p.dir = j.join(j.info.Workspace, dir)
	sh, err := j.findShell(r, wanted)
	if err != nil {
		return p, shown, err
	}
	shown.shell = sh.String()
	file := j.join(j.info.Temp, fmt.Sprintf("script_%d%s", j.programs+1, sh.ext))
	p.args = sh.command(file)
	p.files = []sandbox.File{{Path: file, Data: sh.script(text), Mode: 0o755}}
	p.remove = []string{file}
	return p, shown, nil
}

// shellAndDir evaluates a step's shell and working directory; the defaults are
// for the steps of a job alone, and the job's come before the workflow's.
func (j *jobRun) shellAndDir(r *stepRun) (sh, dir string, err error) {
	levels := []workflow.Defaults{{Shell: r.Shell, WorkingDirectory: r.WorkingDirectory}}
	if r.scope.path == "" {
		levels = append(levels, j.job.Defaults, j.wf.Defaults)
	}
	pick := func(what string, of func(workflow.Defaults) string) string {
		for _, l := range levels {
			if text := of(l); text != "" {
				text, evalErr := expr.Interpolate(text, r.at(what))
				if evalErr != nil && err == nil {
					err = fmt.Errorf("%s of the step: %w", what, evalErr)
				}
				return text
			}
		}
		return ""
	}
	sh = pick("shell", func(d workflow.Defaults) string { return d.Shell })
	dir = pick("working-directory", func(d workflow.Defaults) string { return d.WorkingDirectory })
	return sh, dir, err
}

// findShell returns the shell with its program's whole path.
func (j *jobRun) findShell(r *stepRun, wanted string) (shell, error) {
	if strings.TrimSpace(wanted) != "" {
		sh, err := namedShell(wanted)
		if err != nil {
			return shell{}, err
		}
		return j.locate(r, sh)
	}
	var last error
	for _, sh := range defaultShells(j.info.OS) {
		found, err := j.locate(r, sh)
		if err == nil {
			return found, nil
		}
		last = err
	}
	return shell{}, last
}

// locate puts the whole path of a shell's program into it. Where a script asks
// for python and only python3 is there, that is it.
func (j *jobRun) locate(r *stepRun, sh shell) (shell, error) {
	name := sh.args[0]
	found, err := j.lookPath(r.life.soft, name)
	var missing *sandbox.NotFoundError
	if name == "python" && errors.As(err, &missing) {
		if python3, err3 := j.lookPath(r.life.soft, "python3"); err3 == nil {
			found, err = python3, nil
		}
	}
	if err != nil {
		return shell{}, fmt.Errorf("the step's shell: %w", err)
	}
	sh.args = append([]string{found}, sh.args[1:]...)
	return sh, nil
}

// tellScript opens a step's rows as GitHub does: its script, its shell and its
// variables, folded.
func (j *jobRun) tellScript(r *stepRun, s *shownScript, dir string) {
	text := strings.TrimRight(s.text, "\r\n")
	first, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n")
	j.rows.group("Run %s", first)
	for line := range strings.SplitSeq(text, "\n") {
		j.rows.printf("\x1b[36;1m%s\x1b[0m", strings.TrimSuffix(line, "\r"))
	}
	if s.shell != "" {
		j.rows.printf("shell: %s", s.shell)
	}
	if dir != "" && dir != j.info.Workspace {
		j.rows.printf("working-directory: %s", dir)
	}
	j.tellEnv(r.env)
	j.rows.endGroup()
}
