package runner

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/observe"
	"otelrunner/runner/config"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	otellog "go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// telemetry is what the runner's jobs are observed with. A nil one observes
// nothing.
type telemetry struct {
	cfg    *config.Otel
	tracer trace.Tracer
	in     *otel.Instruments
	logs   func(...attribute.KeyValue) otellog.Logger // of a job's rows; nil: they are not exported

	id, name string // of the runner
	version  string
	log      *slog.Logger
	instance string       // the server's address; "" is none, as for exec
	http     *http.Client // to ask the server about a run; nil: it is not asked

	roots *roots

	openDoor func(otel.DoorOptions) (*otel.Door, error) // nil: steps get no endpoint
}

// telemetry is what the jobs of a service are observed with.
func (s *service) telemetry(cfg *config.Config) *telemetry {
	t := newTelemetry(cfg, s.providers, s.in, s.http)
	t.log = s.log
	t.id, t.name, t.version, t.instance = s.reg.UUID, s.reg.Name, s.Version, s.client.Instance()
	return t
}

// bucketsOf reads the bounds of buckets, which the configuration has checked.
func bucketsOf(m *config.Metrics) otel.Buckets {
	numbers := func(list []string) (bounds []float64) {
		for _, text := range list {
			n, _ := strconv.ParseFloat(text, 64)
			bounds = append(bounds, n)
		}
		return bounds
	}
	return otel.Buckets{Job: numbers(m.JobBuckets), Step: numbers(m.StepBuckets), Queue: numbers(m.QueueBuckets)}
}

// newTelemetry is what a runner of a server observes its jobs with. client may be
// nil: then the server is not asked about runs.
func newTelemetry(cfg *config.Config, p *otel.Providers, in *otel.Instruments, client *http.Client) *telemetry {
	t := &telemetry{cfg: &cfg.Otel, tracer: p.Tracer(), in: in, roots: &roots{}, log: slog.New(slog.DiscardHandler)}
	if cfg.Otel.JobLogs && p.Logging() {
		t.logs = p.JobLogger
	}
	if cfg.Otel.StepEndpoint {
		t.openDoor = p.OpenDoor
	}
	if p.Tracing() || cfg.Metrics.Enabled {
		t.http = client
	}
	return t
}

// jobTelemetry is what one job is observed with.
type jobTelemetry struct {
	*telemetry
	task  *task.Task
	run   otel.Run
	ctx   context.Context //nolint:containedctx // it is the job's span
	span  trace.Span
	scope *observe.Scope
	began time.Time
	meter *jobMeter
	rows  *rowLog
	known chan struct{} // closed when facts are read
	facts runFacts
	door  *otel.Door         // nil: none
	stop  context.CancelFunc // ends the reading
}

// pipeline names the workflow among all: its file, with the repository before it.
func pipeline(t *task.Task) string {
	return strings.TrimPrefix(t.String("repository")+"/"+t.String("workflow"), "/")
}

// begin begins a job's span in ctx: below the run's root, or below the span that
// ctx has where there is no server. masker is the one of the job's report.
func (tl *telemetry) begin(ctx context.Context, t *task.Task, masker *report.Masker) *jobTelemetry {
	j := &jobTelemetry{task: t, ctx: ctx, known: make(chan struct{}), stop: func() {}}
	if tl == nil {
		close(j.known)
		return j
	}
	j.telemetry, j.began = tl, time.Now()
	if !t.Fetched.Began.IsZero() {
		j.began = t.Fetched.Began
	}
	var links []trace.Link
	if tl.instance != "" {
		j.run = runOf(tl.instance, t)
		ctx, links = j.run.Context(ctx), j.run.Links()
	}
	j.scope = &observe.Scope{Mask: masker.Mask, Propagate: tl.cfg.Propagate}
	name := "RUN " + pipeline(t) + " / " + jobName(t)
	j.ctx, j.span = tl.tracer.Start(ctx, masker.Mask(name), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(j.began), trace.WithLinks(links...), trace.WithAttributes(j.scope.Masked(j.attributes())...))
	j.scope.Steps = []attribute.KeyValue{semconv.CICDPipelineName(pipeline(t)), semconv.CICDPipelineRunID(t.String("run_id"))}
	j.scope.JobURL = j.url
	j.scope.Baggage = baggageOf(t)
	j.scope.TraceURL = tl.traceURL(j.span)
	j.meter = newJobMeter(tl.in, t)
	j.scope.Meter = j.meter
	if tl.logs != nil {
		j.rows = newRowLog(tl.logs, j.scope, t)
		j.scope.SpanBegins = j.rows.in
	}
	j.open()
	j.ctx = observe.With(j.ctx, j.scope)
	j.scope.Begins(j.ctx)
	if f := t.Fetched; !f.Began.IsZero() {
		observe.Since(j.ctx, "fetch task", f.Began, f.Ended)
	}
	j.learn()
	return j
}

// open opens the job's own door for its programs' telemetry, where that is wanted.
func (j *jobTelemetry) open() {
	if j.openDoor == nil {
		return
	}
	attrs := j.scope.Masked(append(j.runAttributes(), semconv.CICDPipelineTaskName(j.task.String("job")),
		semconv.CICDPipelineTaskRunID(strconv.FormatInt(j.task.ID, 10)), semconv.CICDWorkerName(j.name)))
	var err error
	if j.door, err = j.openDoor(otel.DoorOptions{Attributes: attrs, Mask: j.scope.Mask, Log: j.log}); err != nil {
		j.log.Warn("the steps of a job get no OTLP endpoint", "error", err)
		return
	}
	j.scope.StepEndpoint, j.scope.StepDial = j.door.URL(), j.door.Dial
}

// jobName is what a job is called where people read of it.
func jobName(t *task.Task) string {
	if wf, err := workflow.ParsePayload(t.String("workflow"), t.Workflow); err == nil {
		if j, err := workflow.SingleJob(wf); err == nil && j.Name != "" {
			return j.Name
		}
	}
	return t.String("job")
}

// runOf is the run that a task belongs to.
func runOf(instance string, t *task.Task) otel.Run {
	r := otel.Run{Server: instance, Repository: t.String("repository")}
	r.ID, _ = strconv.ParseInt(t.String("run_id"), 10, 64) // what is no number is 0
	r.Attempt, _ = strconv.ParseInt(t.String("run_attempt"), 10, 64)
	return r
}

// attributes are those that a job's span has from its start.
func (j *jobTelemetry) attributes() []attribute.KeyValue {
	t := j.task
	attrs := append(j.runAttributes(),
		semconv.CICDPipelineRunStateExecuting,
		semconv.CICDPipelineTaskName(jobName(t)),
		semconv.CICDPipelineTaskRunID(strconv.FormatInt(t.ID, 10)),
		semconv.CICDWorkerName(j.name),
	)
	if j.id != "" {
		attrs = append(attrs, semconv.CICDWorkerID(j.id))
	}
	if u := j.runURL(); u != "" {
		attrs = append(attrs, semconv.CICDPipelineTaskRunURLFull(u), semconv.URLFull(u))
	}
	return attrs
}

// runAttributes are those of the run, which its root span has, too.
func (j *jobTelemetry) runAttributes() []attribute.KeyValue {
	t := j.task
	attrs := []attribute.KeyValue{
		semconv.CICDPipelineName(pipeline(t)),
		semconv.CICDPipelineActionNameRun,
		semconv.CICDPipelineRunID(t.String("run_id")),
	}
	add := func(kv attribute.KeyValue) {
		if kv.Value.AsString() != "" {
			attrs = append(attrs, kv)
		}
	}
	owner, name, _ := strings.Cut(t.String("repository"), "/")
	add(semconv.CICDPipelineRunURLFullKey.String(j.runURL()))
	add(semconv.VCSOwnerName(owner))
	add(semconv.VCSRepositoryName(name))
	if server := strings.TrimRight(t.String("server_url"), "/"); server != "" && owner != "" {
		attrs = append(attrs, semconv.VCSProviderNameGitea, semconv.VCSRepositoryURLFull(server+"/"+owner+"/"+name))
	}
	add(semconv.VCSRefHeadName(first(t.String("head_ref"), t.String("ref_name"))))
	add(semconv.VCSRefHeadRevision(t.String("sha")))
	add(semconv.VCSRefBaseName(t.String("base_ref")))
	switch t.String("ref_type") {
	case "branch":
		attrs = append(attrs, semconv.VCSRefHeadTypeBranch)
	case "tag":
		attrs = append(attrs, semconv.VCSRefHeadTypeTag)
	}
	add(attribute.String("otelrunner.event", t.String("event_name")))
	return attrs
}

func first(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// runURL is the page of the run; "" where there is no server. It is found by the
// run's number; servers that go by the id redirect from it.
func (j *jobTelemetry) runURL() string {
	server, number := strings.TrimRight(j.task.String("server_url"), "/"), j.task.String("run_number")
	if j.instance == "" || server == "" || number == "" {
		return ""
	}
	return server + "/" + j.task.String("repository") + "/actions/runs/" + number
}

// url is the page of the job, as far as it is known: else the run's.
func (j *jobTelemetry) url() string {
	select {
	case <-j.known:
		if j.facts.url != "" {
			return j.facts.url
		}
	default:
	}
	return j.runURL()
}

// traceURL is where a span's trace is shown.
func (tl *telemetry) traceURL(span trace.Span) string {
	c := span.SpanContext()
	if tl.cfg.TraceURLTemplate == "" || !c.IsSampled() {
		return ""
	}
	return strings.NewReplacer("{trace_id}", c.TraceID().String(), "{span_id}", c.SpanID().String()).Replace(tl.cfg.TraceURLTemplate)
}

// baggageOf is what every program of a job is told about its run, for its own
// spans to carry.
func baggageOf(t *task.Task) string {
	var members []baggage.Member
	for _, kv := range []attribute.KeyValue{
		semconv.CICDPipelineName(pipeline(t)),
		semconv.CICDPipelineRunID(t.String("run_id")),
		semconv.CICDPipelineTaskName(t.String("job")),
	} {
		if m, err := baggage.NewMemberRaw(string(kv.Key), kv.Value.AsString()); err == nil && kv.Value.AsString() != "" {
			members = append(members, m)
		}
	}
	b, err := baggage.New(members...)
	if err != nil {
		return ""
	}
	return b.String()
}

// report adds to a report's options what observes it.
func (j *jobTelemetry) report(o *report.Options) {
	if j.telemetry == nil {
		return
	}
	o.Client = j.traced(o.Client)
	if o.Summaries != nil {
		o.Summaries = tracedSummaries{o.Summaries}
	}
	if j.rows != nil {
		o.Rows = j.rows.row
	}
}

// runs says that the job begins to run; ran that it has ended, after d.
func (j *jobTelemetry) runs() {
	if j.telemetry != nil {
		j.meter.pipeline.Begin(j.ctx)
	}
}

func (j *jobTelemetry) ran(d time.Duration) {
	if j.telemetry != nil {
		j.meter.pipeline.End(j.ctx, j.meter.end(), d)
	}
}

// end ends the job's span, and emits the run's root where that is this runner's
// to do.
func (j *jobTelemetry) end() {
	if j.telemetry == nil {
		return
	}
	select {
	case <-j.known:
	case <-time.After(factsPatience):
		j.stop()
		<-j.known
	}
	j.stop()
	ended := time.Now()
	if j.door != nil {
		j.door.Close()
	}
	if j.span.SpanContext().IsSampled() && j.instance != "" && j.emitsRoot() {
		j.emitRoot(ended)
	}
	j.span.End(trace.WithTimestamp(ended))
}
