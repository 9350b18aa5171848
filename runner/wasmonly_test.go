package runner

import (
	"net/http"
	"net/http/httptest"
	"strings"
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

// TestWasmOnlyFetches has jobs of the mode wasm-only that name what lies at this
// machine: the runner asks none of its servers but those that are listed.
func TestWasmOnlyFetches(t *testing.T) {
	t.Parallel()
	host, _ := moduleRegistry(t, theProbe(t))
	never := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a server of this machine is asked") }))
	t.Cleanup(never.Close)
	address := never.Listener.Addr().String()
	const head = "on: push\njobs:\n  t:\n    runs-on: host\n    steps:\n"
	const refused = "~an address of this machine or of a private network, where this runner fetches nothing for a workflow: its operator can allow the server in sandbox.private_hosts"
	fails := jobtest.Want{Result: "failure", Steps: []string{"skipped"}, Log: []string{refused}}
	for _, c := range []struct {
		jobtest.Case
		hosts []string
	}{
		{Case: jobtest.Case{Name: "a registry", Workflow: head + "      - uses: wasm://" + host + "/tools/probe:1\n", Want: fails}},
		{Case: jobtest.Case{Name: "a file", Workflow: head + "      - uses: wasm+https://" + address + "/m.wasm#sha256=" + strings.Repeat("0", 64) + "\n", Want: fails}},
		{Case: jobtest.Case{Name: "an action", Workflow: head + "      - uses: https://" + address + "/acts/one@v1\n", Want: fails}},
		{Case: jobtest.Case{Name: "a listed registry", Workflow: head + "      - uses: wasm://" + host + "/tools/probe:1\n        with: {args: it-runs}\n",
			Want: jobtest.Want{Result: "success", Steps: []string{"success"}, Log: []string{"argument <it-runs>"}}}, hosts: []string{host}},
		{Case: jobtest.Case{Name: "the Gitea server", Repos: map[string]map[string]string{"acts/one@v1": {
			"action.yml": "name: one\nruns: {using: wasm, main: m.wasm, args: [by the server]}\n", "m.wasm": theProbe(t),
		}}, Workflow: head + "      - uses: acts/one@v1\n", Want: jobtest.Want{Result: "success", Steps: []string{"success"}, Log: []string{"argument <by the server>"}}}},
	} {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Serve(t)
			r := newRecorders(&c.Case)
			cfg := suiteConfig(t, t.TempDir())
			cfg.Sandbox.Mode, cfg.Sandbox.AllowWeak, cfg.Sandbox.PrivateHosts = config.WASMOnly, true, c.hosts
			o := execOptions(t, &c.Case, cfg, r, nil)
			o.seams.wasm = moduleWasm(t)
			o.Labels = label.List{{Name: "host", Scheme: label.Wasm}}
			result, err := Exec(t.Context(), o)
			checkWorkflow(t, &c.Case, result, err, r.outcomes(t))
		})
	}
}
