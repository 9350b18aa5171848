package simulate

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// Flood is one task that writes rows as fast as it can.
type Flood struct {
	Rows int
	// Secrets is the number of secrets that every row is searched for.
	Secrets int
}

// FloodCosts is what a Flood took.
type FloodCosts struct {
	Elapsed  time.Duration // from the first row to the final state
	Calls    int           // of UpdateLog
	PeakHeap uint64        // bytes in use above those before, server included
}

// Run reports the rows to a server on loopback. It returns an error if the server
// does not have every row in the end.
func (f Flood) Run(ctx context.Context) (FloodCosts, error) {
	server := giteatest.New(giteatest.Options{CountOnly: true})
	defer server.Close()
	url, err := server.Start()
	if err != nil {
		return FloodCosts{}, fmt.Errorf("simulate a flood: %w", err)
	}
	uuid, token := server.AddRunner(giteatest.RunnerOptions{Labels: []string{"linux"}})
	client, err := gitea.New(gitea.Options{Instance: url, UUID: uuid, Token: token})
	if err != nil {
		return FloodCosts{}, fmt.Errorf("simulate a flood: %w", err)
	}
	id := server.AddWorkflow("on: push\njobs:\n  j:\n    runs-on: linux\n    steps: [{run: ':'}]\n", giteatest.TaskOptions{})
	if _, _, err := client.FetchTask(ctx, 0); err != nil {
		return FloodCosts{}, fmt.Errorf("simulate a flood: %w", err)
	}

	secrets := make([]string, f.Secrets)
	for i := range secrets {
		secrets[i] = fmt.Sprintf("secret-%d-%x", i, i*7919+104729)
	}
	peak := watchHeap()
	start := time.Now()
	r := report.New(ctx, report.Options{Client: client, TaskID: id, Secrets: secrets})
	defer r.Close()
	r.StepStarted(0, start)
	for i := range f.Rows {
		r.Row(time.Now(), fmt.Sprintf("row %d: a line of the length that builds print, give or take", i))
	}
	r.StepFinished(0, task.Success, time.Now())
	if err := r.Finish(ctx, task.Success); err != nil {
		return FloodCosts{}, fmt.Errorf("simulate a flood: %w", err)
	}
	c := FloodCosts{Elapsed: time.Since(start), PeakHeap: peak(), Calls: server.Stats("UpdateLog").Calls}
	if t, _ := server.Task(id); t.RowCount != int64(f.Rows)+1 { // and the seal's
		return c, fmt.Errorf("simulate a flood: the server has %d of %d rows", t.RowCount-1, f.Rows)
	}
	return c, nil
}

// watchHeap samples the heap in use; the function it returns ends that and gives
// the largest growth in bytes.
func watchHeap() (peak func() uint64) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapInuse
	var most atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			}
		}
	}()
	return func() uint64 {
		close(stop)
		<-done
		return max(most.Load(), before) - before
	}
}
