package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/journal"
	"otelrunner/runner/task"
)

// chaos is a run of TestChaos.
type chaos struct {
	*rig
	p    *process
	mark string // in the environment of all host steps
	wasm string // the folder of the WASM sandbox

	docker bool           // there is a container engine
	boxes  map[int64]bool // the tasks of chaosBox

	rows map[int64]int // how many each task prints
	// due has, for each task, how many of its rows the server had or a journal held
	// when the runner was killed: they must arrive. ended has the results that the
	// journals held.
	due   map[int64]int
	ended map[int64]task.Result
	// lost has the tasks that a killed runner was being given, with the time at which
	// the server gave them away: no protocol lets the next one know of them.
	lost map[int64]time.Time
	held int // rows that journals held and the server did not
}

// Fifty jobs, on the host, in the WASM sandbox and in containers, through a server and a
// network that fail in every way, while the runner is killed and started again: each row
// that the server or the journal had arrives, once and in order, each job has a result,
// and nothing is left on the machine.
func TestChaos(t *testing.T) {
	seed := seedOfChaos(t)
	plan := newChaosPlan(seed)
	t.Logf("seed %d (%s sets another one): killed at %+v", seed, chaosSeedEnv, plan.Kills)
	c := newChaos(t, seed)
	for i, j := range plan.Jobs {
		if j.Label == chaosBox && !c.docker {
			j.Label = chaosHost
		}
		id := c.server.AddWorkflow(j.workflow(i), giteatest.TaskOptions{})
		c.rows[id], c.boxes[id] = 2*j.Rows, j.Label == chaosBox
	}
	reports := []string{"UpdateLog", "UpdateTask"}
	faults := []*giteatest.Injected{
		c.server.Inject(giteatest.Status(503).Chance(.08)),
		c.server.Inject(giteatest.CutBefore().Chance(.05)),
		c.server.Inject(giteatest.CutAfter().Chance(.08).On(reports...)),
		c.server.Inject(giteatest.PartialAck(20).Chance(.2).On("UpdateLog")),
		c.server.Inject(giteatest.Latency(150 * time.Millisecond).Chance(.2)),
	}
	for _, k := range plan.Kills {
		c.killAt(k)
	}
	c.p = c.start("serve", "-c", "c.yaml")
	c.finish()
	hits := 0
	for _, f := range faults {
		hits += f.Hits()
		f.Remove()
	}
	c.p.signal(syscall.SIGTERM)
	if code := c.p.wait(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, c.p.stderr.String())
	}
	results, boxed := map[task.Result]int{}, map[task.Result]int{}
	for _, done := range c.server.Tasks() {
		if !c.isLost(done) {
			results[done.Result]++
			if c.boxes[done.ID] {
				boxed[done.Result]++
			}
			c.check(done)
		}
	}
	t.Logf("results %v, in containers %v, %d claims lost with a killed runner, %d faults, %d rows at kills that only journals held", results, boxed, chaosJobs-results[task.Success]-results[task.Failure], hits, c.held)
	if results[task.Success] < chaosJobs/4 || results[task.Failure] < chaosKills/2 || hits < 50 || c.held == 0 || c.docker && len(boxed) == 0 {
		t.Error("this run proves little")
	}
	c.checkLeft()
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{
		rig:  wasmRigOf(t, giteatest.Options{Seed: seed, ReleaseLostClaims: true}),
		mark: fmt.Sprintf("CHAOS_%d_%d", os.Getpid(), seed),
		rows: map[int64]int{}, boxes: map[int64]bool{}, due: map[int64]int{}, ended: map[int64]task.Result{}, lost: map[int64]time.Time{},
	}
	c.wasm = c.ownSandbox()
	labels := chaosHost + ":host, " + chaosWasm + ":wasm"
	if why := makeShellImage(t); why != "" {
		t.Log("no job in a container: " + why)
	} else {
		c.docker = true
		c.withDocker()
		c.env = append(c.env, "OTELRUNNER_CONTAINER_PULL=never")
		labels += ", '" + chaosBox + ":docker://" + crashImage + "'"
	}
	c.write("c.yaml", "runner: {capacity: 6, labels: ["+labels+"], fetch_interval: 100ms, fetch_interval_max: 300ms, log_report_max_latency: 200ms, state_report_interval: 500ms}\njournal: {max_size: 1m}\n")
	c.env = append(c.env, "OTELRUNNER_RUNNER_ENVS=MARK="+c.mark)
	return c
}

// progress is how many rows the server has, and how many tasks it has given away.
func (c *chaos) progress() (p chaosKill) {
	for _, t := range c.server.Tasks() {
		p.Rows += int(t.RowCount)
		if t.Runner != "" {
			p.Tasks++
		}
	}
	return p
}

// killAt starts the runner, kills it at an event, and writes down what must not be
// lost.
func (c *chaos) killAt(k chaosKill) {
	c.t.Helper()
	began, before := time.Now(), c.progress()
	c.p = c.start("serve", "-c", "c.yaml")
	err := c.server.Wait(within(c.t, 2*time.Minute), func() bool {
		now := c.progress()
		return now.Rows-before.Rows >= k.Rows && now.Tasks-before.Tasks >= k.Tasks
	})
	if err != nil {
		c.t.Fatalf("%+v does not come: %v\n%s", k, err, c.p.stderr.String())
	}
	c.p.kill()
	journaled, fetching := c.readJournal()
	lost := 0
	for _, t := range c.server.Tasks() {
		c.due[t.ID] = max(c.due[t.ID], c.printed(c.server.Log(t.ID)))
		if t.Runner != "" && !t.Result.Final() && !journaled[t.ID] && t.Assigned.After(began) {
			c.lost[t.ID] = t.Assigned
			lost++
		}
	}
	// The runner asks for one task at a time, and notes that it asks.
	if lost > 1 || lost == 1 && !fetching {
		c.t.Errorf("%d tasks were given to a runner whose journal does not have them; it was being given one: %v", lost, fetching)
	}
}

// readJournal reads what a killed runner has left, and reports of which tasks that is
// and whether it was asking for one more.
func (c *chaos) readJournal() (journaled map[int64]bool, fetching bool) {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), "journal") // reading goes on with what is read
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(c.dir, ".runner.journal"))); err != nil {
		c.t.Fatal(err)
	}
	j, err := journal.Open(journal.Options{Dir: dir})
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	logs, err := j.Unfinished()
	if err != nil {
		c.t.Fatal(err)
	}
	journaled = map[int64]bool{}
	for _, l := range logs {
		s := l.State()
		journaled[s.Task] = true
		if s.Result.Final() {
			c.ended[s.Task] = s.Result
		}
		rows, err := l.Rows(s.First, 1<<30)
		if err != nil {
			c.t.Fatal(err)
		}
		text := ""
		for _, row := range rows {
			text += row.Text + "\n"
		}
		printed := c.printed(text)
		c.held += max(0, printed-c.printed(c.server.Log(s.Task)))
		c.due[s.Task] = max(c.due[s.Task], printed)
	}
	_, fetching = j.WasFetching()
	return journaled, fetching
}

// isLost reports whether a task is still as it was when it was lost: a server that
// releases lost claims gives some of them away again.
func (c *chaos) isLost(t giteatest.Task) bool {
	at, ok := c.lost[t.ID]
	return ok && t.Assigned.Equal(at) && !t.Result.Final()
}

// finish waits for the results of all tasks but the lost ones.
func (c *chaos) finish() {
	c.t.Helper()
	err := c.server.Wait(within(c.t, 2*time.Minute), func() bool {
		for _, t := range c.server.Tasks() {
			if !t.Result.Final() && !c.isLost(t) {
				return false
			}
		}
		return true
	})
	if err != nil {
		for _, t := range c.server.Tasks() {
			if !t.Result.Final() {
				c.t.Logf("task %d: %+v", t.ID, t)
			}
		}
		c.t.Fatalf("not all tasks have ended: %v\n%s", err, c.p.stderr.String())
	}
}

var chaosRow = regexp.MustCompile(`(?m)^job \d+ row (\d+)$`)

// printed is the number after the last row of a job's that is in the text.
func (c *chaos) printed(text string) int {
	all := chaosRow.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return 0
	}
	last, _ := strconv.Atoi(all[len(all)-1][1]) // digits
	return last + 1
}

// check checks that a log has its rows from 0 on, once each and in order: all of them
// if the job succeeded, and if it was cut off those that must be there, and the reason.
func (c *chaos) check(done giteatest.Task) {
	c.t.Helper()
	log := c.server.Log(done.ID)
	next := 0
	for _, m := range chaosRow.FindAllStringSubmatch(log, -1) {
		if m[1] != strconv.Itoa(next) {
			c.t.Errorf("task %d: row %s comes where %d is due", done.ID, m[1], next)
			return
		}
		next++
	}
	died := strings.Contains(log, "The runner died in the middle of this job")
	want, due := c.rows[done.ID], c.due[done.ID]
	switch {
	case done.Result == task.Success && next == want && !died:
	case done.Result == task.Failure && died && next >= due && next <= want:
	default:
		c.t.Errorf("task %d: %s with %d of %d rows, of which %d had been journaled; told that the runner died: %v\n%s", done.ID, done.Result, next, want, due, died, log)
	}
	if ended, ok := c.ended[done.ID]; ok && ended != done.Result {
		c.t.Errorf("task %d: %s, although its journal had %s", done.ID, done.Result, ended)
	}
	if !done.Sealed {
		c.t.Errorf("task %d: its log is not sealed", done.ID)
	}
}

// checkLeft checks that nothing is left on the machine.
func (c *chaos) checkLeft() {
	c.t.Helper()
	for what, pattern := range map[string]string{
		"folders":                    filepath.Join(c.work, "task-*"),
		"folders of the WASM jobs":   filepath.Join(c.wasm, "jobs", "*"),
		"journals":                   filepath.Join(c.dir, ".runner.journal", "task-*"),
		"notes of fetches under way": filepath.Join(c.dir, ".runner.journal", "fetching"),
	} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			c.t.Errorf("%s are left: %v", what, left)
		}
	}
	if c.docker {
		if left := c.onEngine(); left != "" {
			c.t.Errorf("on the container engine there is %s", left)
		}
	}
	if left := processesOf(c.t, c.mark); len(left) > 0 {
		c.t.Errorf("processes %v are left", left)
	}
}

// processesOf are the processes with that text in their environment.
func processesOf(t *testing.T, text string) (pids []string) {
	t.Helper()
	return processesWhose(t, "environ", text)
}
