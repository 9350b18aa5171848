package job

import (
	"maps"
	"slices"
	"strings"

	"otelrunner/otel/observe"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow/expr"
)

// state is what the steps of a job have changed so far. Steps do not write it:
// they give effects, and apply takes those over.
type state struct {
	env      map[string]string // the workflow's and the job's, then GITHUB_ENV
	path     []string          // first entry first
	matchers matchers
	posts    []*post
	summary  map[int][]byte // by the workflow's step
}

// apply takes over what a program wanted to change for the steps after it.
func (s *state) apply(fx *effects) {
	for _, p := range fx.env {
		s.env[p.name] = p.value
	}
	for _, dir := range fx.path {
		s.path = slices.DeleteFunc(s.path, func(d string) bool { return d == dir })
		s.path = slices.Insert(s.path, 0, dir)
	}
}

// scope is a list of steps that run one after the other and see one another: a
// job's, or a composite action's.
type scope struct {
	life life
	// top is the workflow's step in which this happens; -1 outside of one.
	top int
	// path names the scope in the job: "" is the job's own.
	path string
	// depth counts the composite actions around.
	depth int

	// inputs is the inputs context.
	inputs any
	// env is what the steps around have set, over the job's.
	env map[string]string
	// action is what github.action_path and its like say, unless a step's
	// own action says otherwise.
	action actionContext

	// steps is the steps context, and names counts what github.action was.
	steps  *expr.Object // in the order in which they have run
	names  map[string]int
	failed bool
	fault  *observe.End // what made it fail, the first thing
}

// status is what success() and failure() are about.
func (s *scope) status() task.Result {
	switch {
	case s.life.stopped():
		return task.Cancelled
	case s.failed:
		return task.Failure
	}
	return task.Success
}

// record puts a step into the steps context.
func (s *scope) record(id string, outputs []pair, outcome, conclusion task.Result) {
	if id == "" {
		return
	}
	values := expr.NewObject()
	for _, p := range outputs {
		values.Set(p.name, p.value)
	}
	s.steps.Set(id, expr.NewObject("outputs", values, "outcome", string(outcome), "conclusion", string(conclusion)))
}

// unique returns what github.action is for a step that is called name: the
// second one of a name gets _2.
func (s *scope) unique(name string) string {
	s.names[name]++
	if n := s.names[name]; n > 1 {
		return name + "_" + expr.Text(float64(n))
	}
	return name
}

// actionContext is what a step sees of the action that it belongs to.
type actionContext struct {
	name       string // github.action
	path       string
	ref        string
	repository string
}

// merge returns a map with the entries of both; b wins. Neither is changed.
func merge(a, b map[string]string) map[string]string {
	if len(b) == 0 {
		return a
	}
	m := make(map[string]string, len(a)+len(b))
	maps.Copy(m, a)
	maps.Copy(m, b)
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// identifier turns a text into what may stand in github.action.
func identifier(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '_'
	}, text)
}
