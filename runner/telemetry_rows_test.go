package runner

import (
	"context"
	"strings"
	"testing"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/trace"
)

// keptRecords keeps log records as an exporter would get them.
type keptRecords struct{ list []sdklog.Record }

func (k *keptRecords) OnEmit(_ context.Context, r *sdklog.Record) error {
	k.list = append(k.list, r.Clone())
	return nil
}
func (*keptRecords) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (*keptRecords) Shutdown(context.Context) error                         { return nil }
func (*keptRecords) ForceFlush(context.Context) error                       { return nil }

// TestRowsAsRecords: when and how severe a row is, in which span, and whose; what
// users choose of the latter is masked.
func TestRowsAsRecords(t *testing.T) {
	kept := &keptRecords{}
	logger := func(attrs ...attribute.KeyValue) otellog.Logger {
		return sdklog.NewLoggerProvider(sdklog.WithProcessor(kept)).Logger("", otellog.WithInstrumentationAttributes(attrs...))
	}
	scope := &observe.Scope{Mask: func(s string) string { return strings.ReplaceAll(s, "hidden", "***") }}
	c := &jobtest.Case{GitHub: map[string]any{"job": "hidden", "repository": "octo/hidden", "workflow": "ci.yml", "run_id": "9"}}
	rows := newRowLog(logger, scope, c.Task(12))
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	at := time.Unix(1_800_000_000, 0)
	rows.in(trace.ContextWithSpanContext(t.Context(), span))
	for _, c := range []struct {
		row  string
		want otellog.Severity
	}{
		{"a row", otellog.SeverityInfo},
		{job.RowError + "bad", otellog.SeverityError},
		{job.RowWarning + "less so", otellog.SeverityWarn},
		{job.RowNotice + "look", otellog.SeverityInfo2},
		{job.RowDebug + "more", otellog.SeverityDebug},
		{"##[group]Run", otellog.SeverityInfo},
	} {
		kept.list = nil
		rows.row(at, c.row)
		if len(kept.list) != 1 {
			t.Fatalf("%q became %d records", c.row, len(kept.list))
		}
		r := kept.list[0]
		if got := r.Body(); got.AsString() != c.row || r.Severity() != c.want || !r.Timestamp().Equal(at) || !r.ObservedTimestamp().Equal(at) || r.SpanID() != span.SpanID() || r.TraceID() != span.TraceID() {
			t.Errorf("%q became %q, %s, at %s in the span %s", c.row, got.AsString(), r.Severity(), r.Timestamp(), r.SpanID())
		}
		got := map[string]string{}
		scope := r.InstrumentationScope()
		for _, kv := range scope.Attributes.ToSlice() {
			got[string(kv.Key)] = kv.Value.AsString()
		}
		if got["cicd.pipeline.name"] != "octo/***/ci.yml" || got["cicd.pipeline.task.name"] != "***" || got["cicd.pipeline.run.id"] != "9" || got["cicd.pipeline.task.run.id"] != "12" {
			t.Errorf("%q belongs to %v", c.row, got)
		}
	}
}
