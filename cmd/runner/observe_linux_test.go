package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"otelrunner/otel"
	"otelrunner/otel/oteltest"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// observedSecret is what no signal may show.
const observedSecret = "sesame-open-wide"

// observedRun is the run that the jobs of a case are of.
const observedRun = 77

// observedCase is a run whose jobs real runners execute. Its spans, records and
// metrics go through a real collector.
type observedCase struct {
	labels  []string                           // of each runner
	config  string                             // lines of the runners' configuration
	jobs    []string                           // workflows, of one run
	tree    []string                           // the spans below the root, but those of calls
	rows    map[string]string                  // the span of a row
	example bool                               // the collector and Prometheus are those of exampleFolder
	spare   bool                               // what the opening of a sandbox takes depends on whether a spare is ready
	prepare func(t *testing.T, o *observation) // before the runners are registered; nil: nothing
	live    func(t *testing.T, o *observation) // while they are there; nil: nothing
}

// observation is a case that runs.
type observation struct {
	observedCase
	server     *giteatest.Server
	rigs       []*rig
	metrics    []string // the address at which each runner shows its own
	prometheus string   // its address, where there is one
	ids        []int64  // of the tasks
	run        otel.Run
	collected  *collected
	texts      map[string]string // all that was said
}

// observedWorkflow is a job on a label: a step that tells what it knows of its span, one
// whose name has the secret, and more.
func observedWorkflow(name, label, services, more string) string {
	return fmt.Sprintf(`
on: push
jobs:
  %s:
    runs-on: %s
    services: {%s}
    steps:
      - name: print
        shell: sh
        run: |
          echo "the secret is $S"
          echo "parent $TRACEPARENT state $TRACESTATE baggage $BAGGAGE"
          echo "endpoint ${OTEL_EXPORTER_OTLP_ENDPOINT-none} $OTEL_EXPORTER_OTLP_PROTOCOL"
          m=masked; echo "::add-mask::$m-by-the-job"; echo "then $m-by-the-job"
        env: {S: "${{ secrets.PASSWORD }}"}
      - name: hides ${{ secrets.PASSWORD }}
        shell: sh
        run: 'true'
%s`, name, label, services, more)
}

const hostSteps = `
      - name: make
        run: |
          mkdir -p act && printf '%s\n' 'runs: {using: composite, steps: [{name: within, shell: sh, run: echo inner}]}' > act/action.yml
      - name: composite
        uses: ./act
      - name: fails with ${{ secrets.PASSWORD }}
        continue-on-error: true
        working-directory: ${{ secrets.PASSWORD }}
        run: 'true'
`

// hostTree is a host job's part of the tree.
func hostTree(name string) []string {
	return []string{
		" RUN root1/demo/test.yml / " + name,
		"  clean up", "  composite", "   within", "  fails with ***", "  fetch task", "  hides ***", "  make", "  print", "  queue",
		"  set up job", "   open sandbox", "    make host workspace", "   prepare actions",
	}
}

// TestTelemetry has real runners and a real collector: the three signals of the jobs
// of one run arrive, belong together, and hold no secret. That is so in every sandbox,
// and where two runners share a run. A real Prometheus reads what one of them shows.
func TestTelemetry(t *testing.T) {
	for name, c := range map[string]observedCase{
		"host": {
			labels:  []string{"linux:host"},
			jobs:    []string{observedWorkflow("one", "linux", "", hostSteps), observedWorkflow("two", "linux", "", hostSteps)},
			tree:    slices.Concat(hostTree("one"), hostTree("two")),
			rows:    map[string]string{"inner": "within"},
			prepare: startPrometheus,
			live:    checkPrometheus,
		},
		"two runners": {
			labels:  []string{"linux:host", "other:host"},
			jobs:    []string{observedWorkflow("one", "linux", "", hostSteps), observedWorkflow("two", "other", "", hostSteps)},
			tree:    slices.Concat(hostTree("one"), hostTree("two")),
			rows:    map[string]string{"inner": "within"},
			example: true,
			live:    checkExample,
		},
		"wasm": {
			labels:  []string{"safe:wasm"},
			jobs:    []string{observedWorkflow("safe", "safe", "", "")},
			prepare: prepareWasm,
			rows:    map[string]string{"of the module": "module"},
			tree: []string{
				" RUN root1/demo/test.yml / safe",
				"  clean up", "  fetch task",
				"  hides ***", "   run WASM module", "    instantiate WASM module",
				"  make", "   run WASM module", "    instantiate WASM module",
				"  module", "   run WASM module", "    instantiate WASM module", "    load WASM module", "     compile WASM module", "      start WASM worker",
				"  print", "   run WASM module", "    instantiate WASM module",
				"  queue", "  set up job", "   open sandbox", "   prepare actions",
			},
			spare: true,
		},
		"container": {
			labels:  []string{""},                     // the image is prepared
			config:  "container: {network: bridge}\n", // so that the names of services need a network of the job's own
			jobs:    []string{observedWorkflow("boxed", "box", "db: {image: "+crashImage+", options: --health-cmd true --health-interval 100ms}", "")},
			prepare: prepareContainer,
			tree: []string{
				" RUN root1/demo/test.yml / boxed",
				"  clean up", "   remove containers",
				"  fetch task", "  hides ***", "  print", "  queue",
				"  set up job", "   open sandbox", "    create container", "    create network", "    pull image", "     layer ID",
				"    reach container engine", "    start container",
				"    start services", "     create container", "     start container", "     wait for health", "      service db becomes healthy",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &observation{observedCase: c, texts: map[string]string{}}
			o.execute(t)
			o.checkTree(t)
			o.checkExemplars(t)
			o.checkLogs(t)
			o.checkSecrets(t)
		})
	}
}

// execute has the runners execute the run, and end.
func (o *observation) execute(t *testing.T) {
	t.Helper()
	for i := range o.labels {
		r := newRig(t)
		if i == 0 {
			// Of a number of its own: the engine's containers are found by the runner's.
			r.withServer(giteatest.Options{RunsAPI: true, Seed: uint64(time.Now().UnixNano())})
			o.server = r.server
		} else {
			r.server, r.url = o.server, o.rigs[0].url
		}
		r.env = append(r.env, "OTEL_METRIC_EXPORT_INTERVAL=500")
		o.rigs, o.metrics = append(o.rigs, r), append(o.metrics, oteltest.FreeAddress(t))
	}
	base, shown := "", ""
	if o.example {
		base, shown = exampleFolder+"/collector.yaml", oteltest.FreeAddress(t)
		startExample(t, o, shown)
	}
	collector := startCollector(t, t.TempDir(), base, shown)
	if o.prepare != nil {
		o.prepare(t, o)
	}
	o.run = otel.Run{Server: o.rigs[0].url, Repository: "root1/demo", ID: observedRun, Attempt: 1}
	var runners []*process
	for i, r := range o.rigs {
		r.register("--labels", o.labels[i], "--name", fmt.Sprintf("runner-%d", i))
		r.write("c.yaml", o.config+`
metrics: {enabled: true, addr: "`+o.metrics[i]+`"}
otel:
  endpoint: http://`+collector.address+`
  job_logs: true
  step_endpoint: true
  trace_url_template: https://traces.example/{trace_id}
`)
		runners = append(runners, r.start("serve", "-c", "c.yaml"))
	}
	if o.example {
		seenByExample(t, o)
	}
	for _, workflow := range o.jobs {
		o.ids = append(o.ids, o.server.AddWorkflow(workflow, giteatest.TaskOptions{RunID: observedRun, Secrets: map[string]string{"PASSWORD": observedSecret}}))
	}
	ctx, cancel := context.WithCancel(within(t, 3*time.Minute))
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	for _, p := range runners { // one that has ended will bring no result
		watching.Go(func() {
			select {
			case <-p.ended:
				cancel()
			case <-ctx.Done():
			}
		})
	}
	for _, id := range o.ids {
		done, err := o.server.WaitResult(ctx, id)
		if err != nil || done.Result != task.Success {
			for _, p := range runners {
				t.Log(p.stderr.String())
			}
			t.Fatalf("%v, %v\n%s", done.Result, err, o.server.Log(id))
		}
	}
	if o.live != nil {
		o.live(t, o)
	}
	for i, p := range runners {
		text, err := getText("http://"+o.metrics[i]+"/metrics", "application/openmetrics-text; version=1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		o.texts[fmt.Sprintf("/metrics of runner %d", i)] = text
		p.signal(syscall.SIGTERM)
		if code := p.wait(); code != 0 {
			t.Errorf("serve: exit code %d: %s", code, p.stderr.String())
		}
		o.texts[fmt.Sprintf("the log of runner %d", i)] = p.stderr.String()
	}
	o.collected = collector.read()
	o.texts["what the collector has"] = o.collected.text
}

// checkTree: one trace, one root, and below it every span that there is to be.
func (o *observation) checkTree(t *testing.T) {
	t.Helper()
	c, root, ids, calls, workers := o.collected, o.run.RootSpanID().String(), map[string]bool{}, map[string]int{}, map[string]bool{}
	for i := range c.spans {
		s := &c.spans[i]
		if s.TraceID != o.run.TraceID().String() {
			t.Errorf("the span %s is in the trace %s, want %s", s.Name, s.TraceID, o.run.TraceID())
		}
		if ids[s.SpanID] {
			t.Errorf("the span %s has come twice, or its id has", s.Name)
		}
		ids[s.SpanID] = true
		if s.Parent != "" && c.span(s.Parent) == nil {
			t.Errorf("the parent of %s is nowhere", s.Name)
		}
		if (s.Parent == "") != (s.SpanID == root) {
			t.Errorf("the span %s has the id %s and the parent %q; the run's root is %s", s.Name, s.SpanID, s.Parent, root)
		}
		job := c.jobOf(s)
		if job == s {
			workers[attr(s.Attributes, "cicd.worker.id")] = true
			// From a span to its runner's metrics, whose label instance this is.
			if id := attr(s.Resource, "service.instance.id"); id != attr(s.Attributes, "cicd.worker.id") {
				t.Errorf("%s is of the instance %q and the worker %q", s.Name, id, attr(s.Attributes, "cicd.worker.id"))
			}
		} else if strings.HasPrefix(s.Name, callSpan) && job != nil {
			calls[job.Name]++
		}
	}
	lines := slices.DeleteFunc(c.tree("", 0), func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), callSpan) })
	opening := false
	lines = slices.DeleteFunc(lines, func(line string) bool {
		within := opening && strings.HasPrefix(line, "    ")
		opening = within || strings.TrimSpace(line) == "open sandbox"
		return within && o.spare
	})
	for i := range lines {
		lines[i] = layerSpan.ReplaceAllString(lines[i], "layer ID")
	}
	if d := cmp.Diff(append([]string{"RUN root1/demo/test.yml"}, o.tree...), lines); d != "" {
		t.Errorf("the tree of spans (-want +got):\n%s", d)
	}
	if len(workers) != len(o.rigs) {
		t.Errorf("the jobs' spans are of the workers %v, want %d", workers, len(o.rigs))
	}
	for _, s := range c.spans {
		if c.jobOf(&s) != nil && c.jobOf(&s).SpanID == s.SpanID && calls[s.Name] < 3 {
			t.Errorf("%s has %d calls of the server", s.Name, calls[s.Name])
		}
	}
}

// callSpan is what the names of calls' spans begin with.
const callSpan = "runner.v1.RunnerService/"

// layerSpan is the name of the span of an image's layer.
var layerSpan = regexp.MustCompile(`layer [0-9a-f]{12}$`)

var textExemplar = regexp.MustCompile(`span_id="([0-9a-f]{16})",trace_id="([0-9a-f]{32})"|trace_id="([0-9a-f]{32})",span_id="([0-9a-f]{16})"`)

// checkExemplars: those that the collector has, and those on /metrics, are of spans that
// the collector has.
func (o *observation) checkExemplars(t *testing.T) {
	t.Helper()
	check := func(where, trace, span string) {
		if trace != o.run.TraceID().String() || o.collected.span(span) == nil {
			t.Errorf("the exemplar %s %s of %s is no span that the collector has", trace, span, where)
		}
	}
	of := map[string]bool{}
	for _, e := range o.collected.exemplars {
		check(e.Metric, e.TraceID, e.SpanID)
		of[e.Metric] = true
	}
	for _, name := range []string{"act_runner_job_duration", "act_runner_job_queue_duration", "act_runner_step_duration", "act_runner_report_state_duration", "cicd.pipeline.run.duration"} {
		if !of[name] {
			t.Errorf("of %s the collector has no exemplar; it has some of %v", name, of)
		}
	}
	for i := range o.rigs {
		where := fmt.Sprintf("/metrics of runner %d", i)
		shown := textExemplar.FindAllStringSubmatch(o.texts[where], -1)
		for _, e := range shown {
			check(where, e[2]+e[3], e[1]+e[4])
		}
		if len(shown) < 3 {
			t.Errorf("%d exemplars on %s", len(shown), where)
		}
	}
}

// checkLogs: each row of a job's log is a record of that job, in a span of that job's;
// what a step was told of its span is true.
func (o *observation) checkLogs(t *testing.T) {
	t.Helper()
	c, trace := o.collected, o.run.TraceID().String()
	for _, id := range o.ids {
		found, own, task := map[string]*otlpSpan{}, false, fmt.Sprint(id)
		for _, l := range c.logs {
			span := c.span(l.SpanID)
			job := c.jobOf(span)
			if l.TraceID != trace || job == nil || attr(job.Attributes, "cicd.pipeline.task.run.id") != task {
				continue
			}
			own = own || l.Body.Text == "task done"
			if service := attr(l.Resource, "service.name"); service != otel.DefaultServiceName { // Loki's label service_name
				t.Errorf("the row %q is of the service %q", l.Body.Text, service)
			}
			if attr(l.Attributes, "cicd.pipeline.task.run.id") == task && attr(l.Attributes, "cicd.pipeline.run.id") == fmt.Sprint(observedRun) {
				found[l.Body.Text] = span
			}
		}
		log := o.server.Log(id)
		for row := range strings.Lines(log) {
			if row = strings.TrimSuffix(row, "\n"); row != "" && found[row] == nil {
				t.Errorf("the row %q of task %d is no record in the job's spans", row, id)
			}
		}
		in := map[string]string{"the secret is ***": "print", "then ***": "print"}
		for row, span := range o.rows {
			in[row] = span
		}
		for row, want := range in {
			if s := found[row]; s == nil || s.Name != want {
				t.Errorf("the row %q of task %d is in %+v, want the step %s", row, id, s, want)
			}
		}
		if !own {
			t.Errorf("the runner's own line of task %d is not in its trace", id)
		}
		o.checkTold(t, log)
	}
}

// checkTold: what a job's steps and readers are told of its trace.
func (o *observation) checkTold(t *testing.T, log string) {
	t.Helper()
	told := regexp.MustCompile(`(?m)^parent 00-` + o.run.TraceID().String() + `-([0-9a-f]{16})-01 state otelrunner=[0-9a-f]{16} baggage \S*cicd\.pipeline\.name=root1/demo/test\.yml`).FindStringSubmatch(log)
	if told == nil {
		t.Errorf("the step is not told of its span:\n%s", log)
	} else if s := o.collected.span(told[1]); s == nil || s.Name != "print" {
		t.Errorf("TRACEPARENT is of %+v, want the step", s)
	}
	endpoint := `(?m)^endpoint http://127\.0\.0\.1:[0-9]+/[A-Z2-7]{20,} http/protobuf$`
	if strings.HasSuffix(o.labels[0], ":wasm") {
		endpoint = `(?m)^endpoint none $` // a module has no sockets
	}
	if !regexp.MustCompile(endpoint).MatchString(log) {
		t.Errorf("the log has no %s:\n%s", endpoint, log)
	}
	if !strings.Contains(log, "Trace: https://traces.example/"+o.run.TraceID().String()) {
		t.Error("the job's log does not say where its trace is")
	}
}

// checkSecrets: nothing that anybody keeps secret is in a signal, or in what the
// runners show and say.
func (o *observation) checkSecrets(t *testing.T) {
	t.Helper()
	secrets := map[string]string{"the password": observedSecret, "what the job has masked": "masked-by-the-job", "the token of registrations": giteatest.DefaultToken}
	for _, id := range o.ids {
		w := o.server.Wire(id)
		for name, value := range w.GetSecrets() {
			secrets[name] = value
		}
		for _, name := range []string{"token", "gitea_runtime_token"} {
			secrets[name] = w.GetContext().GetFields()[name].GetStringValue()
		}
	}
	for i, r := range o.rigs {
		data, err := os.ReadFile(filepath.Join(r.dir, ".runner"))
		var file struct{ Token string }
		if err == nil {
			err = json.Unmarshal(data, &file)
		}
		if err != nil {
			t.Fatal(err)
		}
		secrets[fmt.Sprintf("the token of runner %d", i)] = file.Token
	}
	for what, secret := range secrets {
		if len(secret) < 8 {
			t.Errorf("%s is %q", what, secret)
			continue
		}
		for where, text := range o.texts {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
	if !strings.Contains(o.collected.text, "cicd.pipeline.run.duration") || !strings.Contains(o.collected.text, "act_runner_step_duration") {
		t.Error("the collector has no metrics of pipelines or steps")
	}
}
