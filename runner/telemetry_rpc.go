package runner

import (
	"context"
	"net/url"
	"strconv"
	"sync"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/report"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"google.golang.org/protobuf/proto"
)

// tracedClient makes spans of the calls that report one job, in the job's span.
// A heartbeat, which says nothing new, becomes one only when it fails, unless all
// are wanted.
type tracedClient struct {
	report.Client
	all   bool
	attrs []attribute.KeyValue

	mu   sync.Mutex
	last *runnerv1.UpdateTaskRequest
}

// The values of otel.rpc_spans.
const (
	rpcSpansAll  = "all"
	rpcSpansNone = "none"
)

// traced is the client for one job.
func (j *jobTelemetry) traced(c report.Client) report.Client {
	if j.telemetry == nil || j.cfg.RPCSpans == rpcSpansNone || !j.span.IsRecording() {
		return c
	}
	attrs := []attribute.KeyValue{semconv.RPCSystemNameConnectrpc}
	if u, err := url.Parse(j.instance); err == nil {
		attrs = append(attrs, semconv.ServerAddress(u.Hostname()))
		if port, err := strconv.Atoi(u.Port()); err == nil {
			attrs = append(attrs, semconv.ServerPort(port))
		}
	}
	return &tracedClient{Client: c, all: j.cfg.RPCSpans == rpcSpansAll, attrs: attrs}
}

const runnerService = "runner.v1.RunnerService/"

func (c *tracedClient) call(ctx context.Context, method string, attrs ...attribute.KeyValue) (context.Context, func(error)) {
	ctx, end := observe.Call(ctx, runnerService+method, append(attrs, c.attributes(method)...)...)
	return ctx, func(err error) {
		if err != nil {
			observe.Attributes(ctx, semconv.RPCResponseStatusCode(connect.CodeOf(err).String()))
		}
		end(failedCall(err))
	}
}

// attributes are those that every call has from its start.
func (c *tracedClient) attributes(method string) []attribute.KeyValue {
	return append([]attribute.KeyValue{semconv.RPCMethod(runnerService + method)}, c.attrs...)
}

// failedCall names the type of a call's error by the code of the protocol.
func failedCall(err error) error {
	if err == nil {
		return nil
	}
	return observe.Typed(connect.CodeOf(err).String(), err)
}

// UpdateLog implements report.Client.
func (c *tracedClient) UpdateLog(ctx context.Context, m *runnerv1.UpdateLogRequest) (*runnerv1.UpdateLogResponse, error) {
	ctx, end := c.call(ctx, "UpdateLog", attribute.Int("otelrunner.log.rows", len(m.GetRows())))
	res, err := c.Client.UpdateLog(ctx, m)
	end(err)
	return res, err //nolint:wrapcheck // this is a client, too
}

// UpdateTask implements report.Client.
func (c *tracedClient) UpdateTask(ctx context.Context, m *runnerv1.UpdateTaskRequest) (*runnerv1.UpdateTaskResponse, error) {
	if !c.all && !c.news(m) {
		began := time.Now()
		res, err := c.Client.UpdateTask(ctx, m)
		if err != nil {
			attrs := append(c.attributes("UpdateTask"), semconv.RPCResponseStatusCode(connect.CodeOf(err).String()))
			observe.SinceFailed(ctx, runnerService+"UpdateTask", began, failedCall(err), attrs...)
		}
		return res, err //nolint:wrapcheck // as above
	}
	ctx, end := c.call(ctx, "UpdateTask")
	res, err := c.Client.UpdateTask(ctx, m)
	end(err)
	return res, err //nolint:wrapcheck // as above
}

// news reports whether a request says what the last one did not.
func (c *tracedClient) news(m *runnerv1.UpdateTaskRequest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	same := c.last != nil && proto.Equal(c.last, m)
	c.last = m
	return !same
}

// tracedSummaries makes spans of a job's uploads.
type tracedSummaries struct{ report.SummaryPutter }

// Put implements report.SummaryPutter.
func (s tracedSummaries) Put(ctx context.Context, step int, markdown []byte) error {
	ctx, end := observe.Call(ctx, "upload summary", attribute.Int("otelrunner.summary.bytes", len(markdown)))
	err := s.SummaryPutter.Put(ctx, step, markdown)
	end(err)
	return err //nolint:wrapcheck // this is one, too
}
