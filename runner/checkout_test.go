package runner

import (
	"testing"

	"otelrunner/runner/job/jobtest"
)

// TestBuiltInCheckout runs workflows that check repositories out where there is no
// Node.js: jobs of wasm labels, over the real protocol.
func TestBuiltInCheckout(t *testing.T) {
	t.Parallel()
	module := theProbe(t)
	repos := map[string]map[string]string{
		"octo/demo@v1": {
			"README": "of the repository", "m.wasm": module,
			"act/action.yml": "runs:\n  using: composite\n  steps:\n    - uses: actions/checkout@v4\n      with: {repository: octo/other, ref: v2, path: other}\n",
		},
		"octo/other@v2": {"lib/file": "of another one"},
	}
	const head = "on: push\njobs:\n  t:\n    runs-on: host\n    steps:\n"
	context := map[string]any{"ref": "refs/tags/v1", "sha": ""}
	cases := []jobtest.Case{
		{Name: "the repository, and another one by a composite action", Workflow: head + `
      - uses: actions/checkout@v4
        id: c
      - uses: ./act
      - uses: wasm://./m.wasm
        with: {args: "read:README read:other/lib/file ${{ steps.c.outputs.ref }} list:.git"}
`, Want: jobtest.Want{Result: "success", Steps: []string{"success", "success", "success"}, Log: []string{
			"~octo/demo → [0-9a-f]{40}", "~octo/other → [0-9a-f]{40}",
			"README holds of the repository", "file holds of another one", "argument <refs/tags/v1>", ".git has HEAD", ".git has objects",
		}, Absent: []string{"~job-token"}}},
		{Name: "inputs without effect", Workflow: head + `
      - uses: actions/checkout@v4
        with: {lfs: true, sparse-checkout: lib, show-progress: false, colour: red}
`, Want: jobtest.Want{Result: "success", Steps: []string{"success"}, Log: []string{
			"~Unexpected input.*'colour'", "~##\\[warning\\]The input sparse-checkout of the built-in actions/checkout has no effect: all files", "~##\\[warning\\]The input lfs of",
		}, Absent: []string{"~show-progress.*no effect"}}},
		{Name: "what is not there", Workflow: head + `
      - uses: actions/checkout@v4
        with: {repository: octo/none}
      - uses: actions/checkout@v4
        if: always()
        with: {ref: nope}
      - uses: actions/checkout@v4
        if: always()
        with: {path: ../up}
      - uses: actions/checkout@v4
        if: always()
        with: {fetch-depth: some}
`, Want: jobtest.Want{Result: "failure", Steps: []string{"failure", "failure", "failure", "failure"}, Log: []string{
			"~octo/none was not found", "~no tag or branch \"nope\"", "~The path \"../up\" is not below the workspace", "~The input fetch-depth is \"some\"",
		}}},
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			rig := newRig(t, func(rig *suiteRig) { rig.wasm = moduleWasm(t) }, "host:wasm")
			c.Repos, c.GitHub = repos, context
			c.Serve(t)
			c.GitHub["server_url"] = c.GitHub["gitea_default_actions_url"]
			c.Check(t, rig.single(t, &c))
		})
	}
}
