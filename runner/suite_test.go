package runner

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"

	"go.yaml.in/yaml/v4"
)

// suiteFolders hold the cases: those of the engine, and those that need more
// than it.
var suiteFolders = []string{"job/testdata", "testdata/suite"}

// minSuite is how many cases there must be at least.
const minSuite = 150

func suiteCases(t *testing.T) []jobtest.Case {
	t.Helper()
	var all []jobtest.Case
	seen := map[string]bool{}
	for _, dir := range suiteFolders {
		cases, err := jobtest.Load(os.DirFS(dir))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			if seen[c.Name] {
				t.Fatalf("the case %q is there twice", c.Name)
			}
			seen[c.Name] = true
			all = append(all, c)
		}
	}
	if len(all) < minSuite {
		t.Errorf("there are %d cases, want at least %d", len(all), minSuite)
	}
	return all
}

// suiteConfig is a runner's configuration in folders of the test's own.
func suiteConfig(t *testing.T, work string) *config.Config {
	t.Helper()
	cfg := config.Default()
	cfg.Host.WorkdirParent = work
	cfg.Runner.ActionsDir = filepath.Join(work, "actions")
	cfg.Cache.Dir = filepath.Join(work, "cache")
	cfg.Runner.Envs = map[string]string{"FROM_RUNNER": "runner-envs"}
	cfg.Metrics.Enabled = false
	cfg.Container.DockerHost, cfg.Container.DockerTimeout = "unix:///nowhere/docker.sock", 0 // the cases' containers are refused
	return &cfg
}

// TestSuiteExec runs every case as `runner exec` does: from a folder with the
// workflow and the case's files.
func TestSuiteExec(t *testing.T) {
	t.Parallel()
	work := filepath.Join(t.TempDir(), "work")
	for _, c := range suiteCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.SkipUnless(t)
			if c.Only == "rpc" {
				return // it is about what only a server sends
			}
			c.Serve(t)
			r := newRecorders(&c)
			result, err := Exec(t.Context(), execOptions(t, &c, suiteConfig(t, work), r, nil))
			checkWorkflow(t, &c, result, err, r.outcomes(t))
		})
	}
}

// execOptions are what the command line would give for a case.
func execOptions(t *testing.T, c *jobtest.Case, cfg *config.Config, r *recorders, e engine) ExecOptions {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	for name, text := range c.Files {
		writeFile(t, filepath.Join(dir, filepath.FromSlash(name)), text, 0o755)
	}
	file := filepath.Join(dir, ".gitea", "workflows", "case.yml")
	writeFile(t, file, withNeeds(t, c), 0o644)
	labels, err := label.ParseList([]string{"host:host", "second:host", "box:docker://box:1"})
	if err != nil {
		t.Fatal(err)
	}
	tk := c.Task(1)
	context := jobtest.DefaultContext()
	if len(c.Inputs) > 0 || !strings.Contains(c.Workflow, "push") {
		delete(context, "event_name") // the workflow says which
	}
	delete(context, "job")
	delete(context, "workflow")
	maps.Copy(context, c.GitHub)
	o := ExecOptions{
		Config: cfg, Version: "v9.9.9", Environ: os.Environ(), Log: slog.NewTextHandler(t.Output(), nil),
		File: file, Dir: dir, Labels: labels, Job: onlyJob(c),
		Secrets: tk.Secrets, Vars: c.Vars, Out: io.Discard, Inputs: c.Inputs, Parallel: c.Parallel,
		seams: execSeams{name: "tester", engine: e, context: context, watch: r.watch},
	}
	o.EventName, _ = context["event_name"].(string)
	delete(context, "event_name") // it is given, and so is the event
	o.Event, _ = context["event"].(map[string]any)
	delete(context, "event")
	return o
}

// onlyJob is the job that a case is about, where others stand for its needs.
func onlyJob(c *jobtest.Case) string {
	if len(c.Jobs) > 0 {
		return "t"
	}
	return ""
}

// withNeeds is the case's workflow as a file has it: with a job for each of those that the case
// says have ended before.
func withNeeds(t *testing.T, c *jobtest.Case) string {
	t.Helper()
	text := c.Workflow
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return text // a case of its own
	}
	if child(doc.Content[0], "on") == nil {
		text = "on: push\n" + text // a server leaves the key away at times
	}
	if len(c.Jobs) == 0 {
		return text
	}
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	jobs := child(doc.Content[0], "jobs")
	for id, j := range c.Jobs {
		stub := map[string]any{"runs-on": "host", "steps": []any{map[string]any{"run": "true"}}}
		switch j["result"] {
		case "failure":
			stub["steps"] = []any{map[string]any{"run": "exit 1"}}
		case "skipped":
			stub["if"] = false
		case "cancelled":
			t.Fatal("a need that was cancelled is there only over RPC: the case is to say only: rpc")
		}
		if outputs := j["outputs"]; outputs != nil {
			stub["outputs"] = outputs
		}
		var node yaml.Node
		if err := node.Encode(stub); err != nil {
			t.Fatal(err)
		}
		jobs.Content = append(jobs.Content, textNode(id), &node)
	}
	data, err := yaml.Marshal(&doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// checkWorkflow compares what the jobs came to with what the case wants.
func checkWorkflow(t *testing.T, c *jobtest.Case, result task.Result, err error, jobs map[string]jobtest.Outcome) {
	t.Helper()
	if c.Want.Error != "" {
		ok := &jobtest.Case{Want: jobtest.Want{Result: c.Want.Result, Log: []string{c.Want.Error}}}
		ok.Check(t, jobtest.Outcome{Result: result, Rows: strings.Split(fmt.Sprint(err), "\n")})
		return
	}
	if err != nil && c.Want.Jobs == nil { // exec refuses before anything runs what a task fails by
		var rows []string
		for line := range strings.SplitSeq(err.Error(), "\n") {
			rows = append(rows, job.RowError+line)
		}
		c.Check(t, jobtest.Outcome{Result: task.Failure, Rows: rows})
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if c.Want.Jobs == nil {
		for _, o := range jobs {
			if len(jobs) == 1 || o.ID == onlyJob(c) {
				c.Check(t, o)
				return
			}
		}
		t.Fatalf("the jobs are %q, want one", slices.Sorted(maps.Keys(jobs)))
	}
	if string(result) != c.Want.Result {
		t.Errorf("result %s, want %s", result, c.Want.Result)
	}
	if got, want := slices.Sorted(maps.Keys(jobs)), slices.Sorted(maps.Keys(c.Want.Jobs)); !slices.Equal(got, want) {
		t.Errorf("jobs %q, want %q", got, want)
	}
	for name, want := range c.Want.Jobs {
		t.Run(name, func(t *testing.T) {
			(&jobtest.Case{Want: want}).Check(t, jobs[name])
		})
	}
}

// recorders keep what each job of a run says.
type recorders struct {
	task *task.Task // its secrets are masked
	mu   sync.Mutex
	list []*recorder
}

type recorder struct {
	*jobtest.Recorder
	id, name string
	mu       sync.Mutex
	result   task.Result
}

func newRecorders(c *jobtest.Case) *recorders { return &recorders{task: c.Task(1)} }

func (r *recorders) watch(id, name string) watch {
	rec := &recorder{Recorder: jobtest.NewRecorder(r.task), id: id, name: name}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, rec)
	return rec
}

func (r *recorder) Ended(result task.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result = result
}

// outcomes are what the jobs came to, by their names. Their rows must have come
// in order.
func (r *recorders) outcomes(t *testing.T) map[string]jobtest.Outcome {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]jobtest.Outcome{}
	for _, rec := range r.list {
		for _, p := range rec.Problems() {
			t.Errorf("%s: %s", rec.name, p)
		}
		o := rec.Outcome(rec.result)
		o.ID = rec.id
		out[rec.name] = o
	}
	return out
}

// TestSuiteRPC runs every case over the real protocol: one server, one runner
// with the host sandbox. The tasks of a workflow of several jobs are split by
// Exec's plan, as a server splits them.
func TestSuiteRPC(t *testing.T) {
	t.Parallel()
	rig := newSuiteRig(t)
	t.Run("cases", func(t *testing.T) {
		for _, c := range suiteCases(t) {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				c.SkipUnless(t)
				if c.Only == "exec" {
					return // it is about what only exec does
				}
				c.Serve(t)
				if c.Want.Jobs == nil {
					got := rig.single(t, &c)
					checkWorkflow(t, &c, got.Result, nil, map[string]jobtest.Outcome{"": got})
					return
				}
				r := newRecorders(&c)
				o := execOptions(t, &c, rig.cfg, r, remote{rig, t, &c})
				result, err := Exec(t.Context(), o)
				checkWorkflow(t, &c, result, err, r.outcomes(t))
			})
		}
	})
}

// suiteRig is a server and a runner that serves it.
type suiteRig struct {
	server *giteatest.Server
	cfg    *config.Config
	wasm   func(*wasm.Options)

	mu    sync.Mutex
	files map[string]*jobtest.Case // by the id of the task
}

func newSuiteRig(t *testing.T) *suiteRig {
	t.Helper()
	return newRig(t, nil, "host:host", "second:host", "box:docker://box:1")
}

// newRig is a server and a runner with these labels, changed before it starts.
func newRig(t *testing.T, change func(*suiteRig), labels ...string) *suiteRig {
	t.Helper()
	rig := &suiteRig{server: giteatest.New(giteatest.Options{}), files: map[string]*jobtest.Case{}}
	t.Cleanup(rig.server.Close)
	url, err := rig.server.Start()
	if err != nil {
		t.Fatal(err)
	}
	rig.cfg = suiteConfig(t, filepath.Join(t.TempDir(), "work"))
	rig.cfg.Runner.File = filepath.Join(t.TempDir(), ".runner")
	rig.cfg.Runner.Capacity = 4
	rig.cfg.Runner.FetchInterval, rig.cfg.Runner.FetchIntervalMax = 20*time.Millisecond, 50*time.Millisecond
	rig.cfg.Runner.Labels = labels
	list, err := label.ParseList(labels)
	if err != nil {
		t.Fatal(err)
	}
	uuid, token := rig.server.AddRunner(giteatest.RunnerOptions{Name: "tester", Labels: list.Names()})
	reg := &gitea.Registration{ID: 1, UUID: uuid, Name: "tester", Token: token, Address: url, Labels: rig.cfg.Runner.Labels}
	if err := reg.Save(rig.cfg.Runner.File); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(rig)
	}
	rig.serve(t)
	return rig
}

// serve runs the runner until the test is over.
func (rig *suiteRig) serve(t *testing.T) {
	t.Helper()
	stops := make(chan struct{}, 3)
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		ended <- Serve(context.WithoutCancel(t.Context()), ServeOptions{
			Config: rig.cfg, Version: "v9.9.9", Environ: os.Environ(), Log: slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}),
			Stops: stops, Ready: func(net.Addr) { close(ready) }, wasm: rig.wasm,
			onHost: func(p sandbox.Provider) sandbox.Provider { return casefiles{p, rig} },
			onWasm: func(p sandbox.Provider) sandbox.Provider { return casefiles{p, rig} },
		})
	}()
	t.Cleanup(func() {
		stops <- struct{}{}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("serve: %v", err)
	}
}

// casefiles puts a case's files into the workspace of its tasks.
type casefiles struct {
	sandbox.Provider
	rig *suiteRig
}

func (p casefiles) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	id := strings.Split(spec.ID, "-")[1] // task-ID-random
	p.rig.mu.Lock()
	c := p.rig.files[id]
	p.rig.mu.Unlock()
	if c == nil {
		return p.Provider.Open(ctx, spec)
	}
	return c.WithFiles(p.Provider).Open(ctx, spec)
}

// run hands a task to the runner and waits for what it reports.
func (rig *suiteRig) run(t testing.TB, c *jobtest.Case, tk *task.Task) jobtest.Outcome {
	t.Helper()
	gh := maps.Clone(tk.Context)
	delete(gh, "gitea_runtime_token")
	rig.mu.Lock() // the runner must not look for the files before they are there
	id := rig.server.AddWorkflow(string(tk.Workflow), giteatest.TaskOptions{
		Secrets: tk.Secrets, Vars: tk.Vars, Needs: tk.Needs, Context: gh, Labels: []string{"host"},
	})
	rig.files[strconv.FormatInt(id, 10)] = c
	rig.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	got, err := rig.server.WaitResult(ctx, id)
	if err != nil {
		t.Error(err)
		return jobtest.Outcome{}
	}
	o := jobtest.Outcome{Result: got.Result, Outputs: got.Outputs, Summary: got.Summaries}
	for _, row := range rig.server.Rows(id) {
		o.Rows = append(o.Rows, row.Content)
	}
	for _, s := range got.Steps {
		o.Steps = append(o.Steps, s.Result)
	}
	if !got.Sealed {
		t.Error("the log is not sealed")
	}
	checkBoundaries(t, got, o.Rows)
	return o
}

func (rig *suiteRig) single(t *testing.T, c *jobtest.Case) jobtest.Outcome {
	t.Helper()
	tk := c.Task(0)
	if len(c.Inputs) > 0 {
		event := maps.Clone(tk.Context["event"].(map[string]any))
		inputs := map[string]any{}
		for k, v := range c.Inputs {
			inputs[k] = v
		}
		event["inputs"] = inputs
		tk.Context["event"] = event
		if _, said := c.GitHub["event_name"]; !said {
			tk.Context["event_name"] = "workflow_dispatch"
		}
	}
	return rig.run(t, c, tk)
}

// checkBoundaries checks that the steps' parts of the log follow one another:
// Gitea's page computes where "Complete job" begins from the first index and the
// sum of the lengths.
func checkBoundaries(t testing.TB, got giteatest.Task, rows []string) {
	t.Helper()
	next := int64(-1)
	for _, s := range got.Steps {
		if s.LogLength == 0 && (s.Result == task.Skipped || s.LogIndex == 0) {
			continue
		}
		if next >= 0 && s.LogIndex != next {
			t.Errorf("step %d begins at row %d, want %d: right after the one before", s.ID, s.LogIndex, next)
		}
		next = s.LogIndex + s.LogLength
	}
	if next > int64(len(rows)) {
		t.Errorf("the steps have %d rows, the log has %d", next, len(rows))
	}
}

// remote is an engine that runs tasks on the runner behind the server.
type remote struct {
	rig *suiteRig
	t   testing.TB
	c   *jobtest.Case
}

func (r remote) Run(_ context.Context, _ <-chan struct{}, t *task.Task, sink job.Sink) task.Result {
	o := r.rig.run(r.t, r.c, t)
	for _, row := range o.Rows {
		sink.Row(time.Now(), row)
	}
	for i, s := range o.Steps {
		if s != task.Skipped {
			sink.StepStarted(i, time.Now())
		}
		sink.StepFinished(i, s, time.Now())
	}
	for _, name := range slices.Sorted(maps.Keys(o.Outputs)) {
		sink.SetOutput(name, o.Outputs[name])
	}
	for i, text := range o.Summary {
		sink.SetSummary(i, []byte(text))
	}
	return o.Result
}
