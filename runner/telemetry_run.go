package runner

import (
	"context"
	"strconv"
	"sync"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/gitea"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

const (
	// factsTimeout bounds the one question about a run.
	factsTimeout = 10 * time.Second
	// factsPatience is how long a job's end waits for the answer: the job itself
	// never does.
	factsPatience = time.Second
)

// runFacts are what only the server knows of a run, and tells where the job's
// token may read it.
type runFacts struct {
	known   bool
	url     string    // of the job
	created time.Time // the job
	began   time.Time // the first job of the attempt was created
	jobs    int       // of the attempt
	first   bool      // this is the first of them

	tasks bool // instead of all that, it is known whether this task is the run's first
	begun bool // it is
}

// learn asks the server about the run, beside the job.
func (j *jobTelemetry) learn() {
	t := j.task
	id, err := gitea.RuntimeTokenJobID(t.String("gitea_runtime_token"))
	if err != nil || j.http == nil || t.String("api_url") == "" {
		close(j.known)
		return
	}
	ctx, cancel := context.WithTimeout(j.ctx, factsTimeout)
	j.stop = cancel
	go func() { // end waits for it
		defer close(j.known)
		jobs, err := gitea.RunJobs(ctx, j.http, j.instance+"/api/v1", t.String("repository"), t.String("run_id"), t.String("token"))
		if err != nil {
			observe.Attributes(j.ctx, attribute.Bool("otelrunner.run.readable", false))
		} else if j.facts = factsOf(jobs, id, max(j.run.Attempt, 1)); j.facts.known {
			j.tellFacts()
			return
		}
		j.facts = j.learnTasks(ctx)
	}()
}

// learnTasks asks for less, where the run's jobs cannot be read: whether another job of
// the run was given to a runner before. What needs others is never the first, and of
// later attempts the server's list does not tell.
func (j *jobTelemetry) learnTasks(ctx context.Context) runFacts {
	t := j.task
	number, err := strconv.ParseInt(t.String("run_number"), 10, 64)
	if err != nil || len(t.Needs) > 0 || j.run.Attempt > 1 {
		return runFacts{}
	}
	begun, err := gitea.FirstTask(ctx, j.http, j.instance+"/api/v1", t.String("repository"), t.String("token"), number, t.ID)
	return runFacts{tasks: err == nil, begun: begun}
}

// factsOf looks at the jobs of one attempt at a run.
func factsOf(jobs []gitea.RunJob, id, attempt int64) (f runFacts) {
	f.known = true
	smallest := id
	for _, job := range jobs {
		if job.Attempt != 0 && job.Attempt != attempt {
			continue
		}
		f.jobs++
		smallest = min(smallest, job.ID)
		if !job.Created.IsZero() && (f.began.IsZero() || job.Created.Before(f.began)) {
			f.began = job.Created
		}
		if job.ID == id {
			f.url, f.created = job.URL, job.Created
		}
	}
	if f.url == "" && f.created.IsZero() {
		// A list that this job is not in, like the first page of many, may still have one
		// that comes before it.
		return runFacts{known: smallest < id}
	}
	f.first = smallest == id
	return f
}

// tellFacts puts what is known into telemetry. How long a job has waited is told
// only of one that needs no other: what the others waited for were jobs.
func (j *jobTelemetry) tellFacts() {
	if u := j.facts.url; u != "" {
		observe.Attributes(j.ctx, semconv.CICDPipelineTaskRunURLFull(u), semconv.URLFull(u))
	}
	created, taken := j.facts.created, j.task.Fetched.Ended
	if created.IsZero() || len(j.task.Needs) > 0 || taken.IsZero() {
		return
	}
	// The server's clock has whole seconds, and is its own.
	waited := max(0, taken.Sub(created))
	observe.Since(j.ctx, "queue", taken.Add(-waited), taken)
	j.in.JobQueued(j.ctx, waited)
}

// emitsRoot reports whether the run's root span is this runner's to emit; see
// otel.Run.EmitRoot for the rule.
func (j *jobTelemetry) emitsRoot() bool {
	switch {
	case j.facts.known:
		return j.facts.first
	case j.facts.tasks:
		return j.facts.begun
	}
	return len(j.task.Needs) == 0 && j.roots.first(j.run.TraceID())
}

// emitRoot emits the run's root span. Its result is told where the run has no
// other job: of the others this runner knows nothing.
func (j *jobTelemetry) emitRoot(ended time.Time) {
	began := j.began
	if f := j.facts.began; !f.IsZero() && f.Before(began) {
		began = f
	}
	attrs := append(j.scope.Masked(j.runAttributes()), attribute.Int("otelrunner.run.attempt", int(max(j.run.Attempt, 1))))
	if u := j.runURL(); u != "" {
		attrs = append(attrs, semconv.URLFull(u))
	}
	j.run.EmitRoot(j.tracer, j.scope.Mask("RUN "+pipeline(j.task)), began, ended, attrs, func(span trace.Span) {
		if j.facts.known && j.facts.jobs == 1 {
			observe.Ended(observe.With(trace.ContextWithSpan(context.Background(), span), j.scope), semconv.CICDPipelineResultKey, j.meter.end())
		}
	})
}

// roots keeps the runs whose root span this process has emitted, the last ones.
type roots struct {
	mu    sync.Mutex
	known map[trace.TraceID]bool
	order []trace.TraceID
}

// maxRoots bounds roots: jobs of one run begin close to each other.
const maxRoots = 1000

// first reports, once, that a run is new.
func (r *roots) first(id trace.TraceID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[id] {
		return false
	}
	if r.known == nil {
		r.known = map[trace.TraceID]bool{}
	}
	r.known[id] = true
	r.order = append(r.order, id)
	if len(r.order) > maxRoots {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
	return true
}
