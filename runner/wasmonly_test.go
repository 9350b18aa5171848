package runner

import (
	"testing"

	"otelrunner/runner/config"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
)

// TestWasmOnlyRefusesEarly has jobs of the mode wasm-only that name actions which
// cannot run: no step of them begins.
func TestWasmOnlyRefusesEarly(t *testing.T) {
	t.Parallel()
	const module = "\n      - uses: wasm://./tools/m.wasm\n"
	files := map[string]string{"tools/m.wasm": theProbe(t)}
	workflow := "\non: push\njobs:\n  t:\n    runs-on: host\n    steps:" + module
	repos := map[string]map[string]string{
		"acts/js@v1":    {"action.yml": "name: js\nruns: {using: node20, main: x.js}\n", "x.js": ""},
		"acts/outer@v1": {"action.yml": "name: outer\nruns:\n  using: composite\n  steps:\n    - uses: docker://alpine\n"},
	}
	for _, c := range []jobtest.Case{
		{Name: "an image", Workflow: workflow + "      - uses: docker://alpine\n        if: false\n", Want: jobtest.Want{
			Result: "failure", Steps: []string{"skipped", "skipped"}, Log: []string{"~The action docker://alpine runs in a container"},
		}},
		{Name: "Node.js", Repos: repos, Workflow: workflow + "      - uses: acts/js@v1\n", Want: jobtest.Want{
			Result: "failure", Steps: []string{"skipped", "skipped"}, Log: []string{"~The action acts/js@v1 is written in JavaScript"},
		}},
		{Name: "an image in a composite action", Repos: repos, Workflow: workflow + "      - uses: acts/outer@v1\n", Want: jobtest.Want{
			Result: "failure", Steps: []string{"skipped", "skipped"}, Log: []string{"~The action docker://alpine runs in a container"},
		}},
		{Name: "a module", Workflow: workflow, Want: jobtest.Want{Result: "success", Steps: []string{"success"}}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Files = files
			c.Serve(t)
			r := newRecorders(&c)
			cfg := suiteConfig(t, t.TempDir())
			cfg.Sandbox.Mode, cfg.Sandbox.AllowWeak = config.WASMOnly, true
			o := execOptions(t, &c, cfg, r, nil)
			o.seams.wasm = moduleWasm(t)
			o.Labels = label.List{{Name: "host", Scheme: label.Wasm}}
			result, err := Exec(t.Context(), o)
			checkWorkflow(t, &c, result, err, r.outcomes(t))
		})
	}
}
