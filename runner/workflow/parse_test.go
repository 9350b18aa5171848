package workflow_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"otelrunner/runner/workflow"
)

// TestPayloads reads what a real server sent.
func TestPayloads(t *testing.T) {
	files, _ := filepath.Glob("testdata/payload/*.yml")
	if len(files) != 8 {
		t.Fatalf("%d payloads, want 8", len(files))
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		w, err := workflow.ParsePayload("", data)
		if err != nil {
			t.Errorf("%s: %v", f, err)
			continue
		}
		if len(w.Warnings) > 0 {
			t.Errorf("%s: warnings: %v", f, w.Warnings)
		}
		j, err := workflow.SingleJob(w)
		if err != nil || len(j.Steps) == 0 || len(w.On.Events) == 0 {
			t.Errorf("%s: %+v, %v", f, j, err)
		}
		if _, err := workflow.Parse(f, data); err != nil {
			t.Errorf("%s as a file: %v", f, err)
		}
	}
}

func TestPayloadModel(t *testing.T) {
	data, err := os.ReadFile("testdata/payload/dispatch-matrix-linux.yml")
	if err != nil {
		t.Fatal(err)
	}
	w, err := workflow.ParsePayload("", data)
	if err != nil {
		t.Fatal(err)
	}
	j := w.Jobs[0]
	combos, err := j.Strategy.Matrix.Expand(nil)
	if err != nil || len(combos) != 1 {
		t.Fatal(combos, err)
	}
	os, _ := combos[0].Values.Get("os")
	got := []any{j.TimeoutMinutes, j.Strategy.FailFast, os, combos[0].Suffix, w.Defaults.Shell, j.Env.List[0].Value, j.Outputs[0].Value, w.On.Dispatch.Inputs[2].Default}
	want := []any{"7", "false", "linux", " (1, 2, linux)", "bash", "${{ matrix.os }}", "${{ steps.a.outputs.v }}", true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSingleJob(t *testing.T) {
	for text, want := range map[string]string{
		"on: push\njobs:\n  a: {runs-on: x, steps: [{run: x}]}\n  b: {runs-on: x, steps: [{run: x}]}\n": "has 2 jobs (a, b)",
		"":                                    "the file is empty",
		"{":                                   "not valid YAML",
		"on: push\n":                          "has no jobs",
		"on: push\njobs: {}\n":                "has no jobs",
		"<html><body>\nlogin\n</body></html>": "expected a workflow (a mapping with jobs)",
	} {
		w, err := workflow.ParsePayload("", []byte(text))
		if err == nil {
			_, err = workflow.SingleJob(w)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A payload may name jobs that the server has finished, and lack what the
// server has used up.
func TestPayloadIsLenient(t *testing.T) {
	w, err := workflow.ParsePayload("", []byte("jobs:\n  b:\n    needs: [a]\n    steps: [{run: x}]\n"))
	if err != nil || w.Jobs[0].Needs[0] != "a" {
		t.Errorf("%+v, %v", w, err)
	}
}

func TestParseModel(t *testing.T) {
	data, err := os.ReadFile("testdata/full.yml")
	if err != nil {
		t.Fatal(err)
	}
	w, err := workflow.Parse("full.yml", data)
	if err != nil {
		t.Fatal(err)
	}
	if len(w.Warnings) != 0 {
		t.Errorf("warnings: %v", w.Warnings)
	}
	build, call := w.Job("BUILD"), w.Job("call")
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"events", eventNames(w), []string{"push", "schedule", "workflow_dispatch", "workflow_call"}},
		{"dispatch types", inputTypes(w.On.Dispatch.Inputs), []string{"string", "choice", "boolean", "number", "environment"}},
		{"options", w.On.Dispatch.Inputs[1].Options, []string{"a", "1"}},
		{"call default", w.On.Call.Inputs[0].Default, any(3.0)},
		{"call secret", w.On.Call.Secrets[0].Required, true},
		{"call output", w.On.Call.Outputs[0].Value, "${{ jobs.build.outputs.v }}"},
		{"env", varPairs(w.Env), []string{"A=1:Number", "B=true:Boolean", "C=:Null", "D=1.10:Number", "E=yes:String"}},
		{"permissions", w.Permissions.Scopes["contents"], "read"},
		{"concurrency", *w.Concurrency, workflow.Concurrency{Group: "g-${{ github.ref }}", CancelInProgress: "true"}},
		{"defaults", w.Defaults, workflow.Defaults{Shell: "bash", WorkingDirectory: "src"}},
		{"needs", build.Needs, []string{"lint"}},
		{"merge", varPairs(build.Env), []string{"X=own:String", "Y=base-y:String"}},
		{"runs-on group", build.RunsOn.Group + build.RunsOn.Labels[1], "bigx64"},
		{"runs-on expr", w.Job("lint").RunsOn.Expr, "${{ fromJSON('[\"a\"]') }}"},
		{"runs-on list", call.RunsOn.IsZero(), true},
		{"timeout", build.TimeoutMinutes, "7.5"},
		{"continue", build.ContinueOnError, "${{ matrix.soft }}"},
		{"container", build.Container.Image + build.Container.Ports[0] + build.Container.Credentials.Password, "img:180${{ secrets.P }}"},
		{"services", build.Services.List[0].ID + build.Services.List[0].Image, "redisredis:7"},
		{"short container", w.Job("lint").Container.Image, "alpine"},
		{"matrix", build.Strategy.Matrix.Dimensions[1].Items.Expr, "${{ fromJSON(needs.lint.outputs.list) }}"},
		{"include", len(build.Strategy.Matrix.Include.Values), 1},
		{"fail-fast", build.Strategy.FailFast + build.Strategy.MaxParallel, "false2"},
		{"environment", *build.Environment, workflow.Environment{Name: "prod", URL: "https://${{ steps.a.outputs.h }}"}},
		{"step run", build.Steps[0].Run, "echo hi\n"},
		{"step with", build.Steps[1].With.List[0], workflow.Var{Name: "depth", Value: "0", Kind: "Number", Pos: workflow.Pos{Line: 93, Column: 18}}},
		{"step env expr", build.Steps[1].Env.Expr, "${{ fromJSON(env.MORE) }}"},
		{"title", build.Steps[0].Title() + "|" + build.Steps[1].Title() + "|" + build.Steps[2].Title(), "Run echo hi|Run actions/checkout@v4|last"},
		{"alias step", build.Steps[2].Env.List[0].Value, "base-x"},
		{"call uses", call.Uses, "./.gitea/workflows/x.yml"},
		{"call with", call.With.List[0].Kind + call.With.List[0].Value, "Number5"},
		{"inherit", call.SecretsInherit, true},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func eventNames(w *workflow.Workflow) (names []string) {
	for _, e := range w.On.Events {
		names = append(names, e.Name)
	}
	return names
}

func inputTypes(in []workflow.Input) (types []string) {
	for _, i := range in {
		types = append(types, i.Type)
	}
	return types
}

func varPairs(v workflow.Vars) (pairs []string) {
	for _, x := range v.List {
		pairs = append(pairs, x.Name+"="+x.Value+":"+x.Kind)
	}
	return pairs
}

func TestOnForms(t *testing.T) {
	const jobs = "\njobs: {a: {runs-on: x, steps: [{run: x}]}}\n"
	for on, want := range map[string]string{
		"on: push":                              "push",
		"'on': push":                            "push",
		"true: push":                            "push",
		"on: [push, pull_request]":              "push pull_request",
		"on: {push: {branches: [main]}}":        "push",
		"on:\n  push:\n  pull_request:\n":       "push pull_request",
		"on: [workflow_dispatch]":               "workflow_dispatch",
		"on: {schedule: [{cron: '0 0 * * *'}]}": "schedule",
	} {
		w, err := workflow.Parse("f.yml", []byte(on+jobs))
		if err != nil || len(w.Warnings) != 0 {
			t.Errorf("%s: %v %v", on, err, w)
			continue
		}
		if got := strings.Join(eventNames(w), " "); got != want {
			t.Errorf("%s: %s, want %s", on, got, want)
		}
		if strings.Contains(want, "dispatch") != (w.On.Dispatch != nil) || w.On.Has("nope") {
			t.Errorf("%s: %+v", on, w.On)
		}
	}
}

// TestProblems reads small files that are wrong; every line of want must be a
// problem of the file, in that order, and there must be no other.
func TestProblems(t *testing.T) {
	for _, c := range problems {
		w, err := workflow.Parse("f.yml", []byte(c.text))
		var got []string
		var list workflow.Errors
		switch {
		case errors.As(err, &list):
			for _, p := range list {
				got = append(got, p.String())
			}
		case err != nil:
			t.Errorf("%s: %T %v", c.name, err, err)
		default:
			for _, p := range w.Warnings {
				got = append(got, p.String())
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d problems, want %d:\n%s", c.name, len(got), len(c.want), strings.Join(got, "\n"))
			continue
		}
		for i, want := range c.want {
			place, text, _ := strings.Cut(want, " ")
			if !strings.Contains(got[i], "f.yml:"+place+" ") || !strings.Contains(got[i], text) {
				t.Errorf("%s:\n got %s\nwant %s", c.name, got[i], want)
			}
		}
	}
}

func TestCountSteps(t *testing.T) {
	for text, want := range map[string]int{
		"jobs: {a: {steps: [{run: x}, {if: '${{ nope }}', 5: 6}]}}": 2,
		"jobs: {a: {runs-on: x}}":                                   0,
		"jobs: {a: {steps: [{run: x}]}, b: {steps: [{run: x}]}}":    0,
		"jobs: 5": 0, "\t": 0, "": 0, "<html>": 0, "jobs: {a: {steps: x}}": 0,
	} {
		if got := workflow.CountSteps([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
