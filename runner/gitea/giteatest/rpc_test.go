package giteatest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"github.com/google/go-cmp/cmp"
)

func TestRegisterAndDeclare(t *testing.T) {
	for name, form := range map[string]giteatest.ErrorForm{"text": giteatest.ErrorText, "code": giteatest.ErrorCode} {
		t.Run(name, func(t *testing.T) {
			bubble(t, giteatest.Options{Errors: form, Path: "/git"}, func(t *testing.T, s *giteatest.Server) {
				anonymous, err := gitea.New(gitea.Options{Instance: s.URL() + "/", HTTPClient: s.Client()})
				if err != nil {
					t.Fatal(err)
				}
				if err := anonymous.Ping(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, err = anonymous.Register(t.Context(), gitea.NewRunner{Token: "wrong", Name: "n"})
				if err == nil || gitea.IsTemporary(err) && form == giteatest.ErrorCode || !strings.Contains(gitea.Explain(err), "registration token is wrong") {
					t.Errorf("a wrong token: %v", err)
				}
				reg, err := anonymous.Register(t.Context(), gitea.NewRunner{
					Token: giteatest.DefaultToken, Name: "n", Version: "v1", Labels: []string{"a", "b"}, Ephemeral: true,
				})
				if err != nil {
					t.Fatal(err)
				}
				if !reg.Ephemeral || reg.Address != s.URL() || reg.ID == 0 {
					t.Errorf("registered as %+v", reg)
				}
				r, _ := s.Runner(reg.UUID)
				if !r.Cancelling || r.Version != "v1" || !slices.Equal(r.Labels, []string{"a", "b"}) {
					t.Errorf("the server holds %+v", r)
				}

				for _, withhold := range []bool{true, false} {
					c, err := gitea.New(gitea.Options{Instance: s.URL(), UUID: reg.UUID, Token: reg.Token, HTTPClient: s.Client(), NoCancelling: withhold})
					if err != nil {
						t.Fatal(err)
					}
					caps, err := c.Declare(t.Context(), "v2", []string{"c"})
					if err != nil || !caps.Has(gitea.CapabilityJobSummary) {
						t.Errorf("Declare = %v, %v", caps, err)
					}
					r, _ := s.Runner(reg.UUID)
					if r.Cancelling == withhold || r.Version != "v2" || !slices.Equal(r.Labels, []string{"c"}) {
						t.Errorf("withheld %v: the server holds %+v", withhold, r)
					}
				}

				s.DeleteRunner(reg.UUID)
				c, _ := gitea.New(gitea.Options{Instance: s.URL(), UUID: reg.UUID, Token: reg.Token, HTTPClient: s.Client()})
				_, _, err = c.FetchTask(t.Context(), 0)
				if !gitea.IsUnauthenticated(err) || gitea.IsTemporary(err) {
					t.Errorf("a deleted runner: %v", err)
				}
			})
		})
	}
}

func TestFetchTaskVersions(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		fetch := func(version int64) (*task.Task, int64) {
			t.Helper()
			got, v, err := c.FetchTask(t.Context(), version)
			if err != nil {
				t.Fatal(err)
			}
			return got, v
		}
		_, v := fetch(0)
		first := s.AddWorkflow(oneJob, giteatest.TaskOptions{})
		second := s.AddWorkflow(oneJob, giteatest.TaskOptions{})
		got, now := fetch(v)
		if got == nil || got.ID != first || now <= v {
			t.Fatalf("after a new task: %v, version %d → %d", got, v, now)
		}
		if got, same := fetch(now); got != nil || same != now {
			t.Errorf("with the server's own version it looked: %v", got)
		}
		echo := s.Inject(giteatest.EchoVersion())
		if got, v := fetch(0); got != nil || v != 0 {
			t.Errorf("at the limit of picks: %v, version %d", got, v)
		}
		echo.Remove()
		if got, _ := fetch(0); got == nil || got.ID != second {
			t.Errorf("with version 0: %v", got)
		}
		if got, _ := fetch(0); got != nil {
			t.Errorf("a task was assigned twice: %v", got)
		}
	})
}

func TestFetchTaskPickLimit(t *testing.T) {
	bubble(t, giteatest.Options{PickLimit: 1, PickTime: time.Second}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		s.AddWorkflow(oneJob, giteatest.TaskOptions{})
		first := make(chan *task.Task)
		go func() {
			got, _, _ := c.FetchTask(t.Context(), 0)
			first <- got
		}()
		time.Sleep(500 * time.Millisecond)
		if got, v, err := c.FetchTask(t.Context(), 0); got != nil || v != 0 || err != nil {
			t.Errorf("beside a pick: %v, %d, %v", got, v, err)
		}
		if <-first == nil {
			t.Error("the first one got nothing")
		}
	})
}

func TestFetchTaskLabels(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		job := func(runsOn string) int64 {
			return s.AddWorkflow("jobs: {j: {runs-on: "+runsOn+", steps: [{run: x}]}}", giteatest.TaskOptions{})
		}
		job("[linux, gpu]")
		job("windows")
		want := []int64{job("[linux]"), job("{labels: linux}"), job("linux"), s.AddWorkflow("no: workflow", giteatest.TaskOptions{})}
		var got []int64
		for range 6 {
			if task, _, err := c.FetchTask(t.Context(), 0); err != nil {
				t.Fatal(err)
			} else if task != nil {
				got = append(got, task.ID)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("tasks fetched (-want +got):\n%s", d)
		}
		uuid := s.Runners()[0].UUID
		s.DisableRunner(uuid, true)
		job("linux")
		if task, _, err := c.FetchTask(t.Context(), 0); task != nil || err != nil {
			t.Errorf("disabled: %v, %v", task, err)
		}
		s.DisableRunner(uuid, false)
		if task, _, err := c.FetchTask(t.Context(), 0); task == nil || err != nil {
			t.Errorf("enabled again: %v, %v", task, err)
		}
	})
}

func TestUpdateLog(t *testing.T) {
	type step struct {
		index  int64
		rows   int
		noMore bool
		ack    int64
		exists bool
	}
	for name, c := range map[string]struct {
		options giteatest.Options
		steps   []step
		sealed  bool
	}{
		"rows follow": {steps: []step{{0, 3, false, 3, false}, {3, 2, false, 5, false}}},
		"overlap":     {steps: []step{{0, 3, false, 3, false}, {1, 4, false, 5, false}}},
		"all old":     {steps: []step{{0, 3, false, 3, false}, {0, 2, false, 3, false}}},
		"gap":         {steps: []step{{0, 2, false, 2, false}, {3, 2, true, 2, false}, {2, 1, false, 3, false}}},
		"seal with rows": {sealed: true, steps: []step{
			{0, 2, true, 2, false}, {0, 2, false, 2, false}, {2, 1, false, 0, true}, {1, 2, true, 0, true},
		}},
		"seal without rows": {sealed: true, steps: []step{{0, 2, false, 2, false}, {2, 0, true, 2, false}, {2, 1, false, 0, true}}},
		"seal without rows, ignored": {options: giteatest.Options{IgnoreEmptySeal: true}, steps: []step{
			{0, 2, false, 2, false}, {2, 0, true, 2, false}, {2, 1, false, 3, false},
		}},
		"codes of their own": {options: giteatest.Options{Errors: giteatest.ErrorCode}, sealed: true, steps: []step{
			{0, 1, true, 1, false}, {1, 1, false, 0, true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.options, func(t *testing.T, s *giteatest.Server) {
				client := runner(t, s)
				id := claimed(t, s, client)
				for i, st := range c.steps {
					ack, err := send(t, client, id, st.index, rows(int(st.index), st.rows), st.noMore)
					if st.exists {
						if !gitea.IsAlreadyExists(err) || gitea.IsTemporary(err) {
							t.Errorf("step %d: %v, want AlreadyExists", i, err)
						}
						continue
					}
					if err != nil || ack != st.ack {
						t.Errorf("step %d: ack %d, %v; want %d", i, ack, err, st.ack)
					}
				}
				if got, _ := s.Task(id); got.Sealed != c.sealed {
					t.Errorf("sealed: %v", got.Sealed)
				}
				for i, r := range s.Rows(id) {
					if want := rows(i, 1)[0].Content; r.Content != want {
						t.Errorf("row %d is %q, want %q", i, r.Content, want)
					}
				}
			})
		})
	}
}

func TestUpdateLogContents(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		id := claimed(t, s, c)
		r := rows(0, 3)
		r[0].Content = "two\nlines"
		r[1].Content = strings.Repeat("x", 64<<10+5)
		time.Sleep(2 * time.Second)
		if _, err := send(t, c, id, 0, r, false); err != nil {
			t.Fatal(err)
		}
		got := s.Rows(id)
		if got[0].Content != `two\nlines` || len(got[1].Content) != 64<<10 || !got[2].Time.Equal(r[2].Time.AsTime()) {
			t.Errorf("stored %q, %d bytes, at %v", got[0].Content, len(got[1].Content), got[2].Time)
		}
		if task, _ := s.Task(id); task.MaxRowAge != 2*time.Second {
			t.Errorf("the oldest row came after %v", task.MaxRowAge)
		}
		s.Inject(giteatest.PartialAck(1).Times(1))
		if ack, err := send(t, c, id, 3, rows(3, 3), true); ack != 4 || err != nil {
			t.Errorf("partial: ack %d, %v", ack, err)
		}
		if ack, err := send(t, c, id, 4, rows(4, 2), true); ack != 6 || err != nil {
			t.Errorf("the rest: ack %d, %v", ack, err)
		}
	})
}

func TestUpdateTask(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		id := claimed(t, s, c)
		mustState(t, c, id, task.Unspecified, task.Unspecified)
		_, sent, err := state(t.Context(), c, id, task.Unspecified, map[string]string{
			"a": "1", strings.Repeat("k", 256): "long key", "big": strings.Repeat("v", 1<<20+1), "fits": strings.Repeat("v", 1<<20),
		})
		if d := cmp.Diff([]string{"a", "fits"}, sent); err != nil || d != "" {
			t.Errorf("%v, sent_outputs %s", err, d)
		}
		_, sent, err = state(t.Context(), c, id, task.Unspecified, map[string]string{"a": "2", "b": ""})
		if d := cmp.Diff([]string{"a", "b", "fits"}, sent); err != nil || d != "" {
			t.Errorf("%v, sent_outputs %s", err, d)
		}
		_, err = c.UpdateTask(t.Context(), &runnerv1.UpdateTaskRequest{State: &runnerv1.TaskState{Id: id, Steps: []*runnerv1.StepState{
			{Id: 1, Result: runnerv1.Result_RESULT_SKIPPED}, {Id: 0, Result: runnerv1.Result_RESULT_SUCCESS, LogIndex: 2, LogLength: 3},
		}}})
		if err != nil {
			t.Fatal(err)
		}
		mustState(t, c, id, task.Success, task.Success)
		mustState(t, c, id, task.Failure, task.Success) // a final result is final
		got, err := s.WaitResult(t.Context(), id)
		if err != nil || got.Result != task.Success || got.Outputs["a"] != "1" || got.Heartbeats != 4 {
			t.Errorf("%+v, %v", got.Result, err)
		}
		want := []giteatest.Step{{ID: 0, Result: task.Success, LogIndex: 2, LogLength: 3}, {ID: 1, Result: task.Skipped}}
		if d := cmp.Diff(want, got.Steps); d != "" {
			t.Error(d)
		}

		other := runner(t, s)
		if _, _, err := state(t.Context(), other, id, task.Success, nil); !gitea.IsNotFound(err) || gitea.IsTemporary(err) {
			t.Errorf("another runner's task: %v", err)
		}
		s.DeleteTask(id)
		if _, err := send(t, c, id, 0, rows(0, 1), false); !gitea.IsNotFound(err) || gitea.IsTemporary(err) {
			t.Errorf("a deleted task: %v", err)
		}
	})
}

func TestEphemeralRunnerIsDeletedByTheFinalState(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s, func(o *giteatest.RunnerOptions) { o.Ephemeral = true })
		id := claimed(t, s, c)
		s.AddWorkflow(oneJob, giteatest.TaskOptions{})
		if got, _, err := c.FetchTask(t.Context(), 0); got != nil || err != nil {
			t.Errorf("a second task: %v, %v", got, err)
		}
		mustState(t, c, id, task.Success, task.Success)
		_, errLog := send(t, c, id, 0, rows(0, 1), false)
		_, _, errState := state(t.Context(), c, id, task.Success, nil)
		_, _, errFetch := c.FetchTask(t.Context(), 0)
		for _, err := range []error{errLog, errState, errFetch} {
			if !gitea.IsUnauthenticated(err) {
				t.Errorf("after the final state: %v", err)
			}
		}
	})
}

func TestCountOnly(t *testing.T) {
	bubble(t, giteatest.Options{CountOnly: true}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		id := claimed(t, s, c)
		if _, err := send(t, c, id, 0, rows(0, 10), true); err != nil {
			t.Fatal(err)
		}
		got, _ := s.Task(id)
		if got.RowCount != 10 || got.RowBytes != 50 || len(s.Rows(id)) != 0 || len(s.Calls("")) != 0 || s.Stats("UpdateLog").Calls != 1 {
			t.Errorf("%+v, %d rows, %d calls", got, len(s.Rows(id)), len(s.Calls("")))
		}
	})
}
