package main_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/otel/oteltest"
	"otelrunner/runner/action/actiontest"
	"otelrunner/sandbox/wasm/toolbox"
)

// startPrometheus starts a real one, which scrapes the first runner.
func startPrometheus(t *testing.T, o *observation) {
	t.Helper()
	o.prometheus = runPrometheus(t, o.rigs[0].write("prometheus.yaml", `
global: {scrape_interval: 250ms, scrape_timeout: 250ms}
scrape_configs: [{job_name: runner, static_configs: [{targets: ["`+o.metrics[0]+`"]}]}]
`))
}

// runPrometheus starts one with a configuration, and returns its address. A machine
// without one skips.
func runPrometheus(t *testing.T, config string) string {
	t.Helper()
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus to test with: install Debian's package prometheus")
	}
	address := oteltest.FreeAddress(t)
	runProgram(t, prometheus, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(t.TempDir(), "tsdb"),
		"--web.listen-address="+address, "--enable-feature=exemplar-storage", "--log.level=warn")
	listening(t, address)
	return address
}

// checkPrometheus: it has the jobs, and exemplars of their trace.
func checkPrometheus(t *testing.T, o *observation) {
	t.Helper()
	oteltest.Eventually(t, "Prometheus knows both jobs", func() error {
		return query(o.prometheus, `sum(act_runner_job_total{status="success"}) == 2`)
	})
	oteltest.Eventually(t, "Prometheus has the queue time and a worker's state", func() error {
		if err := query(o.prometheus, `act_runner_job_queue_duration_seconds_count >= 2`); err != nil {
			return err
		}
		return query(o.prometheus, `cicd_worker_count{cicd_worker_state="available"} == 1`)
	})
	checkPrometheusExemplars(t, o)
}

// checkPrometheusExemplars: it has some of the run's trace, by the name that the
// example's data source knows.
func checkPrometheusExemplars(t *testing.T, o *observation) {
	t.Helper()
	oteltest.Eventually(t, "Prometheus has the exemplars", func() error {
		body, err := getText("http://"+o.prometheus+"/api/v1/query_exemplars?query=act_runner_job_duration_seconds_bucket&start="+
			url.QueryEscape(time.Now().Add(-time.Hour).Format(time.RFC3339))+"&end="+url.QueryEscape(time.Now().Add(time.Hour).Format(time.RFC3339)), "")
		if err == nil && !strings.Contains(body, `"trace_id":"`+o.run.TraceID().String()+`"`) {
			err = fmt.Errorf("no exemplar of the run in %s", body)
		}
		return err
	})
}

// query asks Prometheus for an expression that is to have a result.
func query(address, expr string) error {
	body, err := getText("http://"+address+"/api/v1/query?query="+url.QueryEscape(expr), "")
	if err == nil && !strings.Contains(body, `"value":[`) {
		err = fmt.Errorf("%s gives %s", expr, body)
	}
	return err
}

// prepareWasm gives the job a module that nobody has compiled before.
func prepareWasm(t *testing.T, o *observation) {
	t.Helper()
	if !toolbox.There() {
		t.Skip("no toolbox: make toolbox builds it")
	}
	o.rigs[0].ownSandbox()
	data := fmt.Sprintf("of the module\n%d", time.Now().UnixNano())
	o.jobs[0] += `
      - name: make
        run: |
          mkdir a && echo 'runs: {using: wasm, main: tell.wasm}' > a/action.yml
          echo ` + base64.StdEncoding.EncodeToString(module(data, tellOf(14))) + ` | base64 -d > a/tell.wasm
      - name: module
        uses: ./a
`
}

// prepareContainer gives the job an image that is in a registry and nowhere else.
func prepareContainer(t *testing.T, o *observation) {
	t.Helper()
	shellImage(t)
	o.rigs[0].withDocker()
	registry := actiontest.NewRegistry()
	t.Cleanup(registry.Close)
	layer := shellLayer(t, map[string]string{"nonce": fmt.Sprint(time.Now().UnixNano())})
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	registry.PushImage("1", packed.Bytes(), actiontest.Digest(layer))
	image := registry.Host() + "/tools/lint:1"
	t.Cleanup(func() { // when the test's context has ended
		if out, err := exec.Command("docker", "image", "rm", image).CombinedOutput(); err != nil && !t.Failed() {
			t.Errorf("%v: %s", err, out)
		}
	})
	o.labels[0] = "box:docker://" + image
}
