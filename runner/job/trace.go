package job

import (
	"context"

	"otelrunner/runner/task"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The seam between the engine and tracing: a span a job, a span a step. The
// span of a step ends what happens in it, and its context goes nowhere else.

// startJob begins the job's span; end ends it.
func (r *Runner) startJob(ctx context.Context, t *task.Task) (_ context.Context, end func(task.Result)) {
	ctx, span := r.opts.Tracer.Start(ctx, "job "+t.String("job"), trace.WithSpanKind(trace.SpanKindServer))
	return ctx, endSpan(span)
}

// startStep begins a step's span; end ends it.
func (j *jobRun) startStep(r *stepRun) (end func(task.Result)) {
	_, span := j.opts.Tracer.Start(r.life.hard, "step "+r.action.name)
	return endSpan(span)
}

func endSpan(span trace.Span) func(task.Result) {
	return func(res task.Result) {
		if span.IsRecording() {
			span.SetAttributes(attribute.String("cicd.pipeline.task.run.result", string(res)))
		}
		span.End()
	}
}
