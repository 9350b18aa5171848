package giteatest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const oneJob = "on: push\njobs:\n  build:\n    runs-on: linux\n    steps:\n      - run: echo hi\n"

// bubble runs f in a synctest bubble with a server in it.
func bubble(t *testing.T, o giteatest.Options, f func(t *testing.T, s *giteatest.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := giteatest.New(o)
		defer s.Close()
		f(t, s)
	})
}

// runner is a client of a new runner with the label linux.
func runner(t *testing.T, s *giteatest.Server, change ...func(*giteatest.RunnerOptions)) *gitea.Client {
	t.Helper()
	o := giteatest.RunnerOptions{Name: "r", Labels: []string{"linux"}}
	for _, f := range change {
		f(&o)
	}
	c, err := s.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// claimed adds a task and has the client fetch it.
func claimed(t *testing.T, s *giteatest.Server, c *gitea.Client) int64 {
	t.Helper()
	id := s.AddWorkflow(oneJob, giteatest.TaskOptions{})
	got, _, err := c.FetchTask(t.Context(), 0)
	if err != nil || got == nil || got.ID != id {
		t.Fatalf("fetch: %+v, %v; want task %d", got, err, id)
	}
	return id
}

func rows(from, n int) []*runnerv1.LogRow {
	out := make([]*runnerv1.LogRow, n)
	for i := range out {
		out[i] = &runnerv1.LogRow{Time: timestamppb.Now(), Content: fmt.Sprintf("row %d", from+i)}
	}
	return out
}

func send(t *testing.T, c *gitea.Client, id, index int64, r []*runnerv1.LogRow, noMore bool) (int64, error) {
	t.Helper()
	res, err := c.UpdateLog(t.Context(), &runnerv1.UpdateLogRequest{TaskId: id, Index: index, Rows: r, NoMore: noMore})
	return res.GetAckIndex(), err
}

func state(ctx context.Context, c *gitea.Client, id int64, r task.Result, outputs map[string]string) (task.Result, []string, error) {
	res, err := c.UpdateTask(ctx, &runnerv1.UpdateTaskRequest{
		State: &runnerv1.TaskState{Id: id, Result: gitea.ResultToWire(r)}, Outputs: outputs,
	})
	return gitea.ResultFromWire(res.GetState().GetResult()), res.GetSentOutputs(), err
}

func mustState(t *testing.T, c *gitea.Client, id int64, r, want task.Result) {
	t.Helper()
	got, _, err := state(t.Context(), c, id, r, nil)
	if err != nil || got != want {
		t.Errorf("UpdateTask(%v) was answered %v, %v; want %v", r, got, err, want)
	}
}

func result(t *testing.T, s *giteatest.Server, id int64) task.Result {
	t.Helper()
	got, ok := s.Task(id)
	if !ok {
		t.Fatalf("there is no task %d", id)
	}
	return got.Result
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
