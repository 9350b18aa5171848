package main_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"testing"
	"time"

	"otelrunner/otel/oteltest"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// TestCollectorTrouble: whatever becomes of the collector, a job takes as long as
// without one, the rows that find no room are counted, and the runner ends.
func TestCollectorTrouble(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the script is for a POSIX shell, and the runner is told to end by a signal")
	}
	t.Parallel()
	hangs, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hangs.Close() }()
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		select {
		case <-time.After(2 * time.Second):
		case <-req.Context().Done():
		}
	}))
	defer slow.Close()
	fails := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no", http.StatusServiceUnavailable)
	}))
	defer fails.Close()

	// Of several jobs the fastest: what else this machine does slows down some of
	// them, waiting for a collector would all.
	const jobs, rows = 5, 5000
	took := map[string]time.Duration{}
	for _, c := range []struct{ name, endpoint string }{
		{"none", ""}, {"hangs", "http://" + hangs.Addr().String()}, {"is slow", slow.URL}, {"fails", fails.URL},
	} {
		r := newRig(t).withServer(giteatest.Options{})
		r.register()
		metrics := oteltest.FreeAddress(t)
		r.write("c.yaml", "runner: {fetch_interval: 100ms, fetch_interval_max: 100ms}\nmetrics: {enabled: true, addr: '"+metrics+"'}\notel: {endpoint: '"+c.endpoint+"', job_logs: true}\n")
		r.env = append(r.env, "OTEL_BLRP_MAX_QUEUE_SIZE=100", "OTEL_BSP_MAX_QUEUE_SIZE=5", "OTEL_METRIC_EXPORT_INTERVAL=200", "OTEL_METRIC_EXPORT_TIMEOUT=2000",
			"OTEL_BSP_EXPORT_TIMEOUT=2000", "OTEL_BLRP_EXPORT_TIMEOUT=2000", "OTEL_EXPORTER_OTLP_TIMEOUT=2000")
		var ids []int64
		for range jobs {
			ids = append(ids, r.server.AddWorkflow(fmt.Sprintf(`
on: push
jobs:
  a:
    runs-on: linux
    steps: [{run: "i=0; while [ $i -lt %d ]; do echo row $i; i=$((i+1)); done"}]
`, rows), giteatest.TaskOptions{}))
		}
		p := r.start("serve", "-c", "c.yaml")
		for _, id := range ids {
			done, err := r.server.WaitResult(within(t, time.Minute), id)
			if err != nil || done.Result != task.Success || done.RowCount < rows {
				t.Fatalf("the collector %s: %v, %v, %d rows\n%s", c.name, done.Result, err, done.RowCount, p.stderr.String())
			}
			// From the hand-out to when the server has the end: with what the runner does
			// before the job's first step and after its last.
			if d := done.LastCall.Sub(done.Assigned); took[c.name] == 0 || d < took[c.name] {
				took[c.name] = d
			}
		}
		if c.name == "hangs" {
			text, err := getText("http://"+metrics+"/metrics", "text/plain")
			for _, signal := range []string{"logs", "traces"} {
				if err != nil || !regexp.MustCompile(`(?m)^act_runner_otel_dropped_total\{signal="`+signal+`"\} [1-9]`).MatchString(text) {
					t.Errorf("what was dropped of %s is not on /metrics: %v", signal, err)
				}
			}
		}
		if c.name == "fails" { // after the retries of an export
			oteltest.Eventually(t, "failed exports are counted", func() error {
				text, err := getText("http://"+metrics+"/metrics", "text/plain")
				for _, signal := range []string{"logs", "traces", "metrics"} {
					if err == nil && !regexp.MustCompile(`(?m)^act_runner_otel_export_failures_total\{signal="`+signal+`"\} [1-9]`).MatchString(text) {
						err = fmt.Errorf("none of %s", signal)
					}
				}
				return err
			})
		}
		p.signal(os.Interrupt)
		began := time.Now()
		if code := p.wait(); code != 0 || time.Since(began) > 15*time.Second {
			t.Errorf("the collector %s: exit code %d after %v: %s", c.name, code, time.Since(began), p.stderr.String())
		}
	}
	for name, d := range took {
		if d > 2*took["none"]+400*time.Millisecond { // less than any time that something here is waited for
			t.Errorf("with a collector that %s the fastest of %d jobs took %v, without one %v", name, jobs, d, took["none"])
		}
	}
}
