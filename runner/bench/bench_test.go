//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"text/tabwriter"
	"time"

	"otelrunner/runner"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/poll"
	"otelrunner/runner/simulate"
	"otelrunner/runner/task"
)

// TestTable prints the table. It fails only when something could not be
// measured: whether a figure is good is for the reader to say.
func TestTable(t *testing.T) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush()
	row := func(format string, args ...any) {
		fmt.Fprintf(table, strings.ReplaceAll(format, " | ", "\t")+"\n", args...)
	}
	row("work | measured | floor or target | ratio")

	idleMinute(t, row)
	busyFleet(t, row)
	idleFleet(t, row)
	flood(t, row)
	hostSteps(t, row)
	containerSteps(t, row)
	wasmSteps(t, row)
	instruments(t, row)
	telemetry(t, row)
	largeWorkflow(t, row)
	idleMemory(t, row)
}

type printer func(format string, args ...any)

// idleMinute counts the fetches of one idle runner of capacity 3.
func idleMinute(t *testing.T, row printer) {
	var fetches int
	synctest.Test(t, func(t *testing.T) {
		server := giteatest.New(giteatest.Options{CountOnly: true})
		defer server.Close()
		client, err := server.NewClient(giteatest.RunnerOptions{Labels: []string{"linux"}})
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		must(t, poll.New(poll.Options{Fetcher: client, Capacity: 3, Handler: func(*task.Task) {}}).Run(ctx))
		fetches = server.Stats("FetchTask").Calls
	})
	row("idle, capacity 3, first minute | %d FetchTask | ≤ 6 | ", fetches)
}

// busyFleet is 200 runners with 3 tasks each, 70 % writing a row a second.
func busyFleet(t *testing.T, row printer) {
	synctest.Test(t, func(t *testing.T) {
		c, err := simulate.Fleet{Runners: 200, Tasks: 3, Writing: 0.7, Warmup: 30 * time.Second, Measure: time.Minute}.Run(t.Context())
		must(t, err)
		row("200 runners × 3 tasks, 70 %% writing a row a second | %.0f requests/s, oldest row %v | %.0f requests/s, 3s | %.2f",
			c.Total, c.RowAge.Round(10*time.Millisecond), c.Floor, c.Total/c.Floor)
	})
}

// idleFleet is 200 runners without work, when their backoff has reached its cap.
func idleFleet(t *testing.T, row printer) {
	synctest.Test(t, func(t *testing.T) {
		c, err := simulate.Fleet{Runners: 200, Capacity: 3, Warmup: 10 * time.Minute, Measure: 10 * time.Minute}.Run(t.Context())
		must(t, err)
		row("200 runners idle | %.2f requests/s, %d shown offline | %.2f requests/s, 0 | %.2f", c.Total, c.Offline, c.Floor, c.Total/c.Floor)
	})
}

// flood is a million rows: through the reporter alone, and printed by a step of
// a real job.
func flood(t *testing.T, row printer) {
	c, err := simulate.Flood{Rows: 1_000_000, Secrets: 10}.Run(t.Context())
	must(t, err)
	row("1,000,000 rows, reporter and server in one process | %v, %d UpdateLog, %d MiB heap | ≤ 2.5s, ≤ 200 | %.2f",
		c.Elapsed.Round(10*time.Millisecond), c.Calls, c.PeakHeap>>20, c.Elapsed.Seconds()/2.5)

	const script = `i=0; yes "a line of the length that builds print, give or take" | head -n 1000000`
	start := time.Now()
	must(t, exec.Command("sh", "-c", script).Run())
	floor := time.Since(start)
	d := newDaemon(t)
	defer d.stop()
	took, _ := d.job(t, steps(script))
	row("1,000,000 rows printed by a host step, hand-out to final state | %v, %d UpdateLog | %v (the command alone) | %.1f",
		took.Round(10*time.Millisecond), d.server.Stats("UpdateLog").Calls, floor.Round(10*time.Millisecond), took.Seconds()/floor.Seconds())
}

// hostSteps is what a job and a step cost on the host, beside a fork and exec. They
// take turns, so that a machine that is busy for a while is so for all three.
func hostSteps(t *testing.T, row printer) {
	d := newDaemon(t)
	defer d.stop()
	var floors, ones, each []time.Duration
	for range 20 {
		floors = append(floors, median(3, func() time.Duration { return timed(t, exec.Command("bash", "-e", "-c", "true")) }))
		one, _ := d.job(t, steps("true"))
		many, _ := d.job(t, steps(repeat("true", 21)...))
		ones, each = append(ones, one), append(each, (many-one)/20)
	}
	floor, one, step := middle(floors), middle(ones), middle(each)
	row("host job, 1 step, hand-out to final state | %v | ≤ 10ms; %v (bash -e -c true) | %.1f", round(one), round(floor), ratio(one, floor))
	row("each further host step | %v | ≤ 3ms; %v (bash -e -c true) | %.1f", round(step), round(floor), ratio(step, floor))
}

// idleMemory is the resident memory of the built program while it waits, without and
// with the export of all signals.
func idleMemory(t *testing.T, row printer) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "runner")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "otelrunner/cmd/runner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sink := newSink(t)
	for _, c := range []struct{ what, otel string }{
		{"/metrics on", "{}"}, {"/metrics and OTLP on", "{endpoint: '" + sink + "', job_logs: true}"},
	} {
		if mb := idleMemoryOf(t, binary, t.TempDir(), c.otel); mb > 0 {
			row("idle memory, %s | %.1f MB | ≤ 30 MB | %.2f", c.what, mb, mb/30)
		} else {
			row("idle memory, %s | not measured: no /proc here | ≤ 30 MB | ", c.what)
		}
	}
}

// idleMemoryOf is that of one configuration, in MB; 0 where it is not to be known.
func idleMemoryOf(t *testing.T, binary, dir, otel string) float64 {
	t.Helper()
	server := giteatest.New(giteatest.Options{})
	defer server.Close()
	url, err := server.Start()
	must(t, err)
	file := register(t, server, url, dir, "host")
	cfg := filepath.Join(dir, "config.yaml")
	must(t, os.WriteFile(cfg, []byte("runner: {file: "+file+"}\nmetrics: {enabled: true, addr: '127.0.0.1:0'}\notel: "+otel+"\nhost: {workdir_parent: "+dir+"/work}\n"), 0o600))
	cmd := exec.Command(binary, "serve", "-c", cfg)
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	must(t, server.WaitCalls(t.Context(), "FetchTask", 3))
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	for line := range strings.Lines(string(status)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
			return float64(kib) / 1000
		}
	}
	return 0
}

// daemon is a runner that serves in this process.
type daemon struct {
	server *giteatest.Server
	stops  chan struct{}
	done   chan error
}

func newDaemon(t *testing.T) *daemon { return newDaemonOf(t, "host", func(*config.Config) {}) }

// newDaemonOf gives the label linux a scheme, and has the configuration changed.
func newDaemonOf(t *testing.T, scheme string, change func(*config.Config)) *daemon {
	t.Helper()
	dir := t.TempDir()
	server := giteatest.New(giteatest.Options{CountOnly: true})
	url, err := server.Start()
	must(t, err)
	loaded, err := config.Load("", nil)
	must(t, err)
	cfg := &loaded.Config
	cfg.Runner.File = register(t, server, url, dir, scheme)
	cfg.Runner.FetchInterval, cfg.Runner.FetchIntervalMax = time.Millisecond, time.Millisecond
	cfg.Host.WorkdirParent = filepath.Join(dir, "work")
	change(cfg)
	d := &daemon{server: server, stops: make(chan struct{}, 1), done: make(chan error, 1)}
	go func() {
		d.done <- runner.Serve(context.Background(), runner.ServeOptions{
			Config: cfg, Version: "bench", Environ: os.Environ(), Log: slog.NewTextHandler(io.Discard, nil), Stops: d.stops,
		})
	}()
	return d
}

// job runs one job and returns the time from its hand-out to its final state, as
// the server saw it.
func (d *daemon) job(t *testing.T, text string) (time.Duration, giteatest.Task) {
	t.Helper()
	id := d.server.AddWorkflow(text, giteatest.TaskOptions{})
	got, err := d.server.WaitResult(t.Context(), id)
	must(t, err)
	if got.Result != task.Success {
		t.Fatalf("the job's result is %s", got.Result)
	}
	end := time.Now()
	return end.Sub(got.Assigned), got
}

func (d *daemon) stop() {
	d.stops <- struct{}{}
	<-d.done
	d.server.Close()
}

func register(t *testing.T, server *giteatest.Server, url, dir, scheme string) string {
	t.Helper()
	uuid, token := server.AddRunner(giteatest.RunnerOptions{Labels: []string{"linux"}})
	data, err := json.Marshal(map[string]any{"id": 1, "uuid": uuid, "name": "bench", "token": token, "address": url, "labels": []string{"linux:" + scheme}})
	must(t, err)
	file := filepath.Join(dir, ".runner")
	must(t, os.WriteFile(file, data, 0o600))
	return file
}

// steps is a workflow of these scripts.
func steps(scripts ...string) string {
	var b strings.Builder
	b.WriteString("on: push\njobs:\n  j:\n    runs-on: linux\n    steps:\n")
	for _, s := range scripts {
		quoted, _ := json.Marshal(s)
		fmt.Fprintf(&b, "      - run: %s\n", quoted)
	}
	return b.String()
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// median is the median of n measurements.
func median(n int, f func() time.Duration) time.Duration {
	all := make([]time.Duration, n)
	for i := range all {
		all[i] = f()
	}
	return middle(all)
}

// inTurns is the median of n measurements of each, taken in turns: a machine that is
// busy for a while is so for both.
func inTurns(n int, a, b func() time.Duration) (time.Duration, time.Duration) {
	as, bs := make([]time.Duration, n), make([]time.Duration, n)
	for i := range n {
		as[i], bs[i] = a(), b()
	}
	return middle(as), middle(bs)
}

// middle sorts measurements and returns the one in the middle.
func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func ratio(a, b time.Duration) float64 { return a.Seconds() / b.Seconds() }

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
