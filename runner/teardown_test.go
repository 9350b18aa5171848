package runner

import (
	"context"
	"testing"
	"testing/synctest"

	"otelrunner/runner/job"
	"otelrunner/runner/task"
)

// What an engine puts off happens when the server has the result, and before the
// worker takes another task.
func TestRemovalAfterTheFinalReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		removed := false
		var b *bench
		var id int64
		b = newBench(t, 0, func(_ context.Context, _ <-chan struct{}, sink job.Sink) task.Result {
			later, ok := sink.(job.Deferrer)
			if !ok {
				t.Fatal("the sink does not take what is to be done later")
			}
			later.Later(func() {
				got, ok := b.server.Task(id)
				if !ok || got.Result != task.Success {
					t.Errorf("removed while the server's result is %q", got.Result)
				}
				removed = true
			})
			return task.Success
		})
		got := b.take(t)
		id = got.ID
		b.h.handle(got)
		if !removed {
			t.Error("nothing was removed")
		}
	})
}
