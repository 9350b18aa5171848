package main_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The seed of TestChaos; the variable gives another one.
const (
	chaosSeed    = 7
	chaosSeedEnv = "OTELRUNNER_CHAOS_SEED"
	chaosJobs    = 50
	chaosKills   = 8
)

// The labels of the jobs. Where there is no container engine, those of chaosBox run on
// the host.
const (
	chaosHost = "linux"
	chaosWasm = "safe"
	chaosBox  = "box"
)

// chaosPlan is all that a seed decides of TestChaos: what the jobs do, and at which
// events the runner is killed.
type chaosPlan struct {
	Jobs  []chaosJob
	Kills []chaosKill
}

// chaosJob prints Rows numbered rows in each of two steps, with a pause between.
type chaosJob struct {
	Rows  int
	Pause float64 // seconds
	Label string  // chaosHost, chaosWasm or chaosBox
}

// chaosKill is the event at which the runner is killed: since it was started, the
// server has stored that many rows, and given that many tasks away.
type chaosKill struct{ Rows, Tasks int }

func newChaosPlan(seed uint64) (p chaosPlan) {
	random := rand.New(rand.NewPCG(seed, 3))
	for range chaosJobs {
		j := chaosJob{Rows: 1 + random.IntN(400), Pause: 0.1 + random.Float64(), Label: chaosHost}
		switch random.IntN(10) {
		case 0, 1:
			j.Label = chaosWasm
		case 2, 3:
			j.Label = chaosBox
		}
		p.Jobs = append(p.Jobs, j)
	}
	for i := range chaosKills {
		k := chaosKill{Rows: 200 + random.IntN(1200)}
		if i%4 == 3 { // as soon as a task was given away, which may not have arrived yet
			k = chaosKill{Tasks: 1 + random.IntN(2)}
		}
		p.Kills = append(p.Kills, k)
	}
	return p
}

// workflow is the text of the job.
func (j chaosJob) workflow(number int) string {
	defaults := ""
	if j.Label == chaosBox { // crashImage has no other shell
		defaults = "run: {shell: sh}"
	}
	return fmt.Sprintf(`
on: push
jobs:
  build:
    runs-on: %[5]s
    defaults: {%[6]s}
    steps:
      - run: i=0; while [ $i -lt %[2]d ]; do echo "job %[1]d row $i"; i=$((i+1)); done; sleep %.2[3]f
      - run: i=%[2]d; while [ $i -lt %[4]d ]; do echo "job %[1]d row $i"; i=$((i+1)); done
`, number, j.Rows, j.Pause, 2*j.Rows, j.Label, defaults)
}

// seedOfChaos is the seed of this run.
func seedOfChaos(t *testing.T) uint64 {
	t.Helper()
	s := os.Getenv(chaosSeedEnv)
	if s == "" {
		return chaosSeed
	}
	seed, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// One seed is one plan.
func TestChaosPlan(t *testing.T) {
	a, again, b := newChaosPlan(7), newChaosPlan(7), newChaosPlan(8)
	if diff := cmp.Diff(a, again); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(a, b) {
		t.Error("two seeds have one plan")
	}
	rows, due, of := 0, 0, map[string]int{}
	for _, j := range a.Jobs {
		rows += 2 * j.Rows
		of[j.Label]++
	}
	for _, k := range a.Kills {
		due += k.Rows
	}
	if of[chaosWasm] < 5 || of[chaosBox] < 4 || due > rows/2 {
		t.Errorf("jobs by label %v, %d rows, kills after %d", of, rows, due)
	}
}
