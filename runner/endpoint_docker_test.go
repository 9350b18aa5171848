package runner

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"otelrunner/runner/job/jobtest"
)

// sendTrace posts the file that the workflow has to the endpoint that the step was
// given, with no program but the shell.
const sendTrace = `
test "$OTEL_EXPORTER_OTLP_PROTOCOL" = http/protobuf
rest=${OTEL_EXPORTER_OTLP_ENDPOINT#http://}
exec 3<> "/dev/tcp/127.0.0.1/$(echo "${rest%%/*}" | cut -d: -f2)"
base64 -d <<< "$TRACE" > trace
printf 'POST /%s/v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %s\r\nConnection: close\r\n\r\n' "${rest#*/}" "$(stat -c %s trace)" >&3
cat trace >&3
head -n 1 <&3 | tee answer
grep -q ' 200 ' answer
`

// TestStepEndpointInContainer: what a step in a container sends to the endpoint that it
// is given reaches the collector, with the run's attributes, without a network as well.
func TestStepEndpointInContainer(t *testing.T) {
	if there := makeSuiteImage(t); !there["bash"] || !there["base64"] {
		t.Skip("SKIP: the image has no bash or base64")
	}
	sent, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{Name: "a test in a container"}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, network := range []string{"", "none"} {
		t.Run("network "+network, func(t *testing.T) {
			for _, v := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"} {
				t.Setenv(v, "")
			}
			c := &jobtest.Case{
				Name: "endpoint",
				Workflow: fmt.Sprintf("on: push\njobs:\n  t:\n    runs-on: linux\n    steps:\n      - shell: bash\n        env: {TRACE: %s}\n        run: |%s",
					base64.StdEncoding.EncodeToString(sent), strings.ReplaceAll(sendTrace, "\n", "\n          ")),
				Want: jobtest.Want{Result: "success", Steps: []string{"success"}},
			}
			c.Serve(t)
			collector := newSpansOfSteps(t)
			r := newRecorders(c)
			cfg := suiteConfig(t, t.TempDir())
			cfg.Container.DockerHost, cfg.Container.DockerTimeout, cfg.Container.Pull = "", 10*time.Second, "never"
			cfg.Container.Network = network
			cfg.Otel.Endpoint, cfg.Otel.StepEndpoint = collector.url, true
			o := execOptions(t, c, cfg, r, nil)
			o.Labels = suiteLabels(t)
			result, err := Exec(t.Context(), o)
			checkWorkflow(t, c, result, err, r.outcomes(t))
			stamps := collector.stampsOf("a test in a container")
			if stamps["cicd.pipeline.task.run.id"] == "" || stamps["cicd.pipeline.task.name"] != "t" {
				t.Errorf("the step's span has the resource %v", stamps)
			}
		})
	}
}

// spansOfSteps is a collector.
type spansOfSteps struct {
	url string

	mu       sync.Mutex
	received []*tracepb.ResourceSpans
}

func newSpansOfSteps(t *testing.T) *spansOfSteps {
	t.Helper()
	s := &spansOfSteps{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		var m coltrace.ExportTraceServiceRequest
		if r.URL.Path == "/v1/traces" {
			if err == nil {
				err = proto.Unmarshal(data, &m)
			}
			if err != nil {
				t.Errorf("the collector gets %d bytes: %v", len(data), err)
			}
			s.mu.Lock()
			s.received = append(s.received, m.GetResourceSpans()...)
			s.mu.Unlock()
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// stampsOf returns the attributes of the resource that a span came with.
func (s *spansOfSteps) stampsOf(name string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.received {
		for _, scope := range r.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				if span.GetName() == name {
					stamps := map[string]string{}
					for _, kv := range r.GetResource().GetAttributes() {
						stamps[kv.GetKey()] = kv.GetValue().GetStringValue()
					}
					return stamps
				}
			}
		}
	}
	return nil
}
