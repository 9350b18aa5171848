package workflow

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow/expr"
)

// graph checks the jobs of a file against each other.
type graph struct {
	r     *reader
	jobs  []*Job
	needs [][]*yaml.Node
}

func (g *graph) add(j *Job, needs []*yaml.Node) {
	for _, other := range g.jobs {
		if equalFold(other.ID, j.ID) {
			g.r.errs = append(g.r.errs, Problem{File: g.r.file, Pos: j.Pos, Msg: "jobs: the job id \"" + j.ID + "\" is given twice (ids are compared without case)"})
		}
	}
	g.jobs = append(g.jobs, j)
	g.needs = append(g.needs, needs)
}

func (g *graph) find(id string) int {
	for i, j := range g.jobs {
		if equalFold(j.ID, id) {
			return i
		}
	}
	return -1
}

func (g *graph) check() {
	if g.r.payload {
		return
	}
	for i, j := range g.jobs {
		for k, need := range j.Needs {
			switch at := g.needs[i][min(k, len(g.needs[i])-1)]; {
			case equalFold(need, j.ID):
				g.r.errorf(at, "jobs.%s.needs: the job waits for itself", j.ID)
			case g.find(need) < 0:
				g.unknown(at, j, need)
			}
		}
	}
	state := make([]int, len(g.jobs)) // 0 unseen, 1 on the path, 2 done
	for i := range g.jobs {
		g.visit(i, state, nil)
	}
}

func (g *graph) unknown(at *yaml.Node, j *Job, need string) {
	var names []string
	for _, x := range g.jobs {
		if x != j {
			names = append(names, x.ID)
		}
	}
	hint := ""
	if near := expr.Nearest(need, names); near != "" {
		hint = "; did you mean \"" + near + "\"?"
	}
	g.r.errorf(at, "jobs.%s.needs: there is no job %q%s", j.ID, need, hint)
}

// visit walks the needs depth first; each cycle is reported once, at the job
// that closes it.
func (g *graph) visit(i int, state []int, path []string) {
	if state[i] != 0 {
		return
	}
	state[i] = 1
	j := g.jobs[i]
	path = append(path, j.ID)
	for k, need := range j.Needs {
		n := g.find(need)
		if n < 0 || n == i {
			continue
		}
		if state[n] == 1 {
			from := 0
			for p, id := range path {
				if equalFold(id, g.jobs[n].ID) {
					from = p
				}
			}
			g.r.errorf(g.needs[i][min(k, len(g.needs[i])-1)], "jobs.%s.needs: the jobs wait for each other: %s",
				j.ID, strings.Join(append(path[from:len(path):len(path)], g.jobs[n].ID), " → "))
			continue
		}
		g.visit(n, state, path)
	}
	state[i] = 2
}
