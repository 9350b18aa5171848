package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"otelrunner/otel/oteltest"
)

// exampleFolder is what operators are given.
const exampleFolder = "../../examples/observability"

// startExample starts a real Prometheus with the example's configuration and rules. It
// scrapes the example's collector, which is at an address here.
func startExample(t *testing.T, o *observation, collector string) {
	t.Helper()
	text := readExample(t, "prometheus.yaml")
	rules, err := filepath.Abs(filepath.Join(exampleFolder, "rules", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"collector:8889": collector, "rules/rules.yaml": rules, "15s": "250ms"} {
		if !strings.Contains(text, from) {
			t.Fatalf("the example's prometheus.yaml has no %s", from)
		}
		text = strings.ReplaceAll(text, from, to)
	}
	o.prometheus = runPrometheus(t, o.rigs[0].write("prometheus.yaml", text))
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(exampleFolder, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// seenByExample waits until Prometheus has the runners: what counters counted before is
// no increase.
func seenByExample(t *testing.T, o *observation) {
	t.Helper()
	oteltest.Eventually(t, "Prometheus has all runners", func() error {
		return query(o.prometheus, fmt.Sprintf(`count(act_runner_job_total{status="success"} == 0) == %d`, len(o.rigs)))
	})
}

// silent are the panels that show nothing where nothing has gone wrong.
var silent = []string{
	"Which limits end programs?",
	"Which pipelines fail most, in the time shown?",
	"How often is what is kept of use?", // by jobs that fetch or compile
	"How much memory do jobs need?",     // where the sandbox tells it
}

// checkExample: what runners have sent by OTLP is, behind the example's collector, what
// the example's dashboards, links and rules ask for.
func checkExample(t *testing.T, o *observation) {
	t.Helper()
	var uuids []string
	for _, r := range o.server.Runners() {
		uuids = append(uuids, r.UUID)
	}
	oteltest.Eventually(t, "every panel shows something", func() error {
		var all []error
		for where, expr := range o.examplePanels(t, uuids) {
			if err := query(o.prometheus, expr); err != nil {
				all = append(all, fmt.Errorf("%s: %w", where, err))
			}
		}
		return errors.Join(all...)
	})
	checkPrometheusExemplars(t, o)
}

// examplePanels are the expressions of all panels and of the links from traces that are
// to show something, and one for each runner that the dashboards can choose.
func (o *observation) examplePanels(t *testing.T, uuids []string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, uuid := range uuids {
		all["the runner "+uuid] = fmt.Sprintf("act_runner_info{instance=%q}", uuid)
	}
	filled := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$instance", ".*", "$$__tags", fmt.Sprintf("instance=%q", uuids[0]))
	for _, name := range []string{"fleet", "health", "jobs", "sandbox"} {
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		if err := json.Unmarshal([]byte(readExample(t, "grafana/dashboards/"+name+".json")), &board); err != nil {
			t.Fatal(err)
		}
		for _, p := range board.Panels {
			for i, target := range p.Targets {
				if target.Expr != "" && !strings.Contains(target.Expr, "service_name") && !slices.Contains(silent, p.Title) {
					all[fmt.Sprintf("%s: %s %d", name, p.Title, i)] = filled.Replace(target.Expr)
				}
			}
		}
	}
	var file struct {
		Datasources []struct {
			JSONData struct {
				TracesToMetrics struct {
					Queries []struct{ Name, Query string }
				} `yaml:"tracesToMetrics"`
			} `yaml:"jsonData"`
		}
	}
	if err := yaml.Unmarshal([]byte(readExample(t, "grafana/provisioning/datasources/datasources.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, d := range file.Datasources {
		for _, q := range d.JSONData.TracesToMetrics.Queries {
			all["from a trace: "+q.Name] = filled.Replace(q.Query)
			links++
		}
	}
	if links == 0 || len(all) < 30 {
		t.Fatalf("%d expressions, %d of links from traces", len(all), links)
	}
	return all
}
