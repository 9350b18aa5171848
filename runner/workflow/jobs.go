package workflow

import (
	"fmt"
	"regexp"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow/expr"
)

// identifier is what the ids of jobs, steps and services may be.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,99}$`)

func (r *reader) identifier(n *yaml.Node, path, what, id string) {
	if !identifier.MatchString(id) && !expr.HasExpression(id) {
		r.errorf(n, "%s: %s %q is not allowed: expected a letter or _, then letters, digits, - or _, at most 100 in all", path, what, id)
	}
}

func (r *reader) jobs(n *yaml.Node) []*Job {
	entries := r.mapping(n, "jobs")
	if len(entries) == 0 {
		r.errorf(n, "jobs: the workflow has no jobs")
	}
	g := &graph{r: r}
	for _, e := range entries {
		g.add(r.job(e))
	}
	g.check()
	return g.jobs
}

// job reads one job; its needs come with their nodes, for messages.
func (r *reader) job(e entry) (*Job, []*yaml.Node) {
	const key = "jobs.<job_id>."
	j := &Job{ID: e.key, Pos: posOf(e.at)}
	path := "jobs." + e.key
	r.identifier(e.at, path, "the job's id", e.key)
	if d := r.deref(e.val); !isNull(d) && d.Kind != yaml.MappingNode {
		r.errorf(e.val, "%s: expected a job (a mapping with runs-on and steps), found %s", path, describe(d))
		return j, nil
	}
	var needs []*yaml.Node
	var hasSteps, hasUses bool
	r.read(e.val, path, fields{
		"name":     r.into(&j.Name, key+"name"),
		"if":       r.condition(&j.If, &j.IfPos, key+"if"),
		"needs":    func(n *yaml.Node, p string) { j.Needs, needs = r.texts(n, p), r.items(n) },
		"runs-on":  func(n *yaml.Node, p string) { j.RunsOn = r.runsOn(n, p) },
		"env":      r.vars(&j.Env, key+"env"),
		"defaults": r.defaults(&j.Defaults, key+"defaults.run"),
		"steps": func(n *yaml.Node, p string) {
			hasSteps = true
			j.Steps = r.steps(n, p)
		},
		"container":         func(n *yaml.Node, p string) { j.Container = r.container(n, p, key+"container") },
		"services":          func(n *yaml.Node, p string) { j.Services = r.services(n, p) },
		"strategy":          func(n *yaml.Node, p string) { j.Strategy = r.strategy(n, p) },
		"outputs":           func(n *yaml.Node, p string) { j.Outputs = r.varList(n, p, key+"outputs.<output_id>") },
		"timeout-minutes":   r.number(&j.TimeoutMinutes, key+"timeout-minutes"),
		"continue-on-error": r.boolean(&j.ContinueOnError, key+"continue-on-error"),
		"permissions":       func(n *yaml.Node, p string) { j.Permissions = r.permissions(n, p) },
		"concurrency":       func(n *yaml.Node, p string) { j.Concurrency = r.concurrency(n, p, key+"concurrency") },
		"environment":       func(n *yaml.Node, p string) { j.Environment = r.environment(n, p) },
		"uses": func(n *yaml.Node, p string) {
			hasUses = true
			r.into(&j.Uses, key+"uses")(n, p)
		},
		"with":    r.vars(&j.With, key+"with.<with_id>"),
		"secrets": func(n *yaml.Node, p string) { r.secrets(j, n, p) },
	})
	r.jobShape(e, j, path, hasSteps, hasUses)
	return j, needs
}

// jobShape checks what belongs together in a job.
func (r *reader) jobShape(e entry, j *Job, path string, hasSteps, hasUses bool) {
	switch {
	case hasSteps && hasUses:
		r.errorf(e.at, "%s: a job has either steps or uses (a reusable workflow), this one has both", path)
	case !hasSteps && !hasUses:
		r.errorf(e.at, "%s: the job has nothing to do: expected steps, or uses with a reusable workflow", path)
	case hasUses && j.Uses == "":
		r.errorf(e.at, "%s.uses: expected a reusable workflow (./.gitea/workflows/file.yml or owner/repo/path@ref), found nothing", path)
	case hasSteps && j.RunsOn.IsZero() && !r.payload:
		r.errorf(e.at, "%s: the key \"runs-on\" is missing", path)
	case hasSteps && (!j.With.IsZero() || !j.Secrets.IsZero() || j.SecretsInherit):
		r.warnf(e.at, "%s: with and secrets are ignored: they belong to a job with uses, or to a step", path)
	}
}

// items gives the nodes of a list, or the one scalar.
func (r *reader) items(n *yaml.Node) []*yaml.Node {
	d := r.deref(n)
	if d != nil && d.Kind == yaml.SequenceNode {
		return d.Content
	}
	return []*yaml.Node{n}
}

func (r *reader) runsOn(n *yaml.Node, path string) RunsOn {
	const key = "jobs.<job_id>.runs-on"
	on := RunsOn{Pos: posOf(n)}
	d := r.deref(n)
	switch {
	case isNull(d):
		return on
	case d.Kind == yaml.MappingNode:
		r.read(n, path, fields{
			"group":  r.into(&on.Group, key),
			"labels": func(n *yaml.Node, p string) { on.Labels = r.labels(n, p, key) },
		})
		return on
	case d.Kind == yaml.ScalarNode:
		if _, whole := expr.Whole(d.Value); whole {
			on.Expr = d.Value
			r.check(n, path, key)
			return on
		}
	}
	on.Labels = r.labels(n, path, key)
	return on
}

func (r *reader) labels(n *yaml.Node, path, key string) []string {
	for _, c := range r.items(n) {
		r.check(c, path, key)
	}
	return r.texts(n, path)
}

func (r *reader) environment(n *yaml.Node, path string) *Environment {
	e := &Environment{}
	if d := r.deref(n); d != nil && d.Kind == yaml.ScalarNode {
		r.into(&e.Name, "jobs.<job_id>.environment")(n, path)
		return e
	}
	r.read(n, path, fields{
		"name":       r.into(&e.Name, "jobs.<job_id>.environment"),
		"url":        r.into(&e.URL, "jobs.<job_id>.environment.url"),
		"deployment": func(*yaml.Node, string) {},
	})
	return e
}

func (r *reader) secrets(j *Job, n *yaml.Node, path string) {
	if d := r.deref(n); d != nil && d.Kind == yaml.ScalarNode && !isNull(d) {
		if d.Value != "inherit" {
			r.errorf(n, "%s: expected inherit or a mapping of secrets, found %s", path, describe(d))
		}
		j.SecretsInherit = d.Value == "inherit"
		return
	}
	r.vars(&j.Secrets, "jobs.<job_id>.secrets.<secrets_id>")(n, path)
}

func (r *reader) steps(n *yaml.Node, path string) []*Step {
	d := r.deref(n)
	if isNull(d) || d.Kind == yaml.SequenceNode && len(d.Content) == 0 {
		r.errorf(n, "%s: expected at least one step, found none", path)
		return nil
	}
	if d.Kind != yaml.SequenceNode {
		r.errorf(n, "%s: expected a list of steps, found %s", path, describe(d))
		return nil
	}
	list := make([]*Step, 0, len(d.Content))
	ids := make(map[string]Pos)
	for i, c := range d.Content {
		s := r.step(c, i, fmt.Sprintf("%s[%d]", path, i))
		if s == nil {
			continue
		}
		if s.ID != "" {
			if first, dup := ids[lower(s.ID)]; dup {
				r.errorf(c, "%s[%d]: the step id %q is given twice; the first is in line %d", path, i, s.ID, first.Line)
			} else {
				ids[lower(s.ID)] = s.Pos
			}
		}
		list = append(list, s)
	}
	return list
}

func (r *reader) step(n *yaml.Node, i int, path string) *Step {
	if d := r.deref(n); isNull(d) || d.Kind != yaml.MappingNode {
		r.errorf(n, "%s: expected a step with run or uses, found %s", path, describe(d))
		return nil
	}
	const key = "jobs.<job_id>.steps."
	s := &Step{Index: i, Pos: posOf(n)}
	var hasUses bool
	r.read(n, path, fields{
		"id":   func(n *yaml.Node, p string) { s.ID = r.text(n, p); r.identifier(n, p, "the step's id", s.ID) },
		"name": r.into(&s.Name, key+"name"),
		"if":   r.condition(&s.If, &s.IfPos, key+"if"),
		"run": func(n *yaml.Node, p string) {
			s.IsRun = true
			r.into(&s.Run, key+"run")(n, p)
		},
		"uses": func(n *yaml.Node, p string) {
			hasUses = true
			r.into(&s.Uses, key+"uses")(n, p)
		},
		"with":              r.vars(&s.With, key+"with"),
		"env":               r.vars(&s.Env, key+"env"),
		"shell":             r.into(&s.Shell, key+"shell"),
		"working-directory": r.into(&s.WorkingDirectory, key+"working-directory"),
		"continue-on-error": r.boolean(&s.ContinueOnError, key+"continue-on-error"),
		"timeout-minutes":   r.number(&s.TimeoutMinutes, key+"timeout-minutes"),
	})
	switch {
	case s.IsRun && hasUses:
		r.errorf(n, "%s: a step has either run or uses, this one has both", path)
	case !s.IsRun && !hasUses:
		r.errorf(n, "%s: the step has nothing to do: expected run or uses", path)
	case hasUses && s.Uses == "":
		r.errorf(n, "%s.uses: expected an action (owner/repo@ref, ./path or docker://image), found nothing", path)
	case s.IsRun && !s.With.IsZero():
		r.warnf(n, "%s: with is ignored in a step with run", path)
	case hasUses && (s.Shell != "" || s.WorkingDirectory != ""):
		r.warnf(n, "%s: shell and working-directory are ignored in a step with uses", path)
	}
	return s
}
