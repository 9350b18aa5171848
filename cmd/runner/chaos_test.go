package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// The seed of TestChaos; the variable gives another one.
const (
	chaosSeed    = 7
	chaosSeedEnv = "OTELRUNNER_CHAOS_SEED"
	chaosJobs    = 50
	chaosKills   = 6
)

// chaosJob prints numbered rows in two steps, with a pause in between.
func chaosJob(job, rows int, pause float64) string {
	return fmt.Sprintf(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: i=0; while [ $i -lt %[2]d ]; do echo "job %[1]d row $i"; i=$((i+1)); done; sleep %.2[3]f
      - run: i=%[2]d; while [ $i -lt %[4]d ]; do echo "job %[1]d row $i"; i=$((i+1)); done
`, job, rows, pause, 2*rows)
}

// Fifty jobs through a server and a network that fail in every way, while the
// runner is killed and started again: each row arrives once and in order, each job
// has a result, and nothing is left on the machine.
func TestChaos(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks for processes in /proc")
	}
	seed := uint64(chaosSeed)
	if s := os.Getenv(chaosSeedEnv); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d (%s sets another one)", seed, chaosSeedEnv)
	random := rand.New(rand.NewPCG(seed, 3))
	r := newRig(t).withServer(giteatest.Options{Seed: seed, ReleaseLostClaims: true})
	r.register()
	r.write("c.yaml", "runner: {capacity: 6, fetch_interval: 100ms, fetch_interval_max: 300ms, log_report_max_latency: 200ms, state_report_interval: 500ms}\njournal: {max_size: 1m}\n")
	mark := fmt.Sprintf("CHAOS_%d_%d", os.Getpid(), seed)
	r.env = append(r.env, "OTELRUNNER_RUNNER_ENVS=MARK="+mark)

	rows := map[int64]int{}
	for job := range chaosJobs {
		n := 1 + random.IntN(400)
		id := r.server.AddWorkflow(chaosJob(job, n, 0.1+random.Float64()), giteatest.TaskOptions{})
		rows[id] = 2 * n
	}
	reports := []string{"UpdateLog", "UpdateTask"}
	faults := []*giteatest.Injected{
		r.server.Inject(giteatest.Status(503).Chance(.08)),
		r.server.Inject(giteatest.CutBefore().Chance(.05)),
		r.server.Inject(giteatest.CutAfter().Chance(.08).On(reports...)),
		r.server.Inject(giteatest.PartialAck(20).Chance(.2).On("UpdateLog")),
		r.server.Inject(giteatest.Latency(150 * time.Millisecond).Chance(.2)),
	}

	p := r.start("serve", "-c", "c.yaml")
	for range chaosKills {
		time.Sleep(700*time.Millisecond + time.Duration(random.IntN(1500))*time.Millisecond)
		p.kill()
		p = r.start("serve", "-c", "c.yaml")
	}
	unfinished := func() (n int) {
		for _, done := range r.server.Tasks() {
			if !done.Result.Final() && !lostClaim(done) {
				n++
			}
		}
		return n
	}
	deadline := time.Now().Add(60 * time.Second)
	for unfinished() > 0 && time.Now().Before(deadline) {
		select {
		case <-p.ended:
			t.Fatalf("the runner has ended:\n%s", p.stderr.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	hits := 0
	for _, f := range faults {
		hits += f.Hits()
		f.Remove()
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.stderr.String())
	}

	results := map[task.Result]int{}
	lost := 0
	for _, done := range r.server.Tasks() {
		if lostClaim(done) {
			lost++
			continue
		}
		results[done.Result]++
		checkChaos(t, done, r.server.Log(done.ID), rows[done.ID])
	}
	t.Logf("results %v, %d claims lost with a killed runner, %d faults", results, lost, hits)
	if lost > chaosKills || results[task.Success] < chaosJobs/3 || hits < 50 {
		t.Errorf("results %v, %d claims lost, %d faults", results, lost, hits)
	}
	for what, pattern := range map[string]string{"folders": filepath.Join(r.work, "task-*"), "journals": filepath.Join(r.dir, ".runner.journal", "task-*")} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("%s are left: %v", what, left)
		}
	}
	if left := processesOf(t, mark); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// lostClaim tells a task that a killed runner was being given: no protocol lets
// the next one know of it.
func lostClaim(t giteatest.Task) bool {
	return t.Runner != "" && !t.Result.Final() && t.RowCount == 0 && t.LastCall.Equal(t.Assigned) && time.Since(t.Assigned) > 20*time.Second
}

var chaosRow = regexp.MustCompile(`^job \d+ row (\d+)$`)

// checkChaos checks that a log has its rows from 0 on, once each and in order: all
// of them if the job succeeded, and the reason if it was cut off.
func checkChaos(t *testing.T, done giteatest.Task, log string, want int) {
	t.Helper()
	next := 0
	for line := range strings.Lines(log) {
		m := chaosRow.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		if m[1] != strconv.Itoa(next) {
			t.Errorf("task %d: row %s comes where %d is due", done.ID, m[1], next)
			return
		}
		next++
	}
	died := strings.Count(log, "The runner died in the middle of this job")
	switch {
	case done.Result == task.Success && next == want && died == 0:
	case done.Result == task.Failure && died == 1 && next <= want:
	default:
		t.Errorf("task %d: %s with %d of %d rows, told %d times that the runner died:\n%s", done.ID, done.Result, next, want, died, log)
	}
	if !done.Sealed {
		t.Errorf("task %d: its log is not sealed", done.ID)
	}
}

// processesOf are the processes with that text in their environment.
func processesOf(t *testing.T, text string) (pids []string) {
	t.Helper()
	return processesWhose(t, "environ", text)
}
