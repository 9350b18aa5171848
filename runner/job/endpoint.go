package job

import (
	"context"
	"net/url"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/sandbox"
)

// endpointTime is how long a sandbox may take to open the port: the job goes on
// without it.
const endpointTime = 30 * time.Second

// openEndpoint finds where the job's programs reach its OTLP endpoint: that is one
// of this machine's loopback, and a container has a loopback of its own.
func (j *jobRun) openEndpoint(ctx context.Context) {
	scope := observe.From(ctx)
	if scope.StepEndpoint == "" {
		return
	}
	if j.info.Kind == sandbox.Host {
		j.endpoint = scope.StepEndpoint
		return
	}
	inside, ok := j.sandbox.(sandbox.Forwarder)
	if !ok || scope.StepDial == nil {
		j.rows.printf("No OTLP endpoint for the steps: otel.step_endpoint takes a socket, and a program in this sandbox (%s) can open none", j.info.Kind)
		return
	}
	asking, cancel := context.WithTimeout(ctx, endpointTime)
	defer cancel()
	address, err := inside.Forward(asking, scope.StepDial)
	if err != nil {
		j.rows.printf("No OTLP endpoint for the steps: %v", err)
		return
	}
	if at, err := url.Parse(scope.StepEndpoint); err == nil { // it is the runner's own
		at.Host = address
		j.endpoint = at.String()
	}
}

// offerEndpoint tells a program where its telemetry may go, unless the workflow says
// so itself. The protocol belongs to it: exporters differ in their default.
func offerEndpoint(endpoint string, env map[string]string) {
	const name, protocol = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL"
	_, set := env[name]
	_, own := env[protocol]
	if endpoint == "" || set || own {
		return
	}
	env[name], env[protocol] = endpoint, "http/protobuf"
}
