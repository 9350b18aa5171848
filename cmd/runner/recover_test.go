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

// killedInAJob kills a runner of a host label in the middle of a job that has
// printed rows which the server does not have, and sleeps for nap.
func killedInAJob(t *testing.T) (r *rig, id int64, nap string) {
	t.Helper()
	onLinux(t)
	r = newRig(t).withServer(giteatest.Options{})
	r.register()
	// A number of seconds that nobody else sleeps.
	nap = fmt.Sprintf("%d.%d", 1_000_000+os.Getpid(), time.Now().UnixNano())
	id = r.server.AddWorkflow(strings.ReplaceAll(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: |
          echo printed
          touch ready
          sleep NAP
`, "NAP", nap), giteatest.TaskOptions{})
	away := r.server.Inject(giteatest.Status(503).On("UpdateLog"))
	p := r.start("serve")
	waitFor(t, p, "the job", func() bool {
		found, _ := filepath.Glob(filepath.Join(r.work, "*", "*", "ready"))
		return len(found) == 1 && strings.Contains(r.journaled(), "printed") && len(processesWith(t, nap)) > 0
	})
	p.kill()
	away.Remove()
	return r, id, nap
}

// What a dead runner has left is reported and removed at once, whatever else the
// next start has to wait for, and also if it comes to nothing.
func TestRecoveryWaitsForNothing(t *testing.T) {
	t.Parallel()
	only := "OTELRUNNER_RUNNER_LABELS=box:docker://nowhere.invalid/image:1"
	for name, c := range map[string]struct {
		env  []string
		late bool // the server takes no labels before the end
		code int  // -1: it goes on
		row  string
	}{
		"no container engine":          {env: []string{only}, code: 1, row: "could be removed"},
		"no container engine for long": {env: []string{only, "OTELRUNNER_CONTAINER_DOCKER_TIMEOUT=10m"}, code: -1, row: "The container engine does not answer"},
		"the server takes no labels":   {late: true, code: -1, row: "is removed.\n"},
		"there is no room for modules": {env: []string{"OTELRUNNER_RUNNER_LABELS=w:wasm", "OTELRUNNER_SANDBOX_DIR=/dev/null/nowhere"}, code: 1, row: "The runner died"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, id, nap := killedInAJob(t)
			r.env = append(r.env, c.env...)
			var late *giteatest.Injected
			if c.late {
				late = r.server.Inject(giteatest.Status(503).On("Declare"))
			}
			declared := r.server.Stats("Declare").Calls
			p := r.start("serve")
			done, err := r.server.WaitResult(within(t, time.Minute), id)
			if err != nil || done.Result != task.Failure {
				t.Fatalf("%s, %v\n%s", done.Result, err, p.stderr.String())
			}
			contains(t, "the job's log", r.server.Log(id), "\nprinted\n", "##[error]The runner died in the middle of this job", c.row)
			if left := processesWith(t, nap); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
			if left, _ := filepath.Glob(filepath.Join(r.work, "task-*")); len(left) > 0 {
				t.Errorf("folders %v are left", left)
			}
			if c.late {
				if r.server.Stats("Declare").Calls == declared {
					t.Error("nothing was declared")
				}
				late.Remove()
				next := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
				if done, err := r.server.WaitResult(within(t, 2*time.Minute), next); err != nil || done.Result != task.Success {
					t.Errorf("the next job: %s, %v\n%s", done.Result, err, p.stderr.String())
				}
			}
			if c.code >= 0 {
				if code := p.wait(); code != c.code {
					t.Errorf("exit code %d\n%s", code, p.stderr.String())
				}
			} else {
				p.signal(syscall.SIGTERM)
				if code := p.wait(); code != 0 {
					t.Errorf("exit code %d\n%s", code, p.stderr.String())
				}
			}
			if left, _ := filepath.Glob(filepath.Join(r.dir, ".runner.journal", "task-*")); len(left) > 0 {
				t.Errorf("journals %v are left", left)
			}
		})
	}
}

// A runner that the server does not know keeps what it has for one that is
// registered again: it is the registration that is wrong, and not the task.
func TestRecoveryOfARunnerThatIsNotKnown(t *testing.T) {
	t.Parallel()
	r, id, _ := killedInAJob(t)
	file := filepath.Join(r.dir, ".runner")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.write(".runner", strings.Replace(string(right), `"token": "`, `"token": "x`, 1))
	if _, stderr, code := r.run("serve"); code != 3 || !strings.Contains(stderr, "the task stays in the journal") {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	r.write(".runner", string(right))
	p := r.start("serve")
	done, err := r.server.WaitResult(within(t, time.Minute), id)
	if err != nil || done.Result != task.Failure || !strings.Contains(r.server.Log(id), "\nprinted\n") {
		t.Errorf("%s, %v\n%s\n%s", done.Result, err, r.server.Log(id), p.stderr.String())
	}
}

// A runner that was killed while it asked for work says what may have come of it.
func TestKilledWhileItAsked(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGKILL")
	}
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "OTELRUNNER_RUNNER_FETCH_INTERVAL=1h", "OTELRUNNER_RUNNER_FETCH_INTERVAL_MAX=1h")
	hang := r.server.Inject(giteatest.Hang().On("FetchTask"))
	p := r.start("serve")
	if err := r.server.WaitCalls(soon(t), "FetchTask", 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	p.kill()
	hang.Remove()
	p = r.start("serve")
	const said = "this runner was killed while it asked for work"
	waitFor(t, p, "the warning", func() bool { return strings.Contains(p.stderr.String(), said) })
	if err := r.server.WaitCalls(soon(t), "FetchTask", 2); err != nil {
		t.Fatal(err)
	}
	waitFor(t, p, "the end of a fetch", func() bool {
		_, err := os.Stat(filepath.Join(r.dir, ".runner.journal", "fetching"))
		return os.IsNotExist(err)
	})
	p.kill()
	p = r.start("serve")
	if err := r.server.WaitCalls(soon(t), "FetchTask", 3); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(p.stderr.String(), said) {
		t.Errorf("it was not killed while it asked:\n%s", p.stderr.String())
	}
}
