package main_test

import (
	"fmt"
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

// memoryOf is a value of /proc/PID/status in bytes: VmRSS, VmHWM.
func memoryOf(t *testing.T, p *process, name string) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindStringSubmatch(string(data))
	if m == nil {
		t.Fatalf("no %s in\n%s", name, data)
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	return n << 10
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
}

// An idle runner is small.
func TestIdleMemory(t *testing.T) {
	onLinux(t)
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0")
	p := r.start("serve")
	if err := r.server.WaitCalls(soon(t), "FetchTask", 2); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	var rss int64
	for range 50 { // it gives back what its start took
		if rss = memoryOf(t, p, "VmRSS"); rss < 30e6 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("%.1f MB", float64(rss)/1e6)
	if rss > 30e6 {
		t.Errorf("an idle runner has %.1f MB, the bound is 30", float64(rss)/1e6)
	}
	// What is not the program's file, which the kernel can drop: heap, stacks, the
	// runtime's own.
	if own := memoryOf(t, p, "RssAnon"); own > 12e6 {
		t.Errorf("of it, %.1f MB are its own, the bound is 12", float64(own)/1e6)
	}
}

// A job that writes 100 MB through a server that takes 10 MB a second.
func TestMemoryOfALargeLog(t *testing.T) {
	onLinux(t)
	r := newRig(t).withServer(giteatest.Options{CountOnly: true})
	r.register()
	const line, lines = 100, 1_000_000
	id := r.server.AddWorkflow(fmt.Sprintf(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - run: yes %s | head -n %d
`, strings.Repeat("x", line-1), lines), giteatest.TaskOptions{})
	// A request has half a megabyte at most.
	r.server.Inject(giteatest.Latency(50 * time.Millisecond).On("UpdateLog"))
	p := r.start("serve")
	done, err := r.server.WaitResult(within(t, 3*time.Minute), id)
	if err != nil || done.Result != task.Success {
		t.Fatalf("%v, %v\n%s", done.Result, err, p.stderr.String())
	}
	if done.RowCount < lines {
		t.Errorf("%d rows of %d", done.RowCount, lines)
	}
	peak := memoryOf(t, p, "VmHWM")
	t.Logf("%d rows, %.0f MB of text: the runner had %.1f MB at most", done.RowCount, float64(done.RowBytes)/1e6, float64(peak)/1e6)
	if peak > 100e6 {
		t.Errorf("the runner had %.1f MB, the bound is 100", float64(peak)/1e6)
	}
}

// After a thousand jobs there are as many goroutines and open files as before.
func TestNothingGrowsWithJobs(t *testing.T) {
	onLinux(t)
	r := newRig(t).withServer(giteatest.Options{CountOnly: true})
	r.register()
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0", "OTELRUNNER_RUNNER_CAPACITY=4",
		"OTELRUNNER_RUNNER_FETCH_INTERVAL=100ms", "OTELRUNNER_RUNNER_FETCH_INTERVAL_MAX=200ms")
	p := r.start("serve", "--log-format", "json", "--log-level", "error")
	jobs := func(n int) {
		t.Helper()
		for range n {
			r.server.AddWorkflow("on: push\njobs:\n  a:\n    runs-on: linux\n    steps: [{run: ':'}]\n", giteatest.TaskOptions{})
		}
		if err := r.server.WaitAll(within(t, 5*time.Minute)); err != nil {
			t.Fatalf("%v\n%s", err, p.stderr.String())
		}
	}
	address := metricsPort(t, p)
	goroutines := regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)
	// count is what there is when the runner is idle: connections that nobody uses
	// go after a while (90 s in the runner's client), so the least of some moments
	// counts.
	count := func(files, routines int, patience time.Duration) (int, int) {
		t.Helper()
		leastFiles, leastRoutines := 1<<30, 1<<30
		waited := time.Now().Add(patience)
		for (leastFiles > files || leastRoutines > routines) && time.Now().Before(waited) {
			open, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
			if err != nil {
				t.Fatal(err)
			}
			n, _ := strconv.Atoi(goroutines.FindStringSubmatch(get(t, "http://"+address+"/metrics"))[1])
			leastFiles, leastRoutines = min(leastFiles, len(open)), min(leastRoutines, n)
			time.Sleep(100 * time.Millisecond)
		}
		return leastFiles, leastRoutines
	}
	jobs(20)
	files, routines := count(0, 0, 10*time.Second)
	rss := memoryOf(t, p, "VmRSS")
	jobs(1000)
	afterFiles, afterRoutines := count(files, routines, 3*time.Minute)
	t.Logf("files %d, then %d; goroutines %d, then %d; memory %.1f MB, then %.1f MB", files, afterFiles, routines, afterRoutines,
		float64(rss)/1e6, float64(memoryOf(t, p, "VmRSS"))/1e6)
	if afterFiles > files || afterRoutines > routines {
		t.Errorf("files %d, then %d; goroutines %d, then %d", files, afterFiles, routines, afterRoutines)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

// metricsPort finds the port on which a process serves its metrics.
func metricsPort(t *testing.T, p *process) (address string) {
	t.Helper()
	waitFor(t, p, "its metrics", func() bool {
		tables, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		open, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.cmd.Process.Pid))
		var sockets []string
		for _, f := range open {
			if link, err := os.Readlink(f); err == nil && strings.HasPrefix(link, "socket:[") {
				sockets = append(sockets, strings.Trim(link, "socket:[]"))
			}
		}
		for line := range strings.Lines(string(tables)) {
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != "0A" { // LISTEN
				continue
			}
			for _, s := range sockets {
				if s == f[9] {
					_, hex, _ := strings.Cut(f[1], ":")
					port, _ := strconv.ParseInt(hex, 16, 32)
					address = fmt.Sprintf("127.0.0.1:%d", port)
				}
			}
		}
		return address != ""
	})
	return address
}
