package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// kill ends the program as nothing can be done against, and waits for that.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Fatal("it survives SIGKILL")
	}
}

// processesWith are the processes whose command line has that text.
func processesWith(t *testing.T, text string) (pids []string) {
	t.Helper()
	return processesWhose(t, "cmdline", text)
}

// processesWhose are those whose file of that name in /proc has the text.
func processesWhose(t *testing.T, name, text string) (pids []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if content, err := os.ReadFile(f); err == nil && strings.Contains(string(content), text) {
			pids = append(pids, filepath.Base(filepath.Dir(f)))
		}
	}
	return pids
}

// journaled is what the journals of unfinished tasks hold.
func (r *rig) journaled() string {
	all := ""
	files, _ := filepath.Glob(filepath.Join(r.dir, ".runner.journal", "task-*", "*.seg"))
	for _, f := range files {
		data, _ := os.ReadFile(f)
		all += string(data)
	}
	return all
}

// A runner that is killed in the middle of a job: the next start ends what is left
// of it and reports it.
func TestKilledInTheMiddleOfAJob(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("looks for processes in /proc")
	}
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.write("c.yaml", "runner: {log_report_max_latency: 1m, log_report_interval: 1m}\n")
	nap := fmt.Sprint(1_000_000 + os.Getpid()) // seconds that nobody else sleeps
	id := r.server.AddWorkflow(strings.ReplaceAll(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: echo first
      - run: |
          for i in $(seq 20); do echo "row $i ${{ secrets.PASSWORD }}"; done
          setsid sleep NAP &
          touch ready
          sleep NAP
      - run: echo never
`, "NAP", nap), giteatest.TaskOptions{Secrets: map[string]string{"PASSWORD": "sesame-open"}})
	away := r.server.Inject(giteatest.Status(503).On("UpdateLog"))
	p := r.start("serve", "-c", "c.yaml")
	waitFor(t, p, "the job's second step", func() bool {
		found, _ := filepath.Glob(filepath.Join(r.work, "*", "*", "ready"))
		return len(found) == 1 && len(processesWith(t, nap)) >= 2
	})
	waitFor(t, p, "the journal", func() bool { return strings.Contains(r.journaled(), "row 20") })
	if strings.Contains(r.journaled(), "sesame-open") {
		t.Error("the journal holds a secret")
	}
	p.kill()
	if n, _ := r.server.Task(id); n.Result.Final() || n.RowCount > 0 {
		t.Fatalf("before the restart: %+v", n)
	}

	away.Remove()
	began := time.Now()
	p = r.start("serve", "-c", "c.yaml")
	done, err := r.server.WaitResult(within(t, time.Minute), id)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %s", took)
	}
	if done.Result != task.Failure || len(done.Steps) != 3 || done.Steps[0].Result != task.Success || done.Steps[1].Result != task.Failure || done.Steps[2].Result != task.Skipped {
		t.Errorf("%+v", done)
	}
	log := r.server.Log(id)
	contains(t, "the job's log", log, "\nfirst\n", "\nrow 1 ***\n", "\nrow 20 ***\n", "##[error]The runner died in the middle of this job", "is removed.\n")
	if strings.Count(log, "row 7 ") != 1 {
		t.Errorf("a row comes twice:\n%s", log)
	}
	if left := processesWith(t, nap); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
	if left, _ := filepath.Glob(filepath.Join(r.work, "task-*")); len(left) > 0 {
		t.Errorf("folders %v are left", left)
	}
	next := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	if done, err := r.server.WaitResult(soon(t), next); err != nil || done.Result != task.Success {
		t.Errorf("the next job: %+v, %v\n%s", done, err, p.stderr.String())
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, ".runner.journal", "task-*")); len(left) > 0 {
		t.Errorf("journals %v are left", left)
	}
}

// waitFor waits for something that no event tells.
func waitFor(t *testing.T, p *process, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		select {
		case <-p.ended:
			t.Fatalf("the program has ended before %s:\n%s", what, p.stderr.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s:\n%s", what, p.stderr.String())
		}
	}
}

func TestSecondRunnerIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	p := r.start("serve")
	if err := r.server.WaitCalls(soon(t), "FetchTask", 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	_, stderr, code := r.run("serve")
	if code != 1 || !strings.Contains(stderr, "another runner is serving this registration") {
		t.Errorf("one registration: exit code %d: %s", code, stderr)
	}
	other := newRig(t)
	other.server, other.url = r.server, r.url
	other.register()
	other.env = append(other.env, "OTELRUNNER_JOURNAL_DIR="+filepath.Join(r.dir, ".runner.journal"))
	if _, stderr, code := other.run("serve"); code != 1 || !strings.Contains(stderr, "journal.dir") || !strings.Contains(stderr, "another runner is using it") {
		t.Errorf("one journal: exit code %d: %s", code, stderr)
	}
	if runtime.GOOS == "windows" {
		return
	}
	p.kill() // the system gives the locks free
	p = r.start("serve")
	waitFor(t, p, "the start", func() bool { return strings.Contains(p.stderr.String(), "runner starts") })
}
