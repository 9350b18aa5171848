package job

import (
	"fmt"
	"strings"

	"otelrunner/runner/action"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// post is the end of an action that has one: it runs after all steps, the last
// registered first.
type post struct {
	r *stepRun
	a *loaded
	u *use
}

// registerPost sees to it that an action's post step runs, once, when its pre or
// main step begins.
func (j *jobRun) registerPost(r *stepRun, a *loaded, u *use) {
	if u.posted || programOf(&a.meta.Runs, stagePost) == "" {
		return
	}
	u.posted = true
	j.state.posts = append(j.state.posts, &post{r: r, a: a, u: u})
}

// runPosts runs the post steps. Their rows follow the last step's.
func (j *jobRun) runPosts() {
	for i := len(j.state.posts) - 1; i >= 0; i-- {
		if j.life.hard.Err() != nil {
			return
		}
		p := j.state.posts[i]
		j.outside(p.r, p.a.meta.Runs.PostIf, "Post", func(r *stepRun) done {
			return j.runStage(r, p.a, p.u, stagePost)
		})
	}
}

// runPres runs the pre steps of the actions that the job's steps name, those
// within composite actions too. They run before the first step, so that an
// action of the workspace has none, as on GitHub.
func (j *jobRun) runPres() error {
	for _, st := range j.job.Steps {
		s := *j.scope
		s.top = st.Index
		if err := j.pre(&s, st); err != nil {
			return err
		}
		j.scope.failed = j.scope.failed || s.failed
	}
	return nil
}

// pre runs the pre step of the action that a step names, if it has one.
func (j *jobRun) pre(s *scope, st *workflow.Step) error {
	if st.Uses == "" || expr.HasExpression(st.Uses) || s.depth > maxDepth || j.takenOver(st.Uses) {
		return nil
	}
	ref, err := j.parseUses(st.Uses)
	if err != nil {
		return err
	}
	if ref.Kind != action.Remote || j.actionsOf() == nil || j.isBuiltIn(ref) {
		return nil
	}
	found, err := j.actionsOf().Action(s.life.soft, ref)
	if err != nil {
		return err
	}
	if !j.hasPre(found, s.depth) {
		return nil
	}
	a, err := j.load(s.life.soft, st.Uses)
	if err != nil {
		return err
	}
	return j.preOf(s, st, a)
}

// hasPre reports whether an action has a pre step, or uses one that has.
func (j *jobRun) hasPre(a *action.Action, depth int) bool {
	runs := &a.Metadata.Runs
	if !j.canRun(runs.Using) {
		return false // the step says so, if it runs
	}
	if programOf(runs, stagePre) != "" {
		return true
	}
	if runs.Using != action.Composite || depth >= maxDepth {
		return false
	}
	for _, st := range runs.Steps {
		ref, err := j.parseUses(st.Uses)
		if st.Uses == "" || err != nil || ref.Kind != action.Remote || j.isBuiltIn(ref) {
			continue
		}
		if inner, err := j.actionsOf().Action(j.life.soft, ref); err == nil && j.hasPre(inner, depth+1) {
			return true
		}
	}
	return false
}

func (j *jobRun) preOf(s *scope, st *workflow.Step, a *loaded) error {
	r := &stepRun{Step: st, scope: s, life: s.life}
	r.action.name = stepName(st)
	outer := merge(j.state.env, s.env)
	r.exprs = j.exprs(s.life.hard, s, j.values(s, r.action, outer), "")
	var err error
	if r.own, err = evalVars(st.Env, r.at("env")); err != nil {
		return fmt.Errorf("env of the step: %w", err)
	}
	r.env = merge(outer, r.own)
	with, err := r.with()
	if err != nil {
		return err
	}
	u, _, err := j.bind(r, a, with)
	if err != nil {
		return err
	}
	if a.meta.Runs.Using == action.Composite {
		inner := j.innerScope(r, u)
		for _, st := range a.meta.Runs.Steps {
			if err := j.pre(inner, st); err != nil {
				return err
			}
		}
		s.failed = s.failed || inner.failed
		return nil
	}
	res := j.outside(r, a.meta.Runs.PreIf, "Pre", func(r *stepRun) done {
		j.registerPost(r, a, u)
		return j.runStage(r, a, u, stagePre)
	})
	if res == task.Failure {
		s.failed = true
	}
	return nil
}

// outside runs a pre or post step: its status functions are about the job, and
// an empty condition is always(). It returns the step's outcome.
func (j *jobRun) outside(of *stepRun, cond, what string, run func(*stepRun) done) task.Result {
	view := *of.scope
	view.life, view.failed = j.life, j.scope.failed
	r := *of
	r.scope, r.timeout = &view, 0
	r.env = merge(j.state.env, merge(view.env, r.own))
	r.exprs = j.exprs(j.life.hard, &view, j.values(&view, r.action, r.env), "action.runs.post-if")
	if cond == "" {
		cond = "always()"
	}
	ok, err := expr.Condition(cond, r.exprs)
	if err != nil {
		j.rows.errorf("The condition of the %s step of %s cannot be evaluated: %v", what, r.Uses, err)
		j.scope.failed = true
		return task.Failure
	}
	if !ok {
		return task.Skipped
	}
	var release func()
	r.life, release = j.life.step(survives(cond, r.exprs), 0)
	defer release()
	j.rows.group("%s %s", what, j.title(&r))
	j.tellEnv(r.env)
	j.rows.endGroup()
	end := j.startStep(&r, what+" "+j.title(&r), "/"+strings.ToLower(what))
	d := func() (d done) {
		defer j.recovered(&r, &d)
		return run(&r)
	}()
	end(d.outcome)
	if d.outcome == task.Failure {
		j.scope.failed = true
		j.blameStep(&view, &r)
	}
	return d.outcome
}

// title is what a step is called in the log.
func (j *jobRun) title(r *stepRun) string {
	title := r.Title()
	if text, err := expr.Interpolate(title, r.at("name")); err == nil {
		return text
	}
	return title
}
