package gitea_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"github.com/google/go-cmp/cmp"
)

func TestResults(t *testing.T) {
	for plain, wire := range map[task.Result]runnerv1.Result{
		task.Unspecified: runnerv1.Result_RESULT_UNSPECIFIED, task.Success: runnerv1.Result_RESULT_SUCCESS,
		task.Failure: runnerv1.Result_RESULT_FAILURE, task.Cancelled: runnerv1.Result_RESULT_CANCELLED, task.Skipped: runnerv1.Result_RESULT_SKIPPED,
	} {
		if got := gitea.ResultToWire(plain); got != wire {
			t.Errorf("ResultToWire(%v) = %v", plain, got)
		}
		if got := gitea.ResultFromWire(wire); got != plain {
			t.Errorf("ResultFromWire(%v) = %v", wire, got)
		}
	}
	if got := gitea.ResultFromWire(99); got != task.Failure {
		t.Errorf("a result of the future is %v", got)
	}
}

func TestTaskFromWire(t *testing.T) {
	if got := gitea.TaskFromWire(nil); got != nil {
		t.Errorf("nil became %v", got)
	}
	empty := gitea.TaskFromWire(&runnerv1.Task{Id: 1})
	if empty.Context == nil || empty.Secrets == nil || empty.Vars == nil || empty.Needs == nil {
		t.Errorf("nil maps: %+v", empty)
	}
	wire, err := giteatest.ReadRecorded("workflow-call-inner")
	if err != nil {
		t.Fatal(err)
	}
	got := gitea.TaskFromWire(wire)
	inputs := got.Context["event"].(map[string]any)["inputs"]
	if d := cmp.Diff(map[string]any{"n": 5.0, "s": "dflt"}, inputs); d != "" {
		t.Error(d)
	}
	wire, err = giteatest.ReadRecorded("dispatch-needs-container-services")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]task.Need{"build": {Result: task.Success, Outputs: map[string]string{"v": "from-9"}}}
	if d := cmp.Diff(want, gitea.TaskFromWire(wire).Needs); d != "" {
		t.Error(d)
	}
}

func TestRuntimeTokenJobID(t *testing.T) {
	for name, want := range map[string]int64{"push": 11, "after-workflow-call": 14, "pull-request": 15} {
		wire, err := giteatest.ReadRecorded(name)
		if err != nil {
			t.Fatal(err)
		}
		token := gitea.TaskFromWire(wire).String("gitea_runtime_token")
		if id, err := gitea.RuntimeTokenJobID(token); id != want || err != nil {
			t.Errorf("%s: %d, %v; want %d", name, id, err, want)
		}
	}
	jwt := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".sig"
	}
	for token, want := range map[string]string{
		"": "not a JWT", "a.b": "not a JWT", "a.!!.c": "not base64", jwt("x"): "not a JSON", jwt("{}"): "no claim JobID",
		jwt(`{"JobID":"7"}`): "number JobID", jwt(`{"JobID":-1}`): "no claim",
	} {
		if _, err := gitea.RuntimeTokenJobID(token); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("RuntimeTokenJobID(%q): %v, want %q", token, err, want)
		}
	}
}

func FuzzRuntimeTokenJobID(f *testing.F) {
	f.Add("a.b.c")
	f.Add("e30.eyJKb2JJRCI6N30.x")
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := gitea.RuntimeTokenJobID(token); (err == nil) != (id > 0) {
			t.Errorf("%d, %v", id, err)
		}
	})
}
