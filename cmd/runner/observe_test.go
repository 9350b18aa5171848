package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/oteltest"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// program is another program that runs for a test, until stop.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  safeBuffer
	done bool
}

func runProgram(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(name, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p
}

// stop lets it end in order.
func (p *program) stop() {
	if p.done {
		return
	}
	p.done = true
	_ = p.cmd.Process.Signal(os.Interrupt)
	kill := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v\n%s", p.cmd.Path, err, p.out.String())
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func getText(address, accept string) (string, error) {
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// listening waits until somebody listens.
func listening(t *testing.T, address string) {
	t.Helper()
	oteltest.Eventually(t, address+" listens", func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			err = c.Close()
		}
		return err
	})
}

// collected is what a collector's file exporters have written: the spans and
// records of all lines.
type collected struct {
	spans []otlpSpan
	logs  []otlpLog
	text  string // of all files
}

type otlpSpan struct {
	TraceID    string     `json:"traceId"`
	SpanID     string     `json:"spanId"`
	Parent     string     `json:"parentSpanId"`
	Name       string     `json:"name"`
	Attributes []otlpAttr `json:"attributes"`
}

type otlpLog struct {
	TraceID    string     `json:"traceId"`
	SpanID     string     `json:"spanId"`
	Body       otlpValue  `json:"body"`
	Attributes []otlpAttr `json:"attributes"`
}

type otlpAttr struct {
	Key   string    `json:"key"`
	Value otlpValue `json:"value"`
}

type otlpValue struct {
	Text string `json:"stringValue"`
}

func readCollected(t *testing.T, dir string) (c collected) {
	t.Helper()
	for _, name := range []string{"traces", "logs", "metrics"} {
		data, err := os.ReadFile(filepath.Join(dir, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		c.text += string(data)
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			var batch struct {
				Spans []struct {
					Scopes []struct {
						Spans []otlpSpan `json:"spans"`
					} `json:"scopeSpans"`
				} `json:"resourceSpans"`
				Logs []struct {
					Scopes []struct {
						Records []otlpLog `json:"logRecords"`
					} `json:"scopeLogs"`
				} `json:"resourceLogs"`
			}
			if err := json.Unmarshal(lines.Bytes(), &batch); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for _, r := range batch.Spans {
				for _, s := range r.Scopes {
					c.spans = append(c.spans, s.Spans...)
				}
			}
			for _, r := range batch.Logs {
				for _, s := range r.Scopes {
					c.logs = append(c.logs, s.Records...)
				}
			}
		}
	}
	return c
}

// tree writes the names of spans below each other.
func (c *collected) tree(parent string, depth int) (lines []string) {
	for _, s := range c.spans {
		if s.Parent == parent {
			lines = append(lines, strings.Repeat(" ", depth)+s.Name)
			lines = append(lines, c.tree(s.SpanID, depth+1)...)
		}
	}
	return lines
}

const observed = `
on: push
jobs:
  %s:
    runs-on: linux
    steps:
      - name: print
        run: |
          echo "the secret is $S"
          echo "parent $TRACEPARENT state $TRACESTATE baggage $BAGGAGE"
          echo "endpoint $OTEL_EXPORTER_OTLP_ENDPOINT $OTEL_EXPORTER_OTLP_PROTOCOL"
          mkdir -p act && printf '%%s\n' 'runs: {using: composite, steps: [{name: within, shell: sh, run: echo inner}]}' > act/action.yml
        env: {S: "${{ secrets.PASSWORD }}"}
      - name: hides ${{ secrets.PASSWORD }}
        run: 'true'
      - name: composite
        uses: ./act
      - name: fails with ${{ secrets.PASSWORD }}
        continue-on-error: true
        working-directory: ${{ secrets.PASSWORD }}
        run: 'true'
`

// TestTelemetry has a real runner, a real collector and a real Prometheus: the three
// signals of two jobs of one run arrive, belong together, and hold no secret.
func TestTelemetry(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the collector and Prometheus are Linux programs here")
	}
	collector, err := oteltest.Collector("../..")
	if err != nil {
		t.Skip(err)
	}
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus to test with: install Debian's package prometheus")
	}
	t.Parallel()
	const password = "sesame-open-wide"
	r := newRig(t).withServer(giteatest.Options{RunsAPI: true})
	r.register()
	otlp, metrics, prom := freeAddr(t), freeAddr(t), freeAddr(t)
	r.write("collector.yaml", `
receivers: {otlp: {protocols: {http: {endpoint: "`+otlp+`"}}}}
exporters:
  file/traces: {path: `+r.dir+`/traces.json}
  file/logs: {path: `+r.dir+`/logs.json}
  file/metrics: {path: `+r.dir+`/metrics.json}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file/traces]}
    logs: {receivers: [otlp], exporters: [file/logs]}
    metrics: {receivers: [otlp], exporters: [file/metrics]}
`)
	r.write("prometheus.yaml", `
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs: [{job_name: runner, static_configs: [{targets: ["`+metrics+`"]}]}]
`)
	r.write("c.yaml", `
metrics: {enabled: true, addr: "`+metrics+`"}
otel:
  endpoint: http://`+otlp+`
  job_logs: true
  step_endpoint: true
  trace_url_template: https://traces.example/{trace_id}
`)
	otelcol := runProgram(t, collector, "--config", filepath.Join(r.dir, "collector.yaml"))
	listening(t, otlp)
	runProgram(t, prometheus, "--config.file="+filepath.Join(r.dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(r.dir, "tsdb"),
		"--web.listen-address="+prom, "--enable-feature=exemplar-storage", "--log.level=warn")
	listening(t, prom)

	options := giteatest.TaskOptions{RunID: 77, Secrets: map[string]string{"PASSWORD": password}}
	var ids []int64
	for _, name := range []string{"one", "two"} {
		ids = append(ids, r.server.AddWorkflow(fmt.Sprintf(observed, name), options))
	}
	r.env = append(r.env, "OTEL_METRIC_EXPORT_INTERVAL=500")
	p := r.start("serve", "-c", "c.yaml")
	for _, id := range ids {
		done, err := r.server.WaitResult(within(t, time.Minute), id)
		if err != nil || done.Result != task.Success {
			t.Fatalf("%v, %v\n%s\n%s", done.Result, err, r.server.Log(id), p.stderr.String())
		}
	}
	run := otel.Run{Server: r.url, Repository: "root1/demo", ID: 77, Attempt: 1}
	trace := run.TraceID().String()

	oteltest.Eventually(t, "Prometheus knows both jobs", func() error {
		return query(prom, `sum(act_runner_job_total{status="success"}) == 2`)
	})
	oteltest.Eventually(t, "Prometheus has the queue time and a worker's state", func() error {
		if err := query(prom, `act_runner_job_queue_duration_seconds_count >= 2`); err != nil {
			return err
		}
		return query(prom, `cicd_worker_count{cicd_worker_state="available"} == 1`)
	})
	text, err := getText("http://"+metrics+"/metrics", "application/openmetrics-text; version=1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	oteltest.Eventually(t, "Prometheus has the exemplars", func() error {
		body, err := getText("http://"+prom+"/api/v1/query_exemplars?query=act_runner_job_duration_seconds_bucket&start="+
			url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339))+"&end="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)), "")
		if err == nil && !strings.Contains(body, trace) {
			err = fmt.Errorf("no exemplar of the run in %s", body)
		}
		return err
	})
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("serve: exit code %d: %s", code, p.stderr.String())
	}
	otelcol.stop() // writes what it has

	c := readCollected(t, r.dir)
	checkTree(t, &c, trace, run.RootSpanID().String())
	checkLogs(t, &c, trace, r.server.Log(ids[0]))
	spans := map[string]bool{}
	for _, s := range c.spans {
		spans[s.SpanID] = true
	}
	exemplars := regexp.MustCompile(`span_id="([0-9a-f]{16})",trace_id="([0-9a-f]{32})"|trace_id="([0-9a-f]{32})",span_id="([0-9a-f]{16})"`).FindAllStringSubmatch(text, -1)
	if len(exemplars) < 3 {
		t.Errorf("%d exemplars on /metrics", len(exemplars))
	}
	for _, e := range exemplars {
		if e[2]+e[3] != trace || !spans[e[1]+e[4]] {
			t.Errorf("the exemplar %s is no span that the collector has", e[0])
		}
	}
	if !strings.Contains(c.text, "cicd.pipeline.run.duration") || !strings.Contains(c.text, "act_runner_step_duration") {
		t.Error("the collector has no metrics of pipelines or steps")
	}
	for what, text := range map[string]string{"the signals": c.text, "/metrics": text, "the runner's log": p.stderr.String()} {
		if strings.Contains(text, password) {
			t.Errorf("the secret is in %s", what)
		}
	}
}

// query asks Prometheus for an expression that is to have a result.
func query(address, expr string) error {
	body, err := getText("http://"+address+"/api/v1/query?query="+url.QueryEscape(expr), "")
	if err == nil && !strings.Contains(body, `"value":[`) {
		err = fmt.Errorf("%s gives %s", expr, body)
	}
	return err
}

func checkTree(t *testing.T, c *collected, trace, root string) {
	t.Helper()
	names := map[string]bool{}
	for _, s := range c.spans {
		names[s.SpanID] = true
		if s.TraceID != trace {
			t.Errorf("the span %s is in the trace %s, want %s", s.Name, s.TraceID, trace)
		}
	}
	for _, s := range c.spans {
		if s.Parent != "" && !names[s.Parent] {
			t.Errorf("the parent of %s is nowhere", s.Name)
		}
	}
	var lines []string
	for _, line := range c.tree("", 0) {
		if name := strings.TrimSpace(line); name != "runner.v1.RunnerService/UpdateTask" && name != "runner.v1.RunnerService/UpdateLog" {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	var want []string
	want = append(want, "RUN root1/demo/test.yml")
	for _, name := range []string{"one", "two"} {
		want = append(want, " RUN root1/demo/test.yml / "+name,
			"  fetch task", "  queue", "  set up job", "   open sandbox", "    make host workspace", "   prepare actions", "  print", "  hides ***", "  composite", "   within", "  fails with ***", "  clean up")
	}
	slices.Sort(want)
	if !slices.Equal(lines, want) {
		t.Errorf("the tree of spans, sorted, is\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	calls := 0
	for _, s := range c.spans {
		if strings.HasPrefix(s.Name, "runner.v1.RunnerService/") {
			calls++
		}
		if s.SpanID == root && s.Parent != "" {
			t.Error("the root has a parent")
		}
	}
	if !names[root] || calls < 6 {
		t.Errorf("the root is there: %v; %d calls of the server", names[root], calls)
	}
}

// checkLogs: each row of the job's log is a record, in the step that wrote it.
func checkLogs(t *testing.T, c *collected, trace, log string) {
	t.Helper()
	found := map[string]string{} // the span of a row
	var own bool
	for _, l := range c.logs {
		if l.TraceID == trace {
			found[l.Body.Text] = l.SpanID
		}
		own = own || l.Body.Text == "task done" && l.TraceID == trace
	}
	for row := range strings.Lines(log) {
		if row = strings.TrimSuffix(row, "\n"); row != "" && found[row] == "" {
			t.Errorf("the row %q is no record of the trace", row)
		}
	}
	var parent string
	for row := range found {
		if rest, ok := strings.CutPrefix(row, "parent 00-"+trace+"-"); ok {
			parent = rest
		}
	}
	inner := false
	for _, s := range c.spans {
		inner = inner || s.Name == "within" && s.SpanID == found["inner"]
	}
	id, rest, _ := strings.Cut(parent, "-01 state ")
	printed := false
	for _, s := range c.spans {
		printed = printed || s.Name == "print" && s.SpanID == id
	}
	if !own || !inner || !printed {
		t.Errorf("the runner's own line is in the trace: %v; the composite's row in its inner step: %v; TRACEPARENT is the step's: %v (%s)", own, inner, printed, parent)
	}
	if !strings.HasPrefix(rest, "otelrunner=") || !strings.Contains(rest, "cicd.pipeline.name=root1/demo/test.yml") {
		t.Errorf("the step's state and baggage are %q", rest)
	}
	if !regexp.MustCompile(`(?m)^endpoint http://127\.0\.0\.1:[0-9]+/[A-Z2-7]{20,} http/protobuf$`).MatchString(log) {
		t.Error("the step is not told of its own OTLP endpoint")
	}
	if !strings.Contains(log, "Trace: https://traces.example/"+trace) {
		t.Error("the job's log does not say where its trace is")
	}
}
