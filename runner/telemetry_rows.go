package runner

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/job"
	"otelrunner/runner/task"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// rowLog makes log records of a job's rows, each in the span of the step that it
// belongs to. It keeps nothing and waits for nothing: what finds no room in the
// exporter's queue is dropped there, and counted.
type rowLog struct {
	logger otellog.Logger
	span   atomic.Pointer[context.Context]
}

// newRowLog makes the one of a job. Which job it is stands in the scope of the
// records, once an export: on each row, it would be more than half of what is sent,
// and of what that costs here and in the collector.
func newRowLog(logger func(...attribute.KeyValue) otellog.Logger, scope *observe.Scope, t *task.Task) *rowLog {
	return &rowLog{logger: logger(scope.Masked([]attribute.KeyValue{
		semconv.CICDPipelineName(pipeline(t)),
		semconv.CICDPipelineRunID(t.String("run_id")),
		semconv.CICDPipelineTaskName(t.String("job")),
		semconv.CICDPipelineTaskRunID(strconv.FormatInt(t.ID, 10)),
	})...)}
}

// in says which span rows belong to from now on.
func (l *rowLog) in(ctx context.Context) { l.span.Store(&ctx) }

// severities are those of rows with a meaning.
var severities = []struct {
	prefix   string
	severity otellog.Severity
	text     string
}{
	{job.RowError, otellog.SeverityError, "ERROR"},
	{job.RowWarning, otellog.SeverityWarn, "WARN"},
	{job.RowNotice, otellog.SeverityInfo2, "NOTICE"},
	{job.RowDebug, otellog.SeverityDebug, "DEBUG"},
}

// row takes one masked row.
func (l *rowLog) row(t time.Time, row string) {
	var r otellog.Record
	r.SetTimestamp(t)
	r.SetObservedTimestamp(t)
	r.SetBody(attribute.StringValue(row))
	r.SetSeverity(otellog.SeverityInfo)
	r.SetSeverityText("INFO")
	if strings.HasPrefix(row, "##[") {
		for _, s := range severities {
			if strings.HasPrefix(row, s.prefix) {
				r.SetSeverity(s.severity)
				r.SetSeverityText(s.text)
			}
		}
	}
	ctx := context.Background()
	if span := l.span.Load(); span != nil {
		ctx = *span
	}
	l.logger.Emit(ctx, r)
}
