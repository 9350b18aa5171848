package report_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"
)

func TestOutputs(t *testing.T) {
	inBubble(t, report.Options{Secrets: []string{"top-secret"}}, func(w *world) {
		big := strings.Repeat("v", 1<<20)
		w.r.SetOutput("empty", "")
		w.r.SetOutput("small", "x")
		w.r.SetOutput("big", big)
		w.r.SetOutput("bigger", big+"v")
		w.r.SetOutput(strings.Repeat("k", 256), "x")
		w.r.SetOutput("tells", "it is top-secret!")
		w.r.SetOutput("tells-encoded", "dG9wLXNlY3JldA==")
		w.r.SetOutput("later", "learned-later")
		w.r.AddMask("learned-later")
		w.finish(task.Success)
		want := map[string]string{"empty": "", "small": "x", "big": big}
		if diff := cmp.Diff(want, w.task().Outputs); diff != "" {
			w.t.Errorf("outputs (-want +got):\n%.1000s", diff)
		}
		log := strings.Join(w.contents(), "\n")
		for _, s := range []string{
			"##[warning]Skip output 'tells' since it may contain secret.",
			"##[warning]Skip output 'tells-encoded' since it may contain secret.",
			"##[warning]Skip output 'later' since it may contain secret.",
			"##[warning]Skip output 'bigger' since it has 1048577 bytes; the server takes 1048576.",
			"kkk…' since its name has 256 bytes",
		} {
			if !strings.Contains(log, s) {
				w.t.Errorf("the log has no %q:\n%s", s, log)
			}
		}
	})
}

func TestOutputsAreSentInBoundedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		largest := 0
		c := &sink{state: func(req *runnerv1.UpdateTaskRequest) error {
			n := 0
			for k, v := range req.GetOutputs() {
				n += len(k) + len(v)
			}
			largest = max(largest, n)
			return nil
		}}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1})
		for _, k := range "abcdefghijklmnopqrstuvwxyz" {
			r.SetOutput(string(k), strings.Repeat("o", 100_000))
		}
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		if len(c.has) != 26 || largest > report.MaxRequest {
			t.Errorf("%d outputs, at most %d bytes at a time", len(c.has), largest)
		}
		if len(c.states) != 7 { // 26 × 100 kB in requests of five, and the end
			t.Errorf("%d requests", len(c.states))
		}
	})
}

// An output that the server refuses, by an error or by never naming it, is skipped.
func TestOutputsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &sink{state: func(req *runnerv1.UpdateTaskRequest) error {
			if _, ok := req.GetOutputs()["bad"]; ok {
				return connect.NewError(connect.CodeResourceExhausted, errors.New("too large"))
			}
			delete(req.Outputs, "ignored")
			return nil
		}}
		r := report.New(t.Context(), report.Options{Client: c, TaskID: 1})
		for _, k := range []string{"a", "b", "bad", "c", "ignored", "z"} {
			r.SetOutput(k, "value")
		}
		if err := r.Finish(context.Background(), task.Success); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"a": "value", "b": "value", "c": "value", "z": "value"}
		if diff := cmp.Diff(want, c.has); diff != "" {
			t.Errorf("outputs (-want +got):\n%s", diff)
		}
		if last := c.states[len(c.states)-1]; last.GetResult() != runnerv1.Result_RESULT_SUCCESS {
			t.Errorf("final state %v", last)
		}
	})
}

func summariesFor(t *testing.T, s *giteatest.Server, id int64) *report.Summaries {
	t.Helper()
	fields := s.Wire(id).GetContext().GetFields()
	put, err := report.NewSummaries(s.Client(), s.URL()+"/api/actions_pipeline/",
		fields["run_id"].GetStringValue(), fields["gitea_runtime_token"].GetStringValue())
	if err != nil {
		t.Fatal(err)
	}
	return put
}

func TestSummaries(t *testing.T) {
	var late lateSummaries
	inBubble(t, report.Options{Summaries: &late, Secrets: []string{"top-secret"}}, func(w *world) {
		late.Summaries = summariesFor(w.t, w.s, w.id)
		w.s.Inject(giteatest.Status(503).On("Summary").Times(2))
		w.r.SetSummary(0, []byte("# Result\nit is top-secret and learned-later\n"))
		w.r.SetSummary(2, []byte("first"))
		w.r.SetSummary(2, []byte("second"))
		w.r.SetSummary(3, []byte(strings.Repeat("s", 1<<20+1)))
		w.r.SetSummary(4, []byte(strings.Repeat("s", 1<<20)))
		w.r.AddMask("learned-later")
		w.finish(task.Success)
		want := map[int]string{0: "# Result\nit is *** and ***\n", 2: "second", 4: strings.Repeat("s", 1<<20)}
		if diff := cmp.Diff(want, w.task().Summaries); diff != "" {
			w.t.Errorf("summaries (-want +got):\n%.1000s\n%s", diff, w.log)
		}
		if log := w.contents(); !strings.Contains(log[0], "1025 KiB and is not uploaded") {
			w.t.Errorf("the log: %q", log)
		}
	})
}

// lateSummaries can be made after the reporter.
type lateSummaries struct{ *report.Summaries }

func TestSummariesAfterACancel(t *testing.T) {
	var late lateSummaries
	inBubble(t, report.Options{Summaries: &late}, func(w *world) {
		late.Summaries = summariesFor(w.t, w.s, w.id)
		w.r.SetSummary(0, []byte("x"))
		w.s.Cancel(w.id)
		<-w.r.Stopped()
		w.finish(task.Cancelled)
		if n := len(w.s.Calls("Summary")); n != 1 {
			w.t.Errorf("%d attempts", n)
		}
		if log := w.log.String(); !strings.Contains(log, "a step's summary was not uploaded") {
			w.t.Errorf("the runner's log:\n%s", log)
		}
		if r := w.task().Result; r != task.Cancelled {
			w.t.Errorf("result %q", r)
		}
	})
}

func TestSummariesDoNotTellTheToken(t *testing.T) {
	const token = "e30.eyJKb2JJRCI6N30.c2ln"
	server := httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer "+token || req.Method != http.MethodPut ||
			req.URL.Path != "/git/api/actions_pipeline/_apis/pipelines/workflows/5/jobs/7/steps/3/summary" {
			t.Errorf("%s %s", req.Method, req.URL)
		}
		res.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	put, err := report.NewSummaries(server.Client(), server.URL+"/git/api/actions_pipeline/", "5", token)
	if err != nil {
		t.Fatal(err)
	}
	err = put.Put(t.Context(), 3, []byte("x"))
	var refused *report.RefusedError
	if !errors.As(err, &refused) || refused.Status != http.StatusTeapot || strings.Contains(err.Error(), token) {
		t.Errorf("Put = %v", err)
	}
	if _, err := report.NewSummaries(server.Client(), server.URL, "5", "no token"); err == nil {
		t.Error("a token that is none was taken")
	}
}
