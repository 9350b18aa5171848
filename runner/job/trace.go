package job

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/task"
	"otelrunner/sandbox"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// The seam between the engine and telemetry. The job's own span is in the context
// that Run gets, made by whoever knows the run; what takes time in the job becomes
// a span in it, a step one in whose context the step's life goes on.

// The values of error.type that the engine gives.
const (
	typeInvalid     = "invalid_workflow"
	typeLabel       = "no_such_label"
	typeExit        = "process_exit"
	typeCommandFile = "invalid_command_file"
	typePanic       = "panic"
	typeStopped     = "runner_stopped"
	typeOther       = "_OTHER"
)

// within runs f in a span of its own.
func (j *jobRun) within(name string, f func() error) error {
	outer := j.life
	ctx, end := observe.Span(outer.soft, name)
	j.life = outer.in(ctx)
	err := f()
	j.life = outer
	end(err)
	return err
}

// startStep begins a step's span and makes the step's life go on in it; end ends it.
// The attributes are those that samplers are to see at the start (semconv 1.43,
// CI/CD spans). stage tells the pre and post steps of an action from its main one,
// for which it is "".
func (j *jobRun) startStep(r *stepRun, title, stage string) (end func(task.Result)) {
	began := time.Now()
	outer := r.life
	if outer.soft == nil { // it fails before it has a life of its own
		outer = r.scope.life
	}
	s := observe.From(outer.soft)
	attrs := append([]attribute.KeyValue{
		semconv.CICDPipelineTaskName(title),
		semconv.CICDPipelineTaskRunID(strconv.FormatInt(j.task.ID, 10) + "/" + childPath(r.scope, r.Index) + stage),
	}, s.Steps...)
	if s.JobURL != nil {
		if url := s.JobURL(); url != "" {
			attrs = append(attrs, semconv.CICDPipelineTaskRunURLFull(url))
		}
	}
	if r.Uses != "" {
		attrs = append(attrs, attribute.String("otelrunner.action", r.Uses))
	}
	ctx, endSpan := observe.Span(outer.soft, title, attrs...)
	r.life = outer.in(ctx)
	s.Begins(r.life.soft)
	return func(outcome task.Result) {
		e := r.end(outcome)
		observe.Ended(ctx, semconv.CICDPipelineTaskRunResultKey, e)
		endSpan(nil)
		s.Begins(outer.soft)
		if s.Meter != nil && r.scope.path == "" {
			s.Meter.Step(ctx, string(j.info.Kind), e.Result, time.Since(began))
		}
	}
}

// end is how a step ended.
func (r *stepRun) end(outcome task.Result) observe.End {
	switch {
	case outcome == task.Success:
		return observe.End{Result: observe.Success}
	case outcome == task.Skipped:
		return observe.End{Result: observe.Skip}
	case r.fault != nil:
		return *r.fault
	case outcome == task.Cancelled:
		return observe.End{Result: observe.Cancellation, ErrorType: observe.TypeCancellation}
	}
	return observe.End{Result: observe.Failure, ErrorType: typeOther}
}

// invalid is the end of what is wrong in the workflow or in what it names.
func invalid(err error) observe.End {
	e := observe.EndOf(err, observe.Failure)
	if e.ErrorType == typeOther {
		e.ErrorType = typeInvalid
	}
	return e
}

// invalid keeps why a step could not run.
func (r *stepRun) invalid(err error) task.Result {
	e := invalid(err)
	r.fault = &e
	return task.Failure
}

// exited keeps a program's exit status.
func (r *stepRun) exited(code int) {
	r.fault = &observe.End{Result: observe.Failure, ErrorType: typeExit, Text: fmt.Sprintf("exit code %d", code)}
	observe.Attributes(r.life.soft, semconv.ProcessExitCode(code))
}

// stopped keeps what ended a step before its time.
func (r *stepRun) stopped(cause error) {
	e := observe.EndOf(cause, observe.Cancellation)
	if e.ErrorType == typeOther {
		e.ErrorType = typeStopped
	}
	r.fault = &e
}

// broken keeps the error that a sandbox ended a program with. What the workflow's
// author can mend is a failure of the step, everything else the runner's.
func (j *jobRun) broken(r *stepRun, err error) {
	var (
		missing *sandbox.NotFoundError
		dir     *sandbox.DirError
		limit   *sandbox.LimitError
	)
	result := observe.Error
	switch {
	case errors.As(err, &limit):
		if m := observe.From(r.life.soft).Meter; m != nil {
			m.Limit(r.life.soft, string(j.info.Kind), limit.Limit)
		}
		result = observe.Failure
	case errors.As(err, &missing), errors.As(err, &dir):
		result = observe.Failure
	}
	e := observe.EndOf(err, result)
	r.fault = &e
}

// blame keeps what made the job fail; the first thing did.
func (j *jobRun) blame(e observe.End) {
	if j != nil && j.fault == nil {
		j.fault = &e
	}
}

// blameStep keeps the step that made a scope fail, and the job where it is the
// job's.
func (j *jobRun) blameStep(s *scope, r *stepRun) {
	e := r.end(task.Failure)
	if s.fault == nil {
		s.fault = &e
	}
	if s.path == "" {
		j.blame(e)
	}
}

// tellEnd puts the job's end on its span and into its measurements.
func (j *jobRun) tellEnd(ctx context.Context, result task.Result) {
	if j == nil {
		j = &jobRun{}
	}
	e := j.end(result)
	observe.Ended(ctx, semconv.CICDPipelineResultKey, e)
	if j.info.Kind != "" {
		observe.Attributes(ctx, attribute.String("otelrunner.sandbox", string(j.info.Kind)))
	}
	if m := observe.From(ctx).Meter; m != nil {
		m.Job(ctx, string(j.info.Kind), e, j.usage.CPU, j.usage.PeakMemory)
	}
}

// end is how the job ended. A cancel and the end of its time come before what they
// made fail.
func (j *jobRun) end(result task.Result) observe.End {
	switch {
	case result == task.Success:
		return observe.End{Result: observe.Success}
	case result == task.Skipped:
		return observe.End{Result: observe.Skip}
	case j.cause != nil:
		r := &stepRun{}
		r.stopped(j.cause)
		return *r.fault
	case j.fault != nil:
		return *j.fault
	}
	return observe.End{Result: observe.Failure, ErrorType: typeOther}
}

// propagate tells a program which span it runs in, by the names that
// OpenTelemetry gives to variables (keys of the W3C headers, normalised). What the
// workflow sets itself wins; the two that belong together are its own together.
func propagate(ctx context.Context, env map[string]string) {
	s, span := observe.From(ctx), trace.SpanContextFromContext(ctx)
	if !s.Propagate || !span.IsValid() {
		return
	}
	_, parent := env["TRACEPARENT"]
	_, state := env["TRACESTATE"]
	if !parent && !state {
		env["TRACEPARENT"] = fmt.Sprintf("00-%s-%s-%s", span.TraceID(), span.SpanID(), span.TraceFlags()&trace.FlagsSampled)
		if text := span.TraceState().String(); text != "" {
			env["TRACESTATE"] = text
		}
	}
	if _, set := env["BAGGAGE"]; !set && s.Baggage != "" {
		env["BAGGAGE"] = s.Baggage
	}
}
