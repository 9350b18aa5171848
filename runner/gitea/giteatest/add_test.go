package giteatest_test

import (
	"strings"
	"testing"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

func TestRecordedTasks(t *testing.T) {
	s := giteatest.New(giteatest.Options{})
	defer s.Close()
	c := runner(t, s, func(o *giteatest.RunnerOptions) { o.Labels = []string{"dump"} })
	if len(giteatest.Recorded()) != 8 {
		t.Errorf("recorded: %v", giteatest.Recorded())
	}
	for _, name := range giteatest.Recorded() {
		id, err := s.AddRecorded(name)
		if err != nil {
			t.Fatal(err)
		}
		wire, err := giteatest.ReadRecorded(name)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := c.FetchTask(t.Context(), 0)
		if err != nil || got == nil || got.ID != id || id != wire.Id {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		if d := cmp.Diff(string(wire.WorkflowPayload), string(got.Workflow)); d != "" {
			t.Errorf("%s: payload\n%s", name, d)
		}
		if got.Secrets["GITHUB_TOKEN"] != got.String("token") || got.Vars["COLOR"] != "blue" {
			t.Errorf("%s: secrets %v, vars %v", name, got.Secrets, got.Vars)
		}
		if got.String("server_url") != s.URL()+"/" || got.String("api_url") != s.URL()+"/api/v1" {
			t.Errorf("%s: server_url %s", name, got.String("server_url"))
		}
		if _, err := gitea.RuntimeTokenJobID(got.String("gitea_runtime_token")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again, err := s.AddRecorded("push"); err != nil || again != 16 {
		t.Errorf("a second time: id %d, %v", again, err)
	}
	if _, err := s.AddRecorded("nonesuch"); err == nil || !strings.Contains(err.Error(), "push-branch") {
		t.Errorf("an unknown name: %v", err)
	}
}

// A built context must have the entries of a real one, of the same types.
func TestBuiltContextIsLikeARecordedOne(t *testing.T) {
	s := giteatest.New(giteatest.Options{Now: func() time.Time { return time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC) }})
	defer s.Close()
	for name, o := range map[string]giteatest.TaskOptions{
		"push":                  {},
		"dispatch-matrix-linux": {Inputs: map[string]any{"who": "lab", "flag": false}},
		"workflow-call-inner":   {EventName: "workflow_call", Inputs: map[string]any{"n": 5}},
	} {
		wire, err := giteatest.ReadRecorded(name)
		if err != nil {
			t.Fatal(err)
		}
		want := wire.Context.AsMap()
		got := gitea.TaskFromWire(s.Wire(s.AddWorkflow(oneJob, o))).Context
		compareShape(t, name, want, got, map[string]bool{"event": true})
		if got["event_name"] != want["event_name"] {
			t.Errorf("%s: event_name %v", name, got["event_name"])
		}
		wantEvent, gotEvent := want["event"].(map[string]any), got["event"].(map[string]any)
		for k := range wantEvent {
			if _, ok := gotEvent[k]; !ok {
				t.Errorf("%s: the event has no %s", name, k)
			}
		}
	}
}

func compareShape(t *testing.T, name string, want, got map[string]any, skip map[string]bool) {
	t.Helper()
	for k, w := range want {
		g, ok := got[k]
		if !ok {
			t.Errorf("%s: the context has no %s", name, k)
		} else if !skip[k] && cmp.Diff(kindOf(w), kindOf(g)) != "" {
			t.Errorf("%s: %s is %T, recorded %T", name, k, g, w)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s: the context has a %s, which no server sends", name, k)
		}
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	}
	return "other"
}

func TestTaskOptions(t *testing.T) {
	s := giteatest.New(giteatest.Options{})
	defer s.Close()
	id := s.AddWorkflow(oneJob, giteatest.TaskOptions{
		Labels: []string{"special"}, Secrets: map[string]string{"S": "x"}, Vars: map[string]string{"V": "y"},
		Needs: map[string]task.Need{"a": {Result: task.Failure, Outputs: map[string]string{"o": "1"}}},
		Ref:   "refs/tags/v1", RunID: 3, JobID: 4, Attempt: 2, Event: map[string]any{"n": 1, "list": []string{"a"}},
		Context: map[string]any{"extra": map[string]string{"k": "v"}},
	})
	if got, _, err := runner(t, s).FetchTask(t.Context(), 0); got != nil || err != nil {
		t.Errorf("without the label: %v, %v", got, err)
	}
	c := runner(t, s, func(o *giteatest.RunnerOptions) { o.Labels = []string{"special"} })
	got, _, err := c.FetchTask(t.Context(), 0)
	if err != nil || got == nil || got.ID != id {
		t.Fatalf("%v, %v", got, err)
	}
	if d := cmp.Diff(map[string]task.Need{"a": {Result: task.Failure, Outputs: map[string]string{"o": "1"}}}, got.Needs); d != "" {
		t.Error(d)
	}
	want := map[string]any{
		"ref_type": "tag", "ref_name": "v1", "run_id": "3", "run_number": "3", "run_attempt": "2", "job": "build",
		"event": map[string]any{"n": 1.0, "list": []any{"a"}}, "extra": map[string]any{"k": "v"},
	}
	for k, w := range want {
		if d := cmp.Diff(w, got.Context[k]); d != "" {
			t.Errorf("%s: %s", k, d)
		}
	}
	if got.Secrets["S"] != "x" || len(got.Secrets) != 3 || got.Vars["V"] != "y" {
		t.Errorf("secrets %v, vars %v", got.Secrets, got.Vars)
	}
}
