package runner

import (
	"fmt"
	"strings"
	"testing"

	"otelrunner/runner/workflow"
)

// TestPayloadKeepsPlaces: whatever a file looks like, its one job read from the
// payload is what it was, at the lines at which it was.
func TestPayloadKeepsPlaces(t *testing.T) {
	t.Parallel()
	const text = `# a comment
name: "Quoted: name"
on:
  push:
env: {A: 1.50, B: "x", C: , D: "0x1F", E: yes, F: 'it''s'}

jobs:
  other: {runs-on: x, steps: [{run: x}]}
  t:
    # between
    needs: [other]
    runs-on:
      - linux
      - "${{ 'b' }}"
    timeout-minutes: 5
    steps:
      - name: >-
          folded
          name
        run: |
          first
            second	tab "quoted" \ back

          last
      - {id: two, run: "a\tb\u00e9 é 🙂"}

      - uses: ./x
        with:
          k: "12"
          n: 12
          b: true
          text: &anchor |-
            a
            b
      - run: *anchor
`
	root, err := rootNode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	wf, err := workflow.Parse("f.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	file := &workflowFile{name: "f.yml", wf: wf, root: root}
	f := newFlow(file, wf.Jobs)
	p := &execPlan{top: f}
	payload, err := p.payload(&leg{job: f.job("t"), name: "T"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := workflow.ParsePayload("", payload)
	if err != nil {
		t.Fatalf("%v\n%s", err, payload)
	}
	if len(got.Jobs) != 1 || got.Jobs[0].If != "always()" || got.Jobs[0].Needs != nil || got.Jobs[0].Name != "T" {
		t.Fatalf("%+v", got.Jobs)
	}
	a, b := wf.Job("t"), got.Jobs[0]
	if fmt.Sprint(vars(wf.Env)) != fmt.Sprint(vars(got.Env)) {
		t.Errorf("env %v, want %v", vars(got.Env), vars(wf.Env))
	}
	for i, s := range a.Steps {
		g := b.Steps[i]
		if g.Pos.Line != s.Pos.Line {
			t.Errorf("step %d is in line %d, want %d", i, g.Pos.Line, s.Pos.Line)
		}
		if g.Run != s.Run || g.Name != s.Name || g.ID != s.ID || g.Uses != s.Uses || fmt.Sprint(vars(g.With)) != fmt.Sprint(vars(s.With)) {
			t.Errorf("step %d is\n%+v, want\n%+v", i, g, s)
		}
		for k, v := range s.With.List {
			if at := g.With.List[k].Pos.Line; at != v.Pos.Line {
				t.Errorf("with.%s is in line %d, want %d", v.Name, at, v.Pos.Line)
			}
		}
	}
	if strings.Join(b.RunsOn.Labels, "|") != strings.Join(a.RunsOn.Labels, "|") || b.TimeoutMinutes != "5" || b.Pos.Line != a.Pos.Line {
		t.Errorf("%+v, want %+v", b, a)
	}
}

// vars are names, values and kinds.
func vars(v workflow.Vars) (list []string) {
	for _, x := range v.List {
		list = append(list, x.Name+"="+x.Value+":"+x.Kind)
	}
	return list
}
