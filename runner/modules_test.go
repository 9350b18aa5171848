package runner

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/sandbox/wasm/wasmtest"
)

// probe is the module of sandbox/wasm/wasmtest/probe, built once.
var probe = sync.OnceValues(func() (string, error) { //nolint:gochecknoglobals // built once for all tests
	data, err := wasmtest.BuildProbe()
	return string(data), err
})

func theProbe(t *testing.T) string {
	t.Helper()
	data, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// moduleCase is a case, which runs on the sandboxes that a module runs in.
type moduleCase struct {
	jobtest.Case
	only string // "host" or "wasm"; "" is both
}

func moduleCases(t *testing.T) []moduleCase {
	module := theProbe(t)
	registry := actiontest.NewRegistry()
	t.Cleanup(registry.Close)
	digest := registry.Push("1.2", []byte(module), nil)
	const workflow = `
on: push
jobs:
  t:
    runs-on: host
    outputs: {o: "${{ steps.a.outputs.o }}"}
    steps:
`
	action := `
name: probe
inputs:
  word: {default: "dflt ${{ github.repository }}"}
  other thing: {required: true}
runs:
  using: wasm
  pre: pre.wasm
  main: bin/tool.wasm
  post: post.wasm
  post-if: success()
  args: ["${{ inputs.word }}", "env:INPUT_WORD", "env:INPUT_OTHER_THING", "env:FROM_ACTION", "env:FROM_STEP", "env:STATE_S", "append:GITHUB_STATE=S=kept", "append:GITHUB_OUTPUT=o=out 1"]
  env: {FROM_ACTION: "x ${{ inputs.word }}"}
`
	files := map[string]string{"act/action.yml": action, "act/bin/tool.wasm": module, "act/post.wasm": module, "tools/m.wasm": module}
	return []moduleCase{
		{Case: jobtest.Case{Name: "an action of the workspace", Files: files, Workflow: workflow + `
      - uses: ./act
        id: a
        env: {FROM_STEP: "7"}
        with: {other thing: "a b"}
`, Want: jobtest.Want{
			Result: "success", Steps: []string{"success"}, Outputs: map[string]string{"o": "out 1"},
			Log: []string{
				"##[warning]The pre step of ./act (pre.wasm) is not run: an action of the workspace is not there before the job's first step. Name the action by its repository (owner/name@ref) to have it run.",
				"probe tool.wasm in demo", "argument <dflt octo/demo>", "INPUT_WORD is dflt octo/demo", "INPUT_OTHER_THING is a b",
				"FROM_ACTION is x dflt octo/demo", "FROM_STEP is 7", "STATE_S is (not set)", "probe post.wasm in demo", "STATE_S is kept",
			},
		}}},
		{Case: jobtest.Case{Name: "an action of a repository", Repos: map[string]map[string]string{
			"acts/probe@v1": {"action.yml": action, "bin/tool.wasm": module, "pre.wasm": module, "post.wasm": module},
		}, Workflow: workflow + `
      - uses: acts/probe@v1
        id: a
        with: {word: given, other thing: "1"}
`, Want: jobtest.Want{
			Result: "success", Steps: []string{"success"}, Outputs: map[string]string{"o": "out 1"},
			Log: []string{"probe pre.wasm in demo", "probe tool.wasm in demo", "INPUT_WORD is given", "STATE_S is kept", "probe post.wasm in demo"},
		}}},
		{Case: jobtest.Case{Name: "a module of the workspace", Files: files, Workflow: workflow + `
      - uses: wasm://./tools/m.wasm
        id: a
        with:
          args: env:INPUT_COLOR "a  b" write:made/here=text read:made/here append:GITHUB_OUTPUT=o=1 append:GITHUB_ENV=LATER=on
          color: blue
      - uses: wasm://./tools/m.wasm
        with: {args: "read:made/here env:LATER"}
`, Want: jobtest.Want{
			Result: "success", Steps: []string{"success", "success"}, Outputs: map[string]string{"o": "1"},
			Log: []string{"probe m.wasm in demo", "INPUT_COLOR is blue", "argument <a  b>", "here holds text", "LATER is on"},
		}}},
		{Case: jobtest.Case{Name: "an artifact of a registry", Workflow: workflow + fmt.Sprintf(`
      - uses: wasm://%[1]s/tools/lint:1.2
        with: {args: "write:made=by-tag env:INPUT_COLOR", color: red}
      - uses: wasm://%[1]s/tools/lint:1.2@%[2]s
        id: a
        with: {args: "read:made append:GITHUB_OUTPUT=o=2"}
`, registry.Host(), digest), Want: jobtest.Want{
			Result: "success", Steps: []string{"success", "success"}, Outputs: map[string]string{"o": "2"},
			Log: []string{"INPUT_COLOR is red", "made holds by-tag"},
		}}},
		{Case: jobtest.Case{Name: "an artifact of another digest", Workflow: workflow + fmt.Sprintf(`
      - uses: wasm://%s/tools/lint:1.2@sha256:%s
`, registry.Host(), strings.Repeat("0", 64)), Want: jobtest.Want{Result: "failure", Steps: []string{"skipped"}, Log: []string{"~tools/lint"}}}},
		{Case: jobtest.Case{Name: "failure and post", Files: files, Workflow: workflow + `
      - uses: ./act
        with: {other thing: "1"}
      - uses: wasm://./tools/m.wasm
        with: {args: "exit:3"}
`, Want: jobtest.Want{
			Result: "failure", Steps: []string{"success", "failure"},
			Log: []string{"##[error]Process completed with exit code 3."}, Absent: []string{"~probe post.wasm"},
		}}},
		{Case: jobtest.Case{Name: "it does not get out", Files: files, Workflow: workflow + `
      - uses: wasm://./tools/m.wasm
        with: {args: "link:out=/etc/passwd read:out link:up=../../../../../../../../../../etc/passwd read:up read:/etc/passwd read:/proc/self/environ env:HOME env:OUTSIDE"}
`, Want: jobtest.Want{
			Result: "success", Steps: []string{"success"}, Log: []string{"HOME is /home", "OUTSIDE is (not set)"}, Absent: []string{"~root:", "~holds"},
		}}},
		{Case: jobtest.Case{Name: "no such module", Files: files, Workflow: workflow + `
      - uses: wasm://./tools/none.wasm
`, Want: jobtest.Want{Result: "failure", Steps: []string{"failure"}, Log: []string{"~tools/none.wasm: not found in the sandbox; there is no such file"}}}},
		{Case: jobtest.Case{Name: "no module", Files: map[string]string{"m.wasm": "text"}, Workflow: workflow + `
      - uses: wasm://./m.wasm
`, Want: jobtest.Want{Result: "failure", Steps: []string{"failure"}, Log: []string{"~m.wasm"}}}},
		{Case: jobtest.Case{Name: "a bad reference", Workflow: workflow + `
      - uses: wasm://tool:1
`, Want: jobtest.Want{Result: "failure", Steps: []string{"skipped"}, Log: []string{"~names no registry"}}}},
		{Case: jobtest.Case{Name: "a timeout", Files: files, Workflow: workflow + `
      - uses: wasm://./tools/m.wasm
        timeout-minutes: 0.02
        with: {args: "loop:"}
      - uses: wasm://./tools/m.wasm
        if: always()
        with: {args: "after"}
`, Want: jobtest.Want{Result: "failure", Steps: []string{"failure", "success"}, Log: []string{"argument <after>"}}}},
		{only: "host", Case: jobtest.Case{Name: "host steps and modules share the workspace", OS: "linux", Files: files, Workflow: workflow + `
      - run: mkdir d; echo from-shell > d/a; ln -s /etc/passwd d/secret
      - uses: wasm://./tools/m.wasm
        with: {args: "read:d/a write:d/b=from-module read:d/secret remove:d/a"}
      - run: cat d/b; test ! -e d/a
`, Want: jobtest.Want{
			Result: "success", Steps: []string{"success", "success", "success"},
			Log: []string{"~a holds from-shell", "from-module"}, Absent: []string{"~root:"},
		}}},
		{only: "wasm", Case: jobtest.Case{Name: "a JavaScript action", Repos: map[string]map[string]string{
			"acts/js@v1": {"action.yml": "name: js\nruns: {using: node20, main: index.js}\n", "index.js": ""},
		}, Workflow: workflow + `
      - uses: acts/js@v1
`, Want: jobtest.Want{
			Result: "failure", Steps: []string{"failure"},
			Log: []string{"~acts/js@v1 is written in JavaScript, and there is no Node.js in the WASM sandbox.*name:host or name:docker://image"},
		}}},
		{only: "wasm", Case: jobtest.Case{Name: "Docker actions", Files: map[string]string{"d/action.yml": "runs: {using: docker, image: Dockerfile}\n"}, Workflow: workflow + `
      - uses: ./d
      - uses: docker://alpine
        if: always()
`, Want: jobtest.Want{
			Result: "failure", Steps: []string{"failure", "failure"},
			Log: []string{"~The action ./d runs in a container, and this job's label chose the WASM sandbox", "~The action docker://alpine runs in a container"},
		}}},
	}
}

// TestModules runs actions that are WebAssembly modules in host jobs and in the
// WASM sandbox.
func TestModules(t *testing.T) {
	t.Parallel()
	for _, c := range moduleCases(t) {
		for _, kind := range []label.Scheme{label.Host, label.Wasm} {
			if c.only != "" && c.only != string(kind) {
				continue
			}
			t.Run(c.Name+"/"+string(kind), func(t *testing.T) {
				t.Parallel()
				c := c.Case
				c.SkipUnless(t)
				c.Serve(t)
				r := newRecorders(&c)
				o := execOptions(t, &c, suiteConfig(t, t.TempDir()), r, nil)
				o.Environ = append(o.Environ, "OUTSIDE=of the runner")
				o.seams.wasm = moduleWasm(t)
				o.Labels = label.List{{Name: "host", Scheme: kind}}
				result, err := Exec(t.Context(), o)
				checkWorkflow(t, &c, result, err, r.outcomes(t))
			})
		}
	}
}

// TestModulesDocker runs them in container jobs. It is over before TestSuiteDocker
// begins, as both make the image, and remove it at their end.
func TestModulesDocker(t *testing.T) {
	makeSuiteImage(t)
	for _, c := range moduleCases(t) {
		if c.only == string(label.Wasm) {
			continue
		}
		if c.only == "" && os.Getenv(mustHaveDocker) == "" && c.Name != "an action of a repository" {
			continue // a few do where CI does not ask for all
		}
		t.Run(c.Name, func(t *testing.T) {
			c := c.Case
			c.Serve(t)
			r := newRecorders(&c)
			cfg := suiteConfig(t, t.TempDir())
			cfg.Container.DockerHost, cfg.Container.DockerTimeout, cfg.Container.Pull = "", 10*time.Second, "never"
			o := execOptions(t, &c, cfg, r, nil)
			o.seams.wasm = moduleWasm(t)
			o.Labels = suiteLabels(t)
			result, err := Exec(t.Context(), o)
			checkWorkflow(t, &c, result, err, r.outcomes(t))
		})
	}
}
