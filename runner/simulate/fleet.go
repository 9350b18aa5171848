// Package simulate runs fleets of runners against a server in the same process,
// with the real pollers, reporters and clients and with jobs that only write
// rows: what a fleet costs its server, and how long people wait, before anybody
// has to find out in production.
package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/poll"
	"otelrunner/runner/report"
	"otelrunner/runner/task"
)

// Fleet describes a fleet and its work.
type Fleet struct {
	Runners  int
	Capacity int // tasks a runner runs at a time; default 1

	// Tasks is how many tasks each runner is kept busy with; 0 is an idle
	// fleet. Each task runs for the whole simulation.
	Tasks int

	// Writing is the share of tasks that write a row every RowEvery (default
	// 1 s); the others are silent.
	Writing  float64
	RowEvery time.Duration

	// Warmup passes before Measure begins.
	Warmup, Measure time.Duration

	// The settings of the runners; zero values are the defaults.
	FetchInterval, FetchIntervalMax   time.Duration
	LogLatency, LogSweep, StateReport time.Duration
}

// Costs is what a fleet cost its server during Fleet.Measure.
type Costs struct {
	Requests map[string]int // by method
	Total    float64        // requests a second
	Bytes    float64        // of request bodies as sent, a second

	// Floor is what the settings imply at least, in requests a second:
	// writing tasks ÷ latency + tasks ÷ state interval; for an idle fleet
	// runners ÷ mean sleep.
	Floor float64

	// RowAge is the longest time between a row's own and its arrival.
	RowAge time.Duration

	// Offline is the number of runners that the server would have shown as
	// offline at some time.
	Offline int
}

func (f Fleet) withDefaults() Fleet {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	f.Capacity = max(f.Capacity, f.Tasks, 1)
	set(&f.RowEvery, time.Second)
	set(&f.Warmup, 10*time.Second)
	set(&f.Measure, 30*time.Second)
	set(&f.FetchInterval, 2*time.Second)
	set(&f.FetchIntervalMax, 60*time.Second)
	set(&f.LogLatency, report.DefaultMaxLatency)
	set(&f.LogSweep, report.DefaultInterval)
	set(&f.StateReport, report.DefaultStateInterval)
	return f
}

// floor is the least that the settings imply, in requests a second.
func (f Fleet) floor() float64 {
	tasks := float64(f.Runners * f.Tasks)
	if tasks > 0 {
		return f.writers()/f.LogLatency.Seconds() + tasks/f.StateReport.Seconds()
	}
	return float64(f.Runners) / poll.MeanSleep(f.FetchIntervalMax).Seconds()
}

// writers is the number of tasks that write.
func (f Fleet) writers() float64 { return float64(int(float64(f.Runners*f.Tasks) * f.Writing)) }

// Run runs the fleet and returns what it cost. It works in real time and, inside
// a testing/synctest bubble, in virtual time.
func (f Fleet) Run(ctx context.Context) (Costs, error) {
	f = f.withDefaults()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	server := giteatest.New(giteatest.Options{CountOnly: true})
	defer server.Close()
	for range f.Runners * f.Tasks {
		server.AddWorkflow("on: push\njobs:\n  j:\n    runs-on: linux\n    steps: [{run: ':'}]\n", giteatest.TaskOptions{})
	}

	var fleet sync.WaitGroup
	defer fleet.Wait()
	defer cancel()
	writers := make(chan struct{}, int(f.writers()))
	for range cap(writers) {
		writers <- struct{}{}
	}
	for i := range f.Runners {
		client, err := server.NewClient(giteatest.RunnerOptions{Name: fmt.Sprint("runner-", i), Labels: []string{"linux"}})
		if err != nil {
			return Costs{}, fmt.Errorf("simulate runner %d: %w", i, err)
		}
		fleet.Go(func() { f.runner(ctx, client, writers) })
	}

	if err := wait(ctx, f.Warmup); err != nil {
		return Costs{}, err
	}
	server.ResetCalls()
	if err := wait(ctx, f.Measure); err != nil {
		return Costs{}, err
	}
	return f.costs(server), nil
}

func (f Fleet) costs(server *giteatest.Server) Costs {
	all := server.Stats("")
	c := Costs{
		Requests: map[string]int{},
		Total:    float64(all.Calls) / f.Measure.Seconds(),
		Bytes:    float64(all.Bytes) / f.Measure.Seconds(),
		Floor:    f.floor(),
	}
	for _, m := range server.Methods() {
		c.Requests[m] = server.Stats(m).Calls
	}
	for _, t := range server.Tasks() {
		c.RowAge = max(c.RowAge, t.MaxRowAge)
	}
	for _, r := range server.Runners() {
		if r.MaxSilence > poll.OfflineAfter {
			c.Offline++
		}
	}
	return c
}

// runner is one simulated runner: a real poller, and tasks that write rows until
// ctx ends.
func (f Fleet) runner(ctx context.Context, client *gitea.Client, writers <-chan struct{}) {
	// Runners of a fleet were not started in the same instant.
	if wait(ctx, time.Duration(rand.Float64()*float64(min(f.Warmup/2, f.FetchIntervalMax)))) != nil {
		return
	}
	p := poll.New(poll.Options{
		Fetcher:      client,
		Capacity:     f.Capacity,
		Interval:     f.FetchInterval,
		MaxInterval:  f.FetchIntervalMax,
		Unregistered: gitea.IsUnauthenticated,
		RetryAfter:   gitea.RetryAfter,
		Handler: func(t *task.Task) {
			select {
			case <-writers:
				f.task(ctx, client, t, true)
			default:
				f.task(ctx, client, t, false)
			}
		},
	})
	_ = p.Run(ctx) // its only error is that of a server which forgot the runner; this one does not
}

// task writes rows, or nothing, until ctx ends.
func (f Fleet) task(ctx context.Context, client *gitea.Client, t *task.Task, writes bool) {
	r := report.New(ctx, report.Options{
		Client: client, TaskID: t.ID,
		MaxLatency: f.LogLatency, Interval: f.LogSweep, StateInterval: f.StateReport,
	})
	defer r.Close()
	r.StepStarted(0, time.Now())
	if !writes {
		<-ctx.Done()
		return
	}
	if wait(ctx, time.Duration(rand.Float64()*float64(f.RowEvery))) != nil {
		return
	}
	tick := time.NewTicker(f.RowEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.Row(now, "compiling package 17 of 230: a line as builds print them")
		case <-ctx.Done():
			return
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
