package observability

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"otelrunner/otel"
	"otelrunner/runner"
	"otelrunner/runner/config"
	"otelrunner/runner/label"

	"go.yaml.in/yaml/v4"
)

// board is what is checked of a dashboard.
type board struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Query      string
			Datasource *source
		}
	}
	Panels []struct {
		ID          int
		Title, Type string
		GridPos     struct{ X, Y, W, H int }
		Datasource  source
		Targets     []target
	}
}

type source struct{ Type, UID string }

type target struct {
	RefID        string
	Datasource   source
	Expr, Query  string
	LegendFormat string
}

func (t target) text() string { return t.Expr + t.Query }

func boards(t *testing.T) map[string]board {
	t.Helper()
	all := map[string]board{}
	for _, name := range dashboardFiles(t) {
		var b board
		if err := json.Unmarshal([]byte(read(t, name)), &b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[filepath.Base(name)] = b
	}
	return all
}

// sources are the provisioned ones: the types by their uids.
func sources(t *testing.T) (types map[string]string, all []map[string]any) {
	t.Helper()
	var file struct{ Datasources []map[string]any }
	if err := yaml.Unmarshal([]byte(read(t, "grafana/provisioning/datasources/datasources.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	types = map[string]string{}
	for _, d := range file.Datasources {
		types[fmt.Sprint(d["uid"])] = fmt.Sprint(d["type"])
	}
	return types, file.Datasources
}

// TestDashboardsAreWhole: what Grafana would show wrongly or not at all without a
// word: panels of one number, or on top of each other; sources and variables that
// are not there.
func TestDashboardsAreWhole(t *testing.T) {
	types, _ := sources(t)
	uids := map[string]string{}
	for name, b := range boards(t) {
		if b.UID == "" || b.Title == "" || b.SchemaVersion < 36 || uids[b.UID] != "" {
			t.Errorf("%s: uid %q (also of %q), title %q, schema %d", name, b.UID, uids[b.UID], b.Title, b.SchemaVersion)
		}
		uids[b.UID] = name
		variables := []string{"__rate_interval", "__range", "__all"}
		for _, v := range b.Templating.List {
			variables = append(variables, v.Name)
			if v.Datasource != nil && types[v.Datasource.UID] != v.Datasource.Type {
				t.Errorf("%s: the variable %s asks the source %v, which is not provisioned", name, v.Name, *v.Datasource)
			}
		}
		ids, taken := map[int]bool{}, map[[2]int]string{}
		for _, p := range b.Panels {
			where := name + ": " + p.Title
			if p.Title == "" || p.Type == "" || ids[p.ID] || len(p.Targets) == 0 {
				t.Errorf("%s: a panel without title, type or query, or with the number of another (%d)", where, p.ID)
			}
			ids[p.ID] = true
			g := p.GridPos
			if g.W <= 0 || g.H <= 0 || g.X < 0 || g.X+g.W > 24 {
				t.Errorf("%s: it is at %+v of a grid of 24 columns", where, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" && other != p.Title {
						t.Fatalf("%s: it lies over %q", where, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			refs := map[string]bool{}
			for _, q := range p.Targets {
				if types[q.Datasource.UID] == "" || types[q.Datasource.UID] != q.Datasource.Type || q.Datasource != p.Datasource {
					t.Errorf("%s: it asks the source %v, which is not provisioned, or not the panel's", where, q.Datasource)
				}
				if q.text() == "" || q.RefID == "" || refs[q.RefID] {
					t.Errorf("%s: the query %q %q", where, q.RefID, q.text())
				}
				refs[q.RefID] = true
				for _, m := range regexp.MustCompile(`\$\{?([a-zA-Z_]\w*)`).FindAllStringSubmatch(q.text(), -1) {
					if !slices.Contains(variables, m[1]) {
						t.Errorf("%s: there is no variable $%s", where, m[1])
					}
				}
			}
		}
	}
}

// TestSourcesAreLinked: each link of a data source leads to one that is there.
func TestSourcesAreLinked(t *testing.T) {
	types, all := sources(t)
	want := map[string]string{ // where the links of each type of source lead
		"prometheus/exemplarTraceIdDestinations": "tempo",
		"tempo/tracesToLogsV2":                   "loki",
		"tempo/tracesToMetrics":                  "prometheus",
		"loki/derivedFields":                     "tempo",
	}
	found := map[string]string{}
	for _, d := range all {
		data, _ := d["jsonData"].(map[string]any)
		for key, value := range data {
			list, ok := value.([]any)
			if !ok {
				list = []any{value}
			}
			for _, item := range list {
				if link, ok := item.(map[string]any); ok && link["datasourceUid"] != nil {
					found[fmt.Sprint(d["type"], "/", key)] = types[fmt.Sprint(link["datasourceUid"])]
				}
			}
		}
	}
	if !maps.Equal(found, want) {
		t.Errorf("the links are %v, want %v", found, want)
	}
	text := read(t, "grafana/provisioning/datasources/datasources.yaml")
	for _, name := range []string{"name: trace_id", "matcherRegex: trace_id"} { // as exemplars and log records have it
		if !strings.Contains(text, name) {
			t.Errorf("the sources have no %q", name)
		}
	}
}

// promQL is every expression that Prometheus is asked, as it would be sent.
func promQL(t *testing.T) map[string]string {
	t.Helper()
	sent := strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$instance", ".*", "$$__tags", `instance="a"`)
	all := map[string]string{}
	for name, b := range boards(t) {
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if q.Datasource.Type == "prometheus" {
					all[fmt.Sprintf("%s, %s, %s", name, p.Title, q.RefID)] = sent.Replace(q.Expr)
				}
			}
		}
	}
	_, list := sources(t)
	for _, d := range list {
		data, _ := d["jsonData"].(map[string]any)
		links, _ := data["tracesToMetrics"].(map[string]any)
		queries, _ := links["queries"].([]any)
		for _, q := range queries {
			q, _ := q.(map[string]any)
			all["from a trace: "+fmt.Sprint(q["name"])] = sent.Replace(fmt.Sprint(q["query"]))
		}
	}
	return all
}

// TestQueriesParse has Prometheus' own parser read every expression, as rules.
func TestQueriesParse(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("no promtool to test with: install Debian's package prometheus")
	}
	all := promQL(t)
	if len(all) < 30 {
		t.Errorf("only %d expressions were found", len(all))
	}
	type rule struct{ Record, Expr string }
	var rules []rule
	for i, where := range slices.Sorted(maps.Keys(all)) {
		rules = append(rules, rule{fmt.Sprintf("q%d:%s", i, regexp.MustCompile(`\W+`).ReplaceAllString(where, "_")), all[where]})
	}
	data, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": lower(rules)}}}) // JSON is YAML
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func lower[T any](list []T) (out []map[string]any) {
	for _, item := range list {
		data, _ := json.Marshal(item)
		var m map[string]any
		_ = json.Unmarshal(data, &m)
		one := map[string]any{}
		for key, value := range m {
			one[strings.ToLower(key)] = value
		}
		out = append(out, one)
	}
	return out
}

var (
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)`)
	grouping = regexp.MustCompile(`\b(?:by|on|without|ignoring)\s*\(([^)]*)\)`)
	legend   = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)
)

// TestLabels: what is selected, grouped by or shown is a label that the families in
// the expression have; job and instance come from the scrape.
func TestLabels(t *testing.T) {
	families := familyLabels(t)
	for _, m := range regexp.MustCompile(`record: (\S+)`).FindAllStringSubmatch(read(t, "rules/rules.yaml"), -1) {
		families[m[1]] = []string{"instance"}
	}
	check := func(where, expr, shown string) {
		var there []string
		for _, name := range metricName.FindAllString(expr, -1) {
			there = append(there, families[name]...)
		}
		there = append(there, "instance", "job")
		for _, s := range selector.FindAllStringSubmatch(expr, -1) {
			for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
				if !slices.Contains(append(slices.Clone(families[s[1]]), "instance", "job"), m[1]) {
					t.Errorf("%s: %s has no label %s", where, s[1], m[1])
				}
			}
		}
		for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
			for name := range strings.SplitSeq(g[1], ",") {
				if name = strings.TrimSpace(name); name != "" && !slices.Contains(there, name) {
					t.Errorf("%s groups by %s, which nothing in it has", where, name)
				}
			}
		}
		for _, m := range legend.FindAllStringSubmatch(shown, -1) {
			if !slices.Contains(there, m[1]) {
				t.Errorf("%s shows %s, which nothing in it has", where, m[1])
			}
		}
	}
	for where, expr := range promQL(t) {
		check(where, expr, "")
	}
	for name, b := range boards(t) {
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if q.Datasource.Type == "prometheus" {
					check(name+", "+p.Title, q.Expr, q.LegendFormat)
				}
			}
		}
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "rules/rules.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			check(r.Record+r.Alert, r.Expr, "")
		}
	}
}

// familyLabels are the labels of each name of a live /metrics.
func familyLabels(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for line := range strings.Lines(liveMetrics(t)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(line), "{")
		if !strings.Contains(line, "{") {
			name, _, _ = strings.Cut(line, " ")
			found[name] = append(found[name], "")
			continue
		}
		inner, _, _ := strings.Cut(rest, "} ")
		for _, m := range regexp.MustCompile(`([a-zA-Z_]\w*)="`).FindAllStringSubmatch(inner, -1) {
			if !slices.Contains(found[name], m[1]) {
				found[name] = append(found[name], m[1])
			}
		}
	}
	return found
}

// TestTraceQueries: every attribute that Tempo or Loki is asked for is one that the
// spans of a real job have.
func TestTraceQueries(t *testing.T) {
	for _, v := range []string{"OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(v, "")
	}
	dir := t.TempDir()
	workflow, out := filepath.Join(dir, "w.yml"), filepath.Join(dir, "trace.json")
	if err := os.WriteFile(workflow, []byte("on: push\njobs: {j: {runs-on: host, steps: [{run: exit 3}]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	labels, err := label.ParseList([]string{"host:host"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Host.WorkdirParent = filepath.Join(dir, "work")
	if _, err := runner.Exec(t.Context(), runner.ExecOptions{
		Config: &cfg, Environ: os.Environ(), Log: slog.DiscardHandler, File: workflow, Dir: dir, Exact: true, Labels: labels, Out: t.Output(), TraceOut: out,
	}); err != nil {
		t.Fatal(err)
	}
	trace, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	check := func(where, text string) {
		for _, m := range regexp.MustCompile(`\b(?:span|resource)\.([a-z][a-z0-9_.]*[a-z0-9])`).FindAllStringSubmatch(text, -1) {
			asked++
			if !strings.Contains(string(trace), `"key": "`+m[1]+`"`) {
				t.Errorf("%s asks for %s, which no span has", where, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`service_name="([^"]*)"`).FindAllStringSubmatch(text, -1) {
			asked++
			if m[1] != otel.DefaultServiceName {
				t.Errorf("%s asks for the service %s, want %s", where, m[1], otel.DefaultServiceName)
			}
		}
	}
	for name, b := range boards(t) {
		for _, p := range b.Panels {
			for _, q := range p.Targets {
				if q.Datasource.Type != "prometheus" {
					check(name+", "+p.Title, q.text())
				}
			}
		}
	}
	check("the sources", read(t, "grafana/provisioning/datasources/datasources.yaml"))
	check("the rules", read(t, "rules/rules.yaml"))
	if asked < 6 {
		t.Errorf("only %d attributes were found", asked)
	}
}
