package runner

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/toolbox"
	"otelrunner/sandbox/wasm/wasmtest"
)

func TestMain(m *testing.M) {
	status := m.Run()
	theWorker.remove()
	os.Exit(status)
}

// theWorker is the worker program of all tests, built when the first one needs it.
var theWorker testWorker //nolint:gochecknoglobals // TestMain removes it

type testWorker struct {
	once sync.Once
	name string
	done func()
	err  error
}

func (w *testWorker) program(t testing.TB) string {
	t.Helper()
	w.once.Do(func() { w.name, w.done, w.err = wasmtest.BuildWorker() })
	if w.err != nil {
		t.Fatal(w.err)
	}
	return w.name
}

func (w *testWorker) remove() {
	if w.done != nil {
		w.done()
	}
}

// wasmOfTests changes the WASM sandbox for tests: the worker is a program of its
// own, and compiled modules are kept from test to test.
func wasmOfTests(t testing.TB) func(*wasm.Options) {
	t.Helper()
	if !toolbox.There() {
		t.Skip("no toolbox: make toolbox builds it")
	}
	return wasmHere(t)
}

// moduleWasm is wasmOfTests without a shell: modules need none.
func moduleWasm(t testing.TB) func(*wasm.Options) {
	t.Helper()
	change := wasmHere(t)
	return func(o *wasm.Options) {
		change(o)
		o.Toolbox = nil
	}
}

// wasmHere is what both have: it also looks that no job leaves its folder.
func wasmHere(t testing.TB) func(*wasm.Options) {
	t.Helper()
	program := theWorker.program(t)
	cache, err := wasmtest.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(filepath.Join(root, "jobs")); err == nil && len(left) > 0 {
			t.Errorf("%d folders of jobs are left", len(left))
		}
	})
	return func(o *wasm.Options) { o.Command, o.Cache, o.Root = []string{program}, cache, root }
}

// TestWasmExec runs a repository's workflow in the WASM sandbox.
func TestWasmExec(t *testing.T) {
	t.Parallel()
	c := &jobtest.Case{
		Name: "exec", Files: map[string]string{"sub/file.txt": "content\n"},
		Workflow: `
on: push
jobs:
  t:
    runs-on: host
    outputs: {v: "${{ steps.a.outputs.v }}"}
    steps:
      - uses: actions/checkout@v4
      - id: a
        run: |
          cat sub/file.txt | tr a-z A-Z
          echo "v=$(( 6 * 7 ))" >> "$GITHUB_OUTPUT"
          echo "$RUNNER_OS $RUNNER_ARCH"
          test -e /etc/passwd || echo "no machine here"
`,
		Want: jobtest.Want{
			Result: "success", Steps: []string{"success", "success"}, Outputs: map[string]string{"v": "42"},
			Log: []string{"~^Jail: ", "~^Network: none$", "CONTENT", "WASI WASM", "no machine here"},
		},
	}
	r := newRecorders(c)
	o := execOptions(t, c, suiteConfig(t, t.TempDir()), r, nil)
	o.seams.wasm = wasmOfTests(t)
	o.Labels = label.List{{Name: "host", Scheme: label.Wasm}}
	result, err := Exec(t.Context(), o)
	checkWorkflow(t, c, result, err, r.outcomes(t))
}

// TestWasmServe runs jobs of a wasm label over the real protocol.
func TestWasmServe(t *testing.T) {
	t.Parallel()
	rig := newRig(t, func(rig *suiteRig) { rig.wasm = wasmOfTests(t) }, "host:wasm")
	c := &jobtest.Case{Name: "serve", Workflow: fmt.Sprintf(`
on: push
jobs:
  t:
    runs-on: host
    steps:
      - run: echo "hello from $RUNNER_OS"; echo "%s"
      - run: printf 'it is corr'; sleep 0.1; printf 'ect-ho'; sleep 0.1; printf 'rse\n'
      - run: kill -9 $$; exit 3
`, strings.Repeat("x", 100)), Secrets: map[string]string{"PASSWORD": "correct-horse"}, Want: jobtest.Want{
		Result: "failure", Steps: []string{"success", "success", "failure"},
		Log: []string{"hello from WASI", "it is ***", "##[error]Process completed with exit code 137."}, Absent: []string{"~^it is corr"},
	}}
	for range 2 {
		c.Check(t, rig.single(t, c))
	}
}

// TestWasmWithoutShell says what a runner does that was built without it.
func TestWasmWithoutShell(t *testing.T) {
	t.Parallel()
	c := &jobtest.Case{
		Name: "no shell", Workflow: "on: push\njobs: {t: {runs-on: host, steps: [{run: echo hi}]}}\n",
		Want: jobtest.Want{Result: "failure", Log: []string{"~" + toolbox.Missing}},
	}
	r := newRecorders(c)
	o := execOptions(t, c, suiteConfig(t, t.TempDir()), r, nil)
	change := wasmOfTests(t)
	o.seams.wasm = func(w *wasm.Options) { change(w); w.Toolbox = nil }
	o.Labels = label.List{{Name: "host", Scheme: label.Wasm}}
	o.Out, o.Log = io.Discard, slog.DiscardHandler
	result, err := Exec(t.Context(), o)
	if result != task.Failure {
		t.Errorf("result %s", result)
	}
	checkWorkflow(t, c, result, err, r.outcomes(t))
}
