package job_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"otelrunner/otel/observe"
	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/task"
	"otelrunner/sandbox"

	"github.com/google/go-cmp/cmp"
)

// TestStepEndpoint: host jobs are given the door, unless they name one themselves;
// others, which could not reach it, are told so.
func TestStepEndpoint(t *testing.T) {
	const door = "http://127.0.0.1:1/secret"
	offered := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": door, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
	for _, c := range []struct {
		name, env, door string
		kind            sandbox.Kind
		want            map[string]string
		told            bool
	}{
		{"host", "", door, sandbox.Host, offered, false},
		{"off", "", "", sandbox.Host, map[string]string{}, false},
		{"the workflow's own endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT: mine", door, sandbox.Host, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "mine"}, false},
		{"the workflow's own protocol", "OTEL_EXPORTER_OTLP_PROTOCOL: grpc", door, sandbox.Host, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false},
		{"container", "", door, sandbox.Docker, map[string]string{}, true},
		{"WASM", "", door, sandbox.WASM, map[string]string{}, true},
		{"container, off", "", "", sandbox.Docker, map[string]string{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]string{}
			f := &fake{kind: c.kind, run: func(_ context.Context, cmd *sandbox.Command, _ string) (sandbox.Result, error) {
				for name, value := range cmd.Env {
					if strings.HasPrefix(name, "OTEL_") {
						got[name] = value
					}
				}
				return sandbox.Result{}, nil
			}}
			tk := newCase(`{jobs: {t: {runs-on: host, env: {` + c.env + `}, steps: [{run: one}]}}}`).Task(7)
			sink := jobtest.NewRecorder(tk)
			ctx := observe.With(context.Background(), &observe.Scope{StepEndpoint: c.door})
			result := job.New(options(t, f)).Run(ctx, nil, tk, sink)
			if result != task.Success {
				t.Fatal(result)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("what the step is told (-want +got):\n%s", d)
			}
			told := slices.ContainsFunc(sink.Outcome(result).Rows, func(row string) bool { return strings.Contains(row, "No OTLP endpoint for the steps") })
			if told != c.told {
				t.Errorf("the log says that there is none: %v, want %v", told, c.told)
			}
		})
	}
}
