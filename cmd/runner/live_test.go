//go:build !windows

package main_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// gated is a job that goes on when a file is there.
func gated(file string) string {
	return strings.ReplaceAll(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: |
          echo begun
          while [ ! -e "GATE" ]; do sleep 0.02; done
          echo finished
`, "GATE", file)
}

// A drained runner finishes its job, takes no other, says so to who asks, and ends
// well; `runner drain` waits for that.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0", "OTELRUNNER_RUNNER_CAPACITY=2")
	gate := filepath.Join(r.dir, "gate")
	id := r.server.AddWorkflow(gated(gate), giteatest.TaskOptions{})
	p := r.start("serve", "--log-format", "json")
	if err := r.server.WaitRows(soon(t), id, 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	drain := r.start("drain")
	waitFor(t, p, "the drain", func() bool { return strings.Contains(p.stderr.String(), "draining: no more tasks are taken") })
	address := p.address()
	waitFor(t, p, "/readyz to say so", func() bool {
		status, body := fetch(t, "http://"+address+"/readyz")
		return status == 503 && strings.Contains(body, "draining")
	})
	other := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	select {
	case <-drain.ended:
		t.Errorf("drain does not wait: %s", drain.stderr.String())
	case <-time.After(300 * time.Millisecond):
	}
	r.write("gate", "")
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if code := drain.wait(); code != 0 {
		t.Errorf("drain: exit code %d: %s", code, drain.stderr.String())
	}
	if done, _ := r.server.Task(id); done.Result != task.Success || !strings.Contains(r.server.Log(id), "finished") {
		t.Errorf("the job: %+v", done)
	}
	if left, _ := r.server.Task(other); left.Runner != "" {
		t.Error("a task was taken while draining")
	}
	if _, stderr, code := r.run("drain"); code != 1 || !strings.Contains(stderr, "no runner is running") {
		t.Errorf("with none: exit code %d: %s", code, stderr)
	}
}

// SIGHUP takes what can change, names what cannot, and leaves all as it was when
// the file is wrong; the job that runs goes on.
func TestReload(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.write("c.yaml", "runner: {fetch_interval: 100ms, fetch_interval_max: 200ms, labels: ['linux:host']}\n")
	gate := filepath.Join(r.dir, "gate")
	id := r.server.AddWorkflow(gated(gate), giteatest.TaskOptions{})
	p := r.start("serve", "-c", "c.yaml")
	if err := r.server.WaitRows(soon(t), id, 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	reload := func(config, said string) {
		t.Helper()
		r.write("c.yaml", config)
		p.signal(syscall.SIGHUP)
		waitFor(t, p, said, func() bool { return strings.Contains(p.stderr.String(), said) })
	}
	reload("runner: {capacity: none}\n", "c.yaml:1: runner.capacity: expected a whole number")
	reload(`
log: {level: debug}
runner: {fetch_interval: 100ms, fetch_interval_max: 200ms, capacity: 2, labels: ['linux:host', 'new:host'], envs: {FROM_CONFIG: anew}}
metrics: {enabled: true}
`, `msg="reload: done" changed="log.level, runner.capacity, runner.envs, runner.labels"`)
	contains(t, "the log", p.stderr.String(), "these keys need a restart of the runner, and are as they were: metrics.enabled")
	labelled(t, r, p, "linux", "new")
	other := r.server.AddWorkflow(strings.Replace(passing, "runs-on: linux", "runs-on: new", 1), giteatest.TaskOptions{})
	if done, err := r.server.WaitResult(soon(t), other); err != nil || done.Result != task.Success {
		t.Fatalf("a second job, of the new label: %+v, %v\n%s", done, err, p.stderr.String())
	}
	contains(t, "its log", r.server.Log(other), "and anew")
	if done, _ := r.server.Task(id); done.Result.Final() {
		t.Errorf("the job that ran has ended: %+v", done)
	}
	r.write("gate", "")
	if done, err := r.server.WaitResult(soon(t), id); err != nil || done.Result != task.Success {
		t.Errorf("%+v, %v", done, err)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

// A service manager is told when the runner is ready, what it does, and that it
// still lives.
func TestServiceManager(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "notify") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var said []string
	var reading sync.WaitGroup
	reading.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				return
			}
			mu.Lock()
			said = append(said, string(buf[:n]))
			mu.Unlock()
		}
	})
	t.Cleanup(func() { _ = socket.Close(); reading.Wait() })
	all := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(said, "\n--\n")
	}

	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "NOTIFY_SOCKET="+filepath.Join(dir, "s"), "WATCHDOG_USEC=100000")
	id := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	p := r.start("serve")
	if _, err := r.server.WaitResult(soon(t), id); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	for _, want := range []string{"READY=1\nSTATUS=e2e: 0 of 1 jobs", "STATUS=e2e: 1 of 1 jobs", "WATCHDOG=1\n--\nWATCHDOG=1"} {
		waitFor(t, p, want, func() bool { return strings.Contains(all(), want) })
	}
	p.signal(syscall.SIGHUP)
	waitFor(t, p, "the reload", func() bool {
		_, after, ok := strings.Cut(all(), "RELOADING=1\nMONOTONIC_USEC=")
		return ok && strings.Contains(after, "READY=1")
	})
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if !strings.Contains(all(), "STOPPING=1") {
		t.Errorf("told: %s", all())
	}
}

// A copy of each job's log is kept, masked.
func TestCopiesOfJobLogs(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	dir := filepath.Join(r.dir, "copies")
	r.env = append(r.env, "OTELRUNNER_LOG_JOB_DIR="+dir)
	id := r.server.AddWorkflow(passing, giteatest.TaskOptions{Secrets: map[string]string{"PASSWORD": "sesame-open"}})
	p := r.start("serve", "--once")
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.stderr.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(data)) {
		_, text, _ := strings.Cut(line, " ")
		got = append(got, text)
	}
	if want := strings.TrimSuffix(r.server.Log(id), "\n"); strings.Join(got, "") != want { // without the seal's row
		t.Errorf("the copy:\n%s\nthe log:\n%s", strings.Join(got, ""), want)
	}
	contains(t, "the copy", string(data), "the secret is ***")
}
