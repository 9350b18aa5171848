// Package simulate runs fleets of runners against a server in the same process,
// with the real pollers, reporters and clients and with jobs that only write
// rows: what a fleet costs its server, and how long people wait, before anybody
// has to find out in production.
package simulate

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/journal"
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

	// Journal is a folder in which the runners keep journals, as those of a real
	// fleet do, each on a machine of its own; "": they keep none.
	Journal string

	// Warmup passes before Measure begins.
	Warmup, Measure time.Duration

	// Outage is how long the server is away after Measure; 0: it is not. What
	// comes when it is back is watched for Return (default 1 min).
	Outage, Return time.Duration

	// Arrivals are jobs that come one each ArriveEvery (default 500 ms) to an
	// idle fleet after all that, write a row and end. With Wake, a webhook for
	// each reaches one of the runners.
	Arrivals    int
	ArriveEvery time.Duration
	Wake        bool

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

	// RowAge is the longest time between a row's own and its arrival, RowP50 and
	// RowP99 are percentiles of it; all during Measure.
	RowAge, RowP50, RowP99 time.Duration

	// Peak is the most requests in one second while the server was coming back
	// from its outage.
	Peak float64

	// StartP50 and StartP99 are percentiles of the time between an arrival's being
	// queued and its assignment; StartMax is the longest.
	StartP50, StartP99, StartMax time.Duration

	// Memory is what a runner took of this process (heap and stacks, in bytes, the
	// server's share included) before the outage.
	Memory int64

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
	set(&f.Return, time.Minute)
	set(&f.ArriveEvery, 500*time.Millisecond)
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

	ages := &ages{}
	server := giteatest.New(giteatest.Options{CountOnly: true, RowAge: ages.add})
	defer server.Close()
	for range f.Runners * f.Tasks {
		server.AddWorkflow(aJob, giteatest.TaskOptions{})
	}

	var fleet sync.WaitGroup
	defer fleet.Wait()
	defer cancel()
	journals, err := f.openJournals()
	if err != nil {
		return Costs{}, err
	}
	writers := make(chan struct{}, int(f.writers()))
	for range cap(writers) {
		writers <- struct{}{}
	}
	before := memory()
	wakes := make([]chan struct{}, f.Runners)
	for i := range f.Runners {
		client, err := server.NewClient(giteatest.RunnerOptions{Name: fmt.Sprint("runner-", i), Labels: []string{"linux"}})
		if err != nil {
			return Costs{}, fmt.Errorf("simulate runner %d: %w", i, err)
		}
		wakes[i] = make(chan struct{}, 1)
		fleet.Go(func() { f.runner(ctx, client, journals[i], writers, wakes[i]) })
	}

	if err := wait(ctx, f.Warmup); err != nil {
		return Costs{}, err
	}
	server.ResetCalls()
	ages.reset()
	if err := wait(ctx, f.Measure); err != nil {
		return Costs{}, err
	}
	c := f.costs(server)
	c.RowP50, c.RowP99, c.RowAge = ages.percentiles()
	c.Memory = (memory() - before) / int64(f.Runners)
	if f.Outage > 0 {
		if err := f.outage(ctx, server, &c); err != nil {
			return Costs{}, err
		}
	}
	if f.Arrivals > 0 {
		if err := f.arrive(ctx, server, wakes, &c); err != nil {
			return Costs{}, err
		}
	}
	return c, nil
}

const aJob = "on: push\njobs:\n  j:\n    runs-on: linux\n    steps: [{run: ':'}]\n"

// outage takes the server away and measures its return.
func (f Fleet) outage(ctx context.Context, server *giteatest.Server, c *Costs) error {
	server.SetDown(true)
	if err := wait(ctx, f.Outage); err != nil {
		return err
	}
	server.SetDown(false)
	calls := server.Stats("").Calls
	for range int(f.Return / time.Second) {
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
		now := server.Stats("").Calls
		c.Peak = max(c.Peak, float64(now-calls))
		calls = now
	}
	return nil
}

// arrive adds jobs one by one and measures how long they wait.
func (f Fleet) arrive(ctx context.Context, server *giteatest.Server, wakes []chan struct{}, c *Costs) error {
	ids := make([]int64, f.Arrivals)
	for i := range ids {
		ids[i] = server.AddWorkflow(aJob, giteatest.TaskOptions{})
		if f.Wake {
			select {
			case wakes[rand.IntN(len(wakes))] <- struct{}{}:
			default:
			}
		}
		if err := wait(ctx, f.ArriveEvery); err != nil {
			return err
		}
	}
	var waits []time.Duration
	for _, id := range ids {
		if err := server.WaitAssigned(ctx, id); err != nil {
			return fmt.Errorf("simulate arrivals: %w", err)
		}
		t, _ := server.Task(id)
		waits = append(waits, t.Assigned.Sub(t.Added))
	}
	slices.Sort(waits)
	c.StartP50, c.StartP99, c.StartMax = percentile(waits, .5), percentile(waits, .99), waits[len(waits)-1]
	return nil
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
	for _, r := range server.Runners() {
		if r.MaxSilence > poll.OfflineAfter {
			c.Offline++
		}
	}
	return c
}

// runner is one simulated runner: a real poller, and tasks that write rows until
// ctx ends.
func (f Fleet) runner(ctx context.Context, client *gitea.Client, j *journal.Journal, writers, wake <-chan struct{}) {
	if j != nil {
		defer func() { _ = j.Close() }() // what it holds goes with the simulation
	}
	// Runners of a fleet were not started in the same instant.
	if wait(ctx, time.Duration(rand.Float64()*float64(min(f.Warmup/2, f.FetchIntervalMax)))) != nil {
		return
	}
	p := poll.New(poll.Options{
		Fetcher:      client,
		Capacity:     f.Capacity,
		Interval:     f.FetchInterval,
		MaxInterval:  f.FetchIntervalMax,
		Wake:         wake,
		Unregistered: gitea.IsUnauthenticated,
		RetryAfter:   gitea.RetryAfter,
		Handler: func(t *task.Task) {
			r, end := f.report(ctx, client, j, t)
			defer end()
			if f.Tasks == 0 {
				short(ctx, r)
				return
			}
			select {
			case <-writers:
				f.task(ctx, r, true)
			default:
				f.task(ctx, r, false)
			}
		},
	})
	_ = p.Run(ctx) // its only error is that of a server which forgot the runner; this one does not
}

// openJournals makes a journal for each runner; nil ones where there are none.
func (f Fleet) openJournals() ([]*journal.Journal, error) {
	all := make([]*journal.Journal, f.Runners)
	if f.Journal == "" {
		return all, nil
	}
	for i := range all {
		var err error
		if all[i], err = journal.Open(journal.Options{Dir: filepath.Join(f.Journal, fmt.Sprint("runner-", i))}); err != nil {
			for _, j := range all[:i] {
				_ = j.Close() // the first error is the one to tell
			}
			return nil, fmt.Errorf("simulate runner %d: %w", i, err)
		}
	}
	return all, nil
}

// report is the reporter of a task, with a journal if there is one.
func (f Fleet) report(ctx context.Context, client *gitea.Client, j *journal.Journal, t *task.Task) (r *report.Reporter, end func()) {
	o := report.Options{
		Client: client, TaskID: t.ID,
		MaxLatency: f.LogLatency, Interval: f.LogSweep, StateInterval: f.StateReport,
	}
	done := func() {}
	if j != nil {
		if l, err := j.Begin(journal.Meta{Task: t.ID, Started: time.Now(), Steps: 1}); err == nil {
			o.Journal = l
			done = func() { _ = l.Done() }
		}
	}
	r = report.New(ctx, o)
	return r, func() { r.Close(); done() }
}

// task writes rows, or nothing, until ctx ends.
func (f Fleet) task(ctx context.Context, r *report.Reporter, writes bool) {
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

// short is a job of one row.
func short(ctx context.Context, r *report.Reporter) {
	r.StepStarted(0, time.Now())
	r.Row(time.Now(), "done")
	r.StepFinished(0, task.Success, time.Now())
	_ = r.Finish(ctx, task.Success) // the simulation may be over
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
