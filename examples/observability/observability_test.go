// Package observability tests what operators are given.
package observability

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"otelrunner/otel"
	"otelrunner/otel/observe"
	"otelrunner/otel/oteltest"
	"otelrunner/runner/task"

	"go.yaml.in/yaml/v4"
)

// liveMetrics is a /metrics on which everything has happened once, with the families
// that only OTLP carries.
func liveMetrics(t *testing.T) string {
	t.Helper()
	for _, v := range []string{"OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_METRICS_EXPORTER"} {
		t.Setenv(v, "")
	}
	ctx := context.Background()
	p, err := otel.NewProviders(ctx, otel.ProvidersOptions{Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_ = p.Shutdown(ctx) // nobody listens there
	})
	in, err := otel.NewInstruments(p.MeterProvider(), otel.InstrumentOptions{
		Version: "1", Name: "ci-1", Capacity: 2, Pipelines: p.MeterProvider(), // by one provider here, so that /metrics shows them
	})
	if err != nil {
		t.Fatal(err)
	}
	in.PollFetch(ctx, otel.FetchTask, time.Second)
	in.JobStarted()
	in.JobFinished(ctx, task.Success, time.Second)
	in.ReportLog(ctx, true, time.Second)
	in.ReportState(ctx, true, time.Second)
	in.JobQueued(ctx, time.Second)
	in.Step(ctx, "host", observe.Success, time.Second)
	in.Phase(ctx, observe.ImagePull, time.Second)
	in.JobUsage(ctx, time.Second, 1)
	run := in.Pipeline("o/r/ci.yml")
	run.Begin(ctx)
	run.End(ctx, observe.End{Result: observe.Failure, ErrorType: "process_exit"}, time.Second)

	s, err := otel.StartServer(otel.ServerOptions{Addr: "127.0.0.1:0", Gatherer: p.Gatherer(), Readiness: otel.NewReadiness(0)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Shutdown(ctx) }()
	resp, err := http.Get("http://" + s.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// liveFamilies are the names that a scraper sees there.
func liveFamilies(t *testing.T) map[string]bool {
	t.Helper()
	families := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(liveMetrics(t), -1) {
		families[m[1]] = true
		if m[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				families[m[1]+suffix] = true
			}
		}
	}
	return families
}

var metricName = regexp.MustCompile(`\b(act_runner|cicd|runner|go|process)(_|:)[a-zA-Z0-9_:]+`)

// labels of the families, which look like names of metrics.
var labels = []string{"cicd_worker_state", "cicd_pipeline_name", "cicd_system_component"}

// TestNames: every metric that a dashboard or a rule names exists.
func TestNames(t *testing.T) {
	families := liveFamilies(t)
	rules := read(t, "rules/rules.yaml")
	for _, m := range regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(rules, -1) {
		families[m[1]] = true
	}
	check := func(where, expr string) {
		for _, name := range metricName.FindAllString(expr, -1) {
			if !families[name] && !slices.Contains(labels, name) {
				t.Errorf("%s names %s, which no runner has", where, name)
			}
		}
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(rules), &file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			check(r.Record+r.Alert, r.Expr)
			n++
		}
	}
	for _, name := range dashboardFiles(t) {
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(read(t, name)), &d); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				check(name+": "+p.Title, target.Expr)
				n++
			}
		}
	}
	if n < 40 {
		t.Errorf("only %d expressions were looked at", n)
	}
	check("the data sources", read(t, "grafana/provisioning/datasources/datasources.yaml"))
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func dashboardFiles(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("grafana/dashboards/*.json")
	if err != nil || len(names) != 4 {
		t.Fatalf("%d dashboards, want 4 (%v)", len(names), err)
	}
	return names
}

// TestDashboardsAreGenerated: the files are what their table says.
func TestDashboardsAreGenerated(t *testing.T) {
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "run", "./generate", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range dashboardFiles(t) {
		data, err := os.ReadFile(filepath.Join(dir, filepath.Base(name)))
		if err != nil || string(data) != read(t, name) {
			t.Errorf("%s is not what the table says (%v): go run ./examples/observability/generate examples/observability/grafana/dashboards", name, err)
		}
	}
}

// TestRules has promtool check the rules, and run their tests.
func TestRules(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool to test with: install Debian's package prometheus")
	}
	for _, args := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "test.yaml"}, {"check", "config", "--syntax-only", "../prometheus.yaml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "rules"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestEveryAlertIsTested: an alert without a test is a guess.
func TestEveryAlertIsTested(t *testing.T) {
	tests := read(t, "rules/test.yaml")
	for _, m := range regexp.MustCompile(`alert: (\S+)`).FindAllStringSubmatch(read(t, "rules/rules.yaml"), -1) {
		if !strings.Contains(tests, "alertname: "+m[1]) {
			t.Errorf("the alert %s has no test", m[1])
		}
	}
}

// TestCollectorConfig has a real collector read its configuration.
func TestCollectorConfig(t *testing.T) {
	collector, err := oteltest.Collector("../..")
	if err != nil {
		t.Skip(err)
	}
	if out, err := exec.CommandContext(t.Context(), collector, "validate", "--config", "collector.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
