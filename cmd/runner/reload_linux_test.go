package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// A reload changes the limits of containers to come, those that were kept ready
// among them. The job that runs keeps its own, and its things, although the reload
// makes a new sandbox that looks for what dead jobs have left.
func TestReloadOfContainerLimits(t *testing.T) {
	t.Parallel()
	onLinux(t)
	r := dockerRig(t)
	limits := func(memory string) string {
		return "container: {memory: " + memory + ", standby: 1}\nrunner: {capacity: 2, fetch_interval: 100ms, fetch_interval_max: 200ms}\n"
	}
	const job = `
on: push
jobs:
  build:
    runs-on: box
    steps:
      - shell: sh
        run: |
          LIMIT
          echo begun
          while [ ! -e /tmp/gate ]; do sleep 0.05; done
          LIMIT
`
	const printed = "echo limit $(cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes)"
	add := func() int64 {
		return r.server.AddWorkflow(strings.ReplaceAll(job, "LIMIT", printed), giteatest.TaskOptions{})
	}
	begun := func(id int64, p *process) {
		t.Helper()
		if err := r.server.Wait(within(t, time.Minute), func() bool { return strings.Contains(r.server.Log(id), "\nbegun\n") }); err != nil {
			t.Fatalf("%v\n%s\n%s", err, r.server.Log(id), p.stderr.String())
		}
	}
	r.write("c.yaml", limits("64m"))
	first := add()
	p := r.start("serve", "-c", "c.yaml")
	begun(first, p)
	r.write("c.yaml", limits("48m"))
	p.signal(syscall.SIGHUP)
	p.says(`msg="reload: done" changed=container.memory`)
	second := add()
	begun(second, p)
	containers, err := docker(t, nil, "ps", "-q", "--filter", "label=otelrunner.runner="+r.server.Runners()[0].UUID)
	if err != nil {
		t.Fatal(containers, err)
	}
	for _, id := range strings.Fields(containers) {
		if out, err := docker(t, nil, "exec", id, "touch", "/tmp/gate"); err != nil && !strings.Contains(out, "not running") && !strings.Contains(out, "No such container") {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for id, want := range map[int64]string{first: "limit 67108864\n", second: "limit 50331648\n"} {
		if got, err := r.server.WaitResult(within(t, time.Minute), id); err != nil || got.Result != task.Success || strings.Count(r.server.Log(id), want) != 2 {
			t.Errorf("task %d: %s, %v, want twice %q:\n%s", id, got.Result, err, want, r.server.Log(id))
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if there := r.onEngine(); there != "" {
		t.Errorf("there is %s\n%s", there, p.stderr.String())
	}
}

// A reload changes the limits of WASM jobs to come, and a label that it adds is
// served.
func TestReloadOfSandboxLimits(t *testing.T) {
	t.Parallel()
	r := wasmRig(t)
	const job = "on: push\njobs:\n  t:\n    runs-on: safe\n    steps:\n      - run: for i in 1 2 3 4 5 6 7 8; do echo ................................................................................................................................................................................; done\n"
	settings := func(output, label string) string {
		return "sandbox: {output: " + output + "}\nrunner: {labels: ['" + label + "']}\n"
	}
	r.write("c.yaml", settings("1m", "linux:host"))
	p := r.start("serve", "-c", "c.yaml")
	p.says("it waits for jobs")
	for i, c := range []struct {
		output, changed string
		want            task.Result
	}{
		{"1m", "changed=runner.labels", task.Success},
		{"1k", "changed=sandbox.output", task.Failure},
		{"2k", "changed=sandbox.output", task.Success},
	} {
		r.write("c.yaml", settings(c.output, "safe:wasm"))
		p.signal(syscall.SIGHUP)
		p.until("the reload", func(said string) bool { return strings.Count(said, "reload: done") > i })
		contains(t, "the log", p.stderr.String(), c.changed)
		id := r.server.AddWorkflow(job, giteatest.TaskOptions{})
		if got, err := r.server.WaitResult(within(t, time.Minute), id); err != nil || got.Result != c.want {
			t.Fatalf("output %s: %s, %v\n%s\n%s", c.output, got.Result, err, r.server.Log(id), p.stderr.String())
		}
		if c.want == task.Failure {
			contains(t, "the job's log", r.server.Log(id), "output limit of 1 KiB reached")
		}
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}
