package runner

import (
	"strings"
	"time"

	"otelrunner/runner/job"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow/expr"
)

// execution is one run of Exec. Everything but the legs that run belongs to one
// goroutine, which starts them and takes their ends.
type execution struct {
	ExecOptions
	plan   *execPlan
	engine engine
	stop   *shutdown
	labels label.List
	screen *screen

	tasks   int64
	running int
	ended   chan legEnd
	trace   *execTrace
	totals  []jobTotal
}

// legEnd says that a leg has ended.
type legEnd struct {
	leg    *leg
	result task.Result
}

// jobTotal is a line of the summary.
type jobTotal struct {
	name   string
	result task.Result
	took   time.Duration
	why    string // it did not run
}

func (x *execution) run() task.Result {
	top := x.plan.top
	for {
		x.advance(top)
		for x.running < max(1, x.Parallel) {
			l := x.next(top)
			if l == nil {
				break
			}
			x.start(l)
		}
		if x.running == 0 {
			break
		}
		x.finish(<-x.ended)
	}
	if len(x.totals) > 1 {
		x.screen.summary(x.totals)
	}
	return top.result()
}

func (x *execution) stopping() bool { return x.stop.fetching.Err() != nil }

// doomed reports whether no more jobs of the flow may start.
func (x *execution) doomed(f *flow) bool {
	for ; f.by != nil; f = f.by.job.flow {
		if f.by.doomed {
			return true
		}
	}
	return x.stopping()
}

// advance does what can be done without running anything: it decides on jobs
// whose needs have ended, enters the workflows that they call, and settles jobs
// whose legs have ended. Jobs come after those that they need, so that one pass
// does it all.
func (x *execution) advance(f *flow) {
	for _, j := range f.jobs {
		if j.result.Final() || !j.ready() {
			continue
		}
		if j.legs == nil {
			x.begin(j)
		}
		for _, l := range j.legs {
			x.advanceLeg(l)
		}
		x.settle(j)
	}
}

// begin decides on a job whose needs have ended.
func (x *execution) begin(j *flowJob) {
	if x.doomed(j.flow) {
		x.endJob(j, task.Cancelled, "")
		return
	}
	run, why, err := x.decide(j)
	if err == nil && run {
		err = x.split(j)
	}
	switch {
	case err != nil:
		x.refuse(j.flow.title+j.ID, err)
		j.result = task.Failure
	case !run:
		x.endJob(j, task.Skipped, why)
	case len(j.legs) == 0:
		x.endJob(j, task.Skipped, "its matrix has no combination")
	}
}

// endJob ends a job that does not run at all.
func (x *execution) endJob(j *flowJob, r task.Result, why string) {
	j.result = r
	name := j.flow.title + j.ID
	if j.Name != "" && !expr.HasExpression(j.Name) {
		name = j.flow.title + j.Name
	}
	if r == task.Skipped {
		x.screen.skipped(name, why)
	}
	x.totals = append(x.totals, jobTotal{name: name, result: r, why: why})
	if x.seams.watch == nil {
		return
	}
	w := x.seams.watch(j.ID, name)
	if why != "" {
		w.Row(time.Now(), "The job is skipped: "+why)
	}
	for i := range j.Steps {
		w.StepFinished(i, task.Skipped, time.Now())
	}
	w.Ended(r)
}

// refuse ends what cannot be run.
func (x *execution) refuse(name string, err error) {
	rows := strings.Split("The job cannot be run: "+err.Error(), "\n")
	x.screen.job(name)
	for _, row := range rows {
		x.screen.line(job.RowError + row)
	}
	x.screen.jobEnd(name, task.Failure, 0)
	x.totals = append(x.totals, jobTotal{name: name, result: task.Failure})
	if x.seams.watch == nil {
		return
	}
	w := x.seams.watch(name, name)
	for _, row := range rows {
		w.Row(time.Now(), job.RowError+row)
	}
	w.Ended(task.Failure)
}

func (x *execution) advanceLeg(l *leg) {
	if l.result.Final() || l.running {
		return
	}
	if l.call == nil && (l.doomed || x.doomed(l.job.flow)) {
		l.result = task.Cancelled
		x.totals = append(x.totals, jobTotal{name: l.name, result: task.Cancelled})
		return
	}
	if l.job.Uses == "" {
		return
	}
	if l.call == nil {
		if !l.job.free() {
			return
		}
		call, err := x.enter(l)
		if err != nil {
			x.refuse(l.name, x.at(l.job, err))
			x.endLeg(l, task.Failure)
			return
		}
		l.call = call
	}
	x.advance(l.call)
	if r := l.call.result(); r.Final() {
		if err := x.leave(l); err != nil {
			x.refuse(l.name, err)
			r = task.Failure
		}
		x.endLeg(l, r)
	}
}

// free reports whether the job's max-parallel lets one more leg run.
func (j *flowJob) free() bool {
	n := 0
	for _, l := range j.legs {
		if l.running || l.call != nil && !l.result.Final() {
			n++
		}
	}
	return j.maxParallel == 0 || n < j.maxParallel
}

// endLeg takes a leg's result. A failure cancels the others of a matrix that
// says so.
func (x *execution) endLeg(l *leg, r task.Result) {
	l.result = r
	if r != task.Failure || !l.job.failFast {
		return
	}
	for _, other := range l.job.legs {
		if !other.result.Final() {
			doom(other)
		}
	}
}

// doom cancels a leg and all that it calls.
func doom(l *leg) {
	if l.doomed {
		return
	}
	l.doomed = true
	close(l.cancel)
	if l.call == nil {
		return
	}
	for _, j := range l.call.jobs {
		for _, inner := range j.legs {
			if !inner.result.Final() {
				doom(inner)
			}
		}
	}
}

// settle ends a job whose legs have ended.
func (x *execution) settle(j *flowJob) {
	if j.result.Final() {
		return
	}
	worst := task.Skipped
	for _, l := range j.legs {
		if !l.result.Final() {
			return
		}
		worst = worse(worst, l.result)
	}
	j.result = worst
	for _, l := range j.legs { // a later leg's outputs win, as far as they have a value
		for name, value := range l.outputs {
			if value != "" {
				j.outputs[name] = value
			}
		}
	}
}

// next is the first leg that may run now.
func (x *execution) next(f *flow) *leg {
	if x.doomed(f) {
		return nil
	}
	for _, j := range f.jobs {
		for _, l := range j.legs {
			switch {
			case l.result.Final() || l.running:
			case l.call != nil:
				if found := x.next(l.call); found != nil {
					return found
				}
			case j.Uses == "" && !l.doomed && j.free():
				return l
			}
		}
	}
	return nil
}

// start runs a leg in a goroutine of its own.
func (x *execution) start(l *leg) {
	l.running, l.began = true, time.Now()
	x.running++
	x.tasks++
	pane := x.screen
	if x.Parallel > 1 {
		pane = pane.pane(l.name)
	}
	pane.job(l.name)
	t := &task.Task{
		ID: x.tasks, Context: x.plan.github(l.job.flow, l.job.ID), Secrets: l.job.flow.secrets, Vars: x.Vars, Needs: l.job.needed(), Strategy: l.place(), File: l.job.flow.file.name,
	}
	sink := &execSink{terminal: newTerminal(pane, x.titles(l), append(taskSecrets(t), runnerSecrets(x.Config, x.Environ)...), l.outputs)}
	if x.seams.watch != nil {
		sink.watch = x.seams.watch(l.job.ID, l.name)
	}
	payload, err := x.plan.payload(l)
	if err != nil {
		sink.Row(time.Now(), job.RowError+"The job cannot be run: "+err.Error())
		go func() { x.ended <- legEnd{l, task.Failure} }()
		return
	}
	t.Workflow = payload
	x.warnLabels(l.job, pane)
	go func() {
		cancel := make(chan struct{})
		over := make(chan struct{})
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			select {
			case <-x.stop.cancel:
			case <-l.cancel:
			case <-over:
				return
			}
			close(cancel)
		}()
		seen := x.trace.telemetry.begin(x.trace.ctx, t, sink.masker)
		result := x.engine.Run(seen.ctx, cancel, t, sink)
		seen.end()
		close(over)
		<-watched
		if sink.watch != nil {
			sink.watch.Ended(result)
		}
		pane.jobEnd(l.name, result, time.Since(l.began))
		x.ended <- legEnd{l, result}
	}()
}

// finish takes a leg that has run.
func (x *execution) finish(end legEnd) {
	l := end.leg
	x.running--
	l.running = false
	x.totals = append(x.totals, jobTotal{name: l.name, result: end.result, took: time.Since(l.began)})
	x.endLeg(l, end.result)
}

// warnLabels says which flag would help where a label is not known.
func (x *execution) warnLabels(j *flowJob, p *screen) {
	for _, name := range j.RunsOn.Labels {
		if _, ok := x.labels.Find(name); !ok && !expr.HasExpression(name) {
			p.line(job.RowWarning + "No label " + name + " is known here; to run its jobs on this machine, add: --label " + name + ":host")
		}
	}
}
