package job_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"otelrunner/otel/observe"
	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"

	"github.com/google/go-cmp/cmp"
)

// forwarder is a fake with a loopback of its own.
type forwarder struct {
	*fake
	err    error
	dialed int
}

func (f *forwarder) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	_, err := f.fake.Open(ctx, spec)
	return f, err
}

func (f *forwarder) Forward(ctx context.Context, dial func(context.Context) (net.Conn, error)) (string, error) {
	conn, err := dial(ctx)
	if err != nil {
		return "", err
	}
	f.dialed++
	return "127.0.0.1:9", errors.Join(f.err, conn.Close())
}

// TestStepEndpoint: jobs are given the door, those with a loopback of their own a port
// there that leads to it, unless they name one themselves; those that cannot reach it
// are told so.
func TestStepEndpoint(t *testing.T) {
	const door = "http://127.0.0.1:1/secret"
	offered := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": door, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
	for _, c := range []struct {
		name, env, door string
		kind            sandbox.Kind
		want            map[string]string
		told            bool
		forward         error // of a container; nil succeeds
	}{
		{"host", "", door, sandbox.Host, offered, false, nil},
		{"off", "", "", sandbox.Host, map[string]string{}, false, nil},
		{"the workflow's own endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT: mine", door, sandbox.Host, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "mine"}, false, nil},
		{"the workflow's own protocol", "OTEL_EXPORTER_OTLP_PROTOCOL: grpc", door, sandbox.Host, map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, false, nil},
		{"container", "", door, sandbox.Docker, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9/secret", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, false, nil},
		{"container that cannot", "", door, sandbox.Docker, map[string]string{}, true, errors.New("no loopback")},
		{"WASM", "", door, sandbox.WASM, map[string]string{}, true, nil},
		{"container, off", "", "", sandbox.Docker, map[string]string{}, false, nil},
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
			o := options(t, f)
			inside := &forwarder{fake: f, err: c.forward}
			if c.kind == sandbox.Docker {
				o.Providers[label.Host] = inside
			}
			tk := newCase(`{jobs: {t: {runs-on: host, env: {` + c.env + `}, steps: [{run: one}]}}}`).Task(7)
			sink := jobtest.NewRecorder(tk)
			ctx := observe.With(context.Background(), &observe.Scope{StepEndpoint: c.door, StepDial: func(context.Context) (net.Conn, error) {
				near, far := net.Pipe()
				return near, far.Close()
			}})
			result := job.New(o).Run(ctx, nil, tk, sink)
			if result != task.Success {
				t.Fatal(result)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("what the step is told (-want +got):\n%s", d)
			}
			if want := c.kind == sandbox.Docker && c.door != ""; inside.dialed > 0 != want {
				t.Errorf("there are %d ways to the door", inside.dialed)
			}
			told := slices.ContainsFunc(sink.Outcome(result).Rows, func(row string) bool { return strings.Contains(row, "No OTLP endpoint for the steps") })
			if told != c.told {
				t.Errorf("the log says that there is none: %v, want %v", told, c.told)
			}
		})
	}
}
