package runner

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// A flow is one run of a workflow file: of the one that Exec was given, or of
// one that a job calls.
type flow struct {
	file    *workflowFile
	event   string         // github.event_name
	given   map[string]any // github.event.inputs
	inputs  map[string]any // typed
	secrets map[string]string
	jobs    []*flowJob // each after those that it needs

	by    *leg   // the call; nil at the top
	title string // what stands before the names of the jobs
	depth int    // 1 at the top
}

// flowJob is a job of a flow.
type flowJob struct {
	*workflow.Job
	flow  *flow
	needs []*flowJob

	legs        []*leg // once it is decided that it runs
	failFast    bool
	maxParallel int // 0: no bound

	result  task.Result // once it has ended
	outputs map[string]string
}

// A leg is one combination of a job's matrix, or the job where there is none.
type leg struct {
	job   *flowJob
	index int
	combo workflow.Combination
	name  string
	call  *flow // of a job that calls a workflow, while it runs

	running bool
	began   time.Time
	cancel  chan struct{} // closed to cancel it alone
	doomed  bool          // cancel is closed, or would be
	result  task.Result
	outputs map[string]string
}

// newFlow prepares the jobs of a file.
func newFlow(f *workflowFile, jobs []*workflow.Job) *flow {
	fl := &flow{file: f, depth: 1}
	for _, j := range jobs {
		fj := &flowJob{Job: j, flow: fl, outputs: map[string]string{}}
		for _, id := range j.Needs {
			if need := fl.job(id); need != nil && !slices.Contains(fj.needs, need) {
				fj.needs = append(fj.needs, need)
			}
		}
		fl.jobs = append(fl.jobs, fj)
	}
	return fl
}

func (f *flow) job(id string) *flowJob {
	for _, j := range f.jobs {
		if strings.EqualFold(j.ID, id) {
			return j
		}
	}
	return nil
}

// result is the worst of the jobs', or none while one has not ended.
func (f *flow) result() task.Result {
	worst := task.Skipped
	for _, j := range f.jobs {
		if !j.result.Final() {
			return task.Unspecified
		}
		worst = worse(worst, j.result)
	}
	return worst
}

// worse is the result of two jobs taken together; a skipped one is no fault.
func worse(a, b task.Result) task.Result {
	rank := map[task.Result]int{task.Skipped: 0, task.Success: 1, task.Cancelled: 2, task.Failure: 3}
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// ready reports whether all jobs that j needs have ended.
func (j *flowJob) ready() bool {
	return !slices.ContainsFunc(j.needs, func(n *flowJob) bool { return !n.result.Final() })
}

// needed are the results of the jobs that j needs.
func (j *flowJob) needed() map[string]task.Need {
	needs := map[string]task.Need{}
	for _, n := range j.needs {
		needs[n.ID] = task.Need{Result: n.result, Outputs: n.outputs}
	}
	return needs
}

// values are the contexts of a job before it runs.
func (x *execution) values(j *flowJob) map[string]any {
	needs := map[string]any{}
	for id, n := range j.needed() {
		needs[id] = map[string]any{"result": string(n.Result), "outputs": n.Outputs}
	}
	github := x.plan.github(j.flow, j.ID)
	return map[string]any{
		"github": github, "gitea": github, "needs": needs, "vars": x.Vars, "inputs": j.flow.inputs,
	}
}

// decide evaluates the job's `if`; why says what keeps it from running.
//
// As on GitHub, success() is about the jobs that it needs, and failure() about
// those that they need, too.
func (x *execution) decide(j *flowJob) (run bool, why string, err error) {
	is := func(r task.Result) func() bool {
		return func() bool {
			return slices.ContainsFunc(j.needs, func(n *flowJob) bool { return n.result == r })
		}
	}
	success := func() bool {
		return !slices.ContainsFunc(j.needs, func(n *flowJob) bool { return n.result != task.Success })
	}
	c := &expr.Context{
		Values: x.values(j), Allow: workflow.Availability("jobs.<job_id>.if"),
		Success: success, Failure: func() bool { return anyFailed(j.needs) }, Cancelled: is(task.Cancelled),
	}
	if run, err = expr.Condition(j.If, c); err != nil {
		return false, "", fmt.Errorf("%s:%d: its `if` cannot be evaluated: %w", j.flow.file.name, max(j.IfPos.Line, j.Pos.Line), err)
	}
	if run {
		return true, "", nil
	}
	if c.Success = func() bool { return true }; !success() {
		if run, err := expr.Condition(j.If, c); run && err == nil {
			return false, "of its needs, " + enumerate(unsuccessful(j.needs)), nil
		}
	}
	return false, "its condition does not hold: " + strings.TrimSpace(j.If), nil
}

// anyFailed reports whether one of the jobs has failed, or one that it needs.
func anyFailed(jobs []*flowJob) bool {
	return slices.ContainsFunc(jobs, func(j *flowJob) bool { return j.result == task.Failure || anyFailed(j.needs) })
}

// unsuccessful says which of the jobs did not succeed.
func unsuccessful(jobs []*flowJob) (list []string) {
	verbs := map[task.Result]string{task.Failure: " failed", task.Cancelled: " was cancelled", task.Skipped: " was skipped"}
	for _, j := range jobs {
		if verb := verbs[j.result]; verb != "" {
			list = append(list, j.ID+verb)
		}
	}
	return list
}

func enumerate(list []string) string {
	if n := len(list) - 1; n > 0 {
		return strings.Join(list[:n], ", ") + " and " + list[n]
	}
	return strings.Join(list, "")
}

// split makes the legs of a job that runs.
func (x *execution) split(j *flowJob) error {
	combinations := []workflow.Combination{{}}
	if s := j.Strategy; s != nil {
		c := &expr.Context{Values: x.values(j), Allow: workflow.Availability("jobs.<job_id>.strategy")}
		var err error
		if combinations, err = s.Matrix.Expand(func(text string) (any, error) { return expr.EvalText(text, c) }); err != nil {
			return x.at(j, fmt.Errorf("strategy: %w", err))
		}
		if err := j.strategy(c); err != nil {
			return x.at(j, err)
		}
	}
	for i := range combinations {
		l := &leg{job: j, index: i, combo: combinations[i], cancel: make(chan struct{}), outputs: map[string]string{}}
		j.legs = append(j.legs, l)
	}
	for _, l := range j.legs {
		l.name = j.flow.title + x.name(l)
	}
	return nil
}

// at puts the place of a job before an error.
func (x *execution) at(j *flowJob, err error) error {
	return fmt.Errorf("%s:%d: %w", j.flow.file.name, j.Pos.Line, err)
}

// strategy reads fail-fast, which is true unless the workflow says otherwise,
// and max-parallel.
func (j *flowJob) strategy(c *expr.Context) error {
	text, err := expr.Interpolate(j.Strategy.FailFast, c)
	if err != nil {
		return fmt.Errorf("strategy.fail-fast: %w", err)
	}
	j.failFast = !strings.EqualFold(strings.TrimSpace(text), "false")
	if j.Strategy.MaxParallel == "" {
		return nil
	}
	v, err := expr.EvalText(j.Strategy.MaxParallel, c)
	if err != nil {
		return fmt.Errorf("strategy.max-parallel: %w", err)
	}
	n := expr.Number(v)
	if !(n >= 1) {
		return fmt.Errorf("strategy.max-parallel: expected a number of 1 or more, found %q", expr.Text(v))
	}
	j.maxParallel = int(min(n, workflow.MaxCombinations))
	return nil
}

// withMatrix are the contexts of a leg before it runs.
func (x *execution) withMatrix(l *leg) map[string]any {
	values := x.values(l.job)
	if l.combo.Values != nil {
		values["matrix"] = l.combo.Values
	}
	place := l.place()
	values["strategy"] = map[string]any{
		"fail-fast": l.job.failFast, "max-parallel": float64(place.MaxParallel), "job-index": float64(place.Index), "job-total": float64(place.Total),
	}
	return values
}

// place is where a leg stands among those of its job. Without a max-parallel,
// all of them may run at the same time, as on GitHub.
func (l *leg) place() task.Strategy {
	total := max(1, len(l.job.legs))
	bound := l.job.maxParallel
	if bound == 0 {
		bound = total
	}
	return task.Strategy{Index: l.index, Total: total, MaxParallel: bound}
}

// name is what a leg is called.
func (x *execution) name(l *leg) string {
	text, err := expr.Interpolate(l.job.Name, &expr.Context{Values: x.withMatrix(l)})
	if err != nil {
		text = l.job.Name
	}
	return l.job.DisplayName(text, l.combo)
}

// titles are what the steps are called, as far as it is known before they run.
func (x *execution) titles(l *leg) []string {
	values := &expr.Context{Values: x.withMatrix(l)}
	titles := make([]string, len(l.job.Steps))
	for i, s := range l.job.Steps {
		title := s.Title()
		if text, err := expr.Interpolate(title, values); err == nil {
			title = text
		}
		titles[i], _, _ = strings.Cut(title, "\n") // a value may have more lines
	}
	return titles
}
