package runner

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/job/jobtest"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/wasmtest"

	"github.com/google/go-cmp/cmp"
)

// told is the row of a step that says what it was told of its span.
const told = "~^parent=00-[0-9a-f]{32}-[0-9a-f]{16}-01 state=none baggage=.*cicd"

// fileSpan is a span of --trace-out.
type fileSpan struct {
	TraceID, SpanID, ParentSpanID, Name string
	Kind                                int
	StartTimeUnixNano, EndTimeUnixNano  string
	Attributes                          []struct {
		Key   string
		Value map[string]any
	}
	Status struct {
		Code    int
		Message string
	}
}

func (s *fileSpan) attr(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			for _, v := range a.Value {
				return fmt.Sprint(v)
			}
		}
	}
	return ""
}

// traceOf runs a case by Exec and gives its spans, in the order of their starts.
func traceOf(t *testing.T, c *jobtest.Case, change func(*ExecOptions)) []fileSpan {
	t.Helper()
	for _, v := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(v, "")
	}
	c.Serve(t)
	r := newRecorders(c)
	o := execOptions(t, c, suiteConfig(t, t.TempDir()), r, nil)
	o.TraceOut = filepath.Join(t.TempDir(), "trace.json")
	change(&o)
	result, err := Exec(t.Context(), o)
	checkWorkflow(t, c, result, err, r.outcomes(t))
	data, err := os.ReadFile(o.TraceOut)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		ResourceSpans []struct{ ScopeSpans []struct{ Spans []fileSpan } }
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var all []fileSpan
	for _, r := range file.ResourceSpans {
		for _, s := range r.ScopeSpans {
			all = append(all, s.Spans...)
		}
	}
	return all
}

// treeOf writes spans below each other: kind, name, how it ended and what else is
// constant. Those of one parent that run beside each other are sorted.
func treeOf(spans []fileSpan, beside ...string) (lines []string) {
	var below func(parent string, depth int) []string
	below = func(parent string, depth int) (lines []string) {
		var blocks [][]string
		for i := range spans {
			s := &spans[i]
			if s.ParentSpanID != parent {
				continue
			}
			line := strings.Repeat("  ", depth) + map[int]string{1: "", 2: "server ", 3: "client "}[s.Kind] + s.Name
			for _, key := range []string{"cicd.pipeline.result", "cicd.pipeline.task.run.result", "error.type", "process.exit.code", "otelrunner.sandbox", "container.image.name"} {
				if v := s.attr(key); v != "" {
					line += " " + v
				}
			}
			if s.Status.Code == 2 {
				line += " !" + s.Status.Message
			}
			blocks = append(blocks, append([]string{line}, below(s.SpanID, depth+1)...))
		}
		if len(blocks) > 0 && slices.ContainsFunc(beside, func(name string) bool {
			return slices.ContainsFunc(spans, func(s fileSpan) bool { return s.SpanID == parent && s.Name == name })
		}) {
			slices.SortStableFunc(blocks, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
		}
		return slices.Concat(blocks...)
	}
	return below("", 0)
}

// checkSpans looks at what every span has: one trace, a place in its parent's time,
// and the attributes that the conventions require of a task's run (semconv 1.43).
func checkSpans(t *testing.T, spans []fileSpan) {
	t.Helper()
	byID, runs := map[string]*fileSpan{}, map[string]string{}
	for i := range spans {
		byID[spans[i].SpanID] = &spans[i]
	}
	for i := range spans {
		s := &spans[i]
		if s.TraceID != spans[0].TraceID {
			t.Errorf("%s is in another trace", s.Name)
		}
		if p := byID[s.ParentSpanID]; s.ParentSpanID != "" && (p == nil || s.StartTimeUnixNano < p.StartTimeUnixNano) {
			t.Errorf("%s begins before what it is in, or that is not there", s.Name)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano {
			t.Errorf("%s ends before it begins", s.Name)
		}
		if (s.attr("error.type") != "") != (s.Status.Code == 2) {
			t.Errorf("%s has the error.type %q and the status %d", s.Name, s.attr("error.type"), s.Status.Code)
		}
		if s.attr("cicd.pipeline.task.run.result") == "" {
			continue
		}
		id := s.attr("cicd.pipeline.task.run.id")
		if s.attr("cicd.pipeline.task.name") != s.Name || id == "" || s.attr("cicd.pipeline.name") == "" {
			t.Errorf("%s lacks what is required: %v", s.Name, s.Attributes)
		}
		if other, taken := runs[id]; taken {
			t.Errorf("%s and %s have the same cicd.pipeline.task.run.id %s", other, s.Name, id)
		}
		runs[id] = s.Name
	}
}

// TestTraceTreeHost: the whole tree of a host job's spans, with an action that is
// fetched, composite steps, a step of each end, and post steps.
func TestTraceTreeHost(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("no Node.js to test with: install Debian's package nodejs")
	}
	c := &jobtest.Case{
		Name:  "tree",
		Files: map[string]string{"act/action.yml": "runs: {using: composite, steps: [{name: within, shell: sh, run: exit 0}, {shell: sh, run: exit 5}]}\n"},
		Repos: map[string]map[string]string{"acts/js@v1": {
			"action.yml": "runs: {using: node20, pre: p.js, main: m.js, post: q.js}\n",
			"p.js":       "", "m.js": "", "q.js": "process.exit(4)",
		}},
		Workflow: `
on: push
jobs:
  t:
    runs-on: host
    steps:
      - {name: first, run: 'true'}
      - {name: local, uses: ./act, continue-on-error: true}
      - {uses: acts/js@v1}
      - {name: no such directory, run: 'true', working-directory: nowhere, continue-on-error: true}
      - {name: slow, run: sleep 60, timeout-minutes: 0.005, continue-on-error: true}
      - {name: last, run: 'true'}
`,
		Want: jobtest.Want{Result: "failure", Steps: []string{"success", "success", "success", "success", "success", "success"}},
	}
	spans := traceOf(t, c, func(*ExecOptions) {})
	checkSpans(t, spans)
	want := []string{
		"server RUN case.yml failure job_failed !a job failed",
		"  server RUN octo/demo/case.yml / t failure process_exit host !exit code 4",
		"    set up job",
		"      open sandbox host",
		"        make host workspace",
		"      prepare actions",
		"        fetch action",
		"          client resolve ref",
		"      Pre Run acts/js@v1 success",
		"    first success",
		"    local failure process_exit !exit code 5",
		"      within success",
		"      Run exit 5 failure process_exit 5 !exit code 5",
		"    Run acts/js@v1 success",
		"    no such directory failure directory_not_found !working directory WORK/nowhere does not exist or is not a folder",
		"    slow timeout timeout !the step's time is over",
		"    last success",
		"    Post Run acts/js@v1 failure process_exit 4 !exit code 4",
		"    clean up",
	}
	got := treeOf(spans)
	for i := range got { // the folder of a job is new each time
		got[i] = regexp.MustCompile(`working directory \S+/demo/`).ReplaceAllString(got[i], "working directory WORK/")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the spans (-want +got):\n%s", d)
	}
}

// TestTraceTreeModule: the same of a module in a host job, which nobody has compiled
// before.
func TestTraceTreeModule(t *testing.T) {
	c := &jobtest.Case{
		Name:     "tree",
		Files:    map[string]string{"tool.wasm": string((wasmtest.Module{Pages: 1, Funcs: []wasmtest.Func{{}}}).Bytes())},
		Workflow: "on: push\njobs: {t: {runs-on: host, steps: [{name: module, uses: wasm://./tool.wasm}]}}\n",
		Want:     jobtest.Want{Result: "success", Steps: []string{"success"}},
	}
	spans := traceOf(t, c, func(o *ExecOptions) {
		change, cache := wasmOfTests(t), t.TempDir()
		o.seams.wasm = func(w *wasm.Options) { change(w); w.Cache = cache }
	})
	checkSpans(t, spans)
	want := []string{
		"server RUN case.yml success",
		"  server RUN octo/demo/case.yml / t success host",
		"    set up job",
		"      open sandbox host",
		"        make host workspace",
		"      prepare actions",
		"    module success",
		"      start WASM worker",
		"      run WASM module",
		"        instantiate WASM module",
		"        load WASM module",
		"          compile WASM module",
		"            start WASM worker",
		"    clean up",
	}
	if d := cmp.Diff(want, treeOf(spans)); d != "" {
		t.Errorf("the spans (-want +got):\n%s", d)
	}
}

// TestTraceTreeRefusedModule: the loading of a module that is none has failed.
func TestTraceTreeRefusedModule(t *testing.T) {
	c := &jobtest.Case{
		Name:     "tree",
		Files:    map[string]string{"tool.wasm": "\x00asm\x01\x00\x00\x00\x63\x01\x00"},
		Workflow: "on: push\njobs: {t: {runs-on: host, steps: [{name: module, uses: wasm://./tool.wasm}]}}\n",
		Want:     jobtest.Want{Result: "failure", Steps: []string{"failure"}},
	}
	spans := traceOf(t, c, func(o *ExecOptions) { o.seams.wasm = wasmOfTests(t) })
	tree := strings.Join(treeOf(spans), "\n")
	if !strings.Contains(tree, "\n        load WASM module module_refused !") {
		t.Errorf("the spans:\n%s", tree)
	}
}

// TestTraceTreeWasm: the same of a job in the WASM sandbox.
func TestTraceTreeWasm(t *testing.T) {
	c := &jobtest.Case{
		Name: "tree",
		Workflow: `
on: push
jobs:
  t:
    runs-on: host
    steps:
      - {name: first, run: 'echo "parent=$TRACEPARENT state=${TRACESTATE-none} baggage=$BAGGAGE"'}
      - {name: fails, run: exit 7, continue-on-error: true}
`,
		Want: jobtest.Want{Result: "success", Steps: []string{"success", "success"}, Log: []string{told}},
	}
	spans := traceOf(t, c, func(o *ExecOptions) {
		o.seams.wasm = wasmOfTests(t)
		o.Labels = wasmLabels(t)
	})
	checkSpans(t, spans)
	want := []string{
		"server RUN case.yml success",
		"  server RUN octo/demo/case.yml / t success wasm",
		"    set up job",
		"      open sandbox wasm",
		"        load WASM module",
		"        start WASM worker",
		"    first success",
		"      run WASM module",
		"        instantiate WASM module",
		"    fails failure process_exit 7 !exit code 7",
		"      run WASM module",
		"        instantiate WASM module",
		"    clean up",
	}
	// The shell is compiled where no job of this machine has had it before.
	got := slices.DeleteFunc(treeOf(spans), func(line string) bool {
		return line == "          compile WASM module" || line == "            start WASM worker"
	})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the spans (-want +got):\n%s", d)
	}
}

// TestTraceTreeContainer: the same of a job in a container with a service.
func TestTraceTreeContainer(t *testing.T) {
	makeSuiteImage(t)
	c := &jobtest.Case{
		Name: "tree",
		Workflow: fmt.Sprintf(`
on: push
jobs:
  t:
    runs-on: linux
    services:
      db: {image: %q, options: --health-cmd true --health-interval 100ms}
    steps:
      - {name: first, run: 'echo "parent=$TRACEPARENT state=${TRACESTATE-none} baggage=$BAGGAGE"'}
      - {name: fails, run: exit 7, continue-on-error: true}
`, sleepImage),
		Want: jobtest.Want{Result: "success", Steps: []string{"success", "success"}, Log: []string{told}},
	}
	spans := traceOf(t, c, func(o *ExecOptions) {
		o.Config.Container.DockerHost, o.Config.Container.DockerTimeout, o.Config.Container.Pull = "", 10*time.Second, "never"
		o.Labels = suiteLabels(t)
	})
	checkSpans(t, spans)
	want := []string{
		"server RUN case.yml success",
		"  server RUN octo/demo/case.yml / t success docker",
		"    set up job",
		"      open sandbox docker",
		"        create container " + suiteImage,
		"        create network",
		"        reach container engine",
		"        start container " + suiteImage,
		"        start services",
		"          create container " + sleepImage,
		"          start container " + sleepImage,
		"          wait for health",
		"            service db becomes healthy " + sleepImage,
		"    first success",
		"    fails failure process_exit 7 !exit code 7",
		"    clean up",
		"      remove containers",
	}
	if d := cmp.Diff(want, treeOf(spans, "open sandbox")); d != "" {
		t.Errorf("the spans (-want +got):\n%s", d)
	}
}

// TestTraceTreeHostDocker: the same of a host job with an action that is built, and
// runs in a container.
func TestTraceTreeHostDocker(t *testing.T) {
	makeSuiteImage(t)
	c := &jobtest.Case{
		Name:  "tree",
		Files: map[string]string{"act/Dockerfile": "FROM " + suiteImage + "\nENTRYPOINT [\"sh\", \"-c\"]\n"},
		Workflow: fmt.Sprintf(`
on: push
jobs:
  t:
    runs-on: host
    steps:
      - {name: first, run: 'true'}
      - {name: built, uses: ./act, with: {args: '"echo parent=$TRACEPARENT state=${TRACESTATE-none} baggage=$BAGGAGE"'}}
      - {name: fails, uses: "docker://%s", with: {entrypoint: sh, args: '-c "exit 7"'}, continue-on-error: true}
`, suiteImage),
		Want: jobtest.Want{Result: "success", Steps: []string{"success", "success", "success"}, Log: []string{told}},
	}
	spans := traceOf(t, c, func(o *ExecOptions) {
		o.Config.Container.DockerHost, o.Config.Container.DockerTimeout, o.Config.Container.Pull = "", 10*time.Second, "never"
	})
	checkSpans(t, spans)
	want := []string{
		"server RUN case.yml success",
		"  server RUN octo/demo/case.yml / t success host",
		"    set up job",
		"      open sandbox host",
		"        make host workspace",
		"      prepare actions",
		"    first success",
		"    built success",
		"      reach container engine",
		"      create network",
		"      build image",
		"      create container IMAGE",
		"      start container IMAGE",
		"    fails failure process_exit 7 !exit code 7",
		"      create container " + suiteImage,
		"      start container " + suiteImage,
		"    clean up",
		"      remove containers",
	}
	got := treeOf(spans)
	for i := range got { // it is named by what it is built from
		got[i] = regexp.MustCompile(`otelrunner-action:\w+`).ReplaceAllString(got[i], "IMAGE")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the spans (-want +got):\n%s", d)
	}
}
