// Command generate writes the dashboards of this folder's parent from the table
// in dashboards.go: Grafana's JSON repeats itself too much to be kept by hand.
//
//	go run ./examples/observability/generate examples/observability/grafana/dashboards
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FOLDER")
		os.Exit(2)
	}
	for name, d := range dashboards() {
		data, err := render(name, d)
		if err == nil {
			err = os.WriteFile(filepath.Join(os.Args[1], name+".json"), data, 0o644) //nolint:gosec // it is to be read
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// A dashboard is rows of panels.
type dashboard struct {
	title, description string
	vars               []any
	rows               [][]panel
}

// panel answers one question, which is its title.
type panel struct {
	title, kind, unit string
	source            string // uid of the data source; "" is Prometheus
	queries           []query
	options           map[string]any
	height            int
}

// query is a PromQL expression, or that of the panel's source, with its legend.
type query struct{ expr, legend string }

const (
	gridWidth     = 24
	defaultHeight = 8
)

// render writes a dashboard as Grafana reads it.
func render(name string, d dashboard) ([]byte, error) {
	var panels []any
	y, id := 0, 1
	for _, row := range d.rows {
		height := defaultHeight
		for _, p := range row {
			height = max(height, p.height)
		}
		for i, p := range row {
			width := gridWidth / len(row)
			panels = append(panels, p.json(id, map[string]any{"x": i * width, "y": y, "w": width, "h": height}))
			id++
		}
		y += height
	}
	data, err := json.MarshalIndent(map[string]any{
		"uid": "otelrunner-" + name, "title": d.title, "description": d.description, "tags": []string{"otelrunner"},
		"schemaVersion": 41, "version": 1, "editable": true, "graphTooltip": 1, "refresh": "30s",
		"time":       map[string]any{"from": "now-6h", "to": "now"},
		"templating": map[string]any{"list": d.vars},
		"links":      []any{map[string]any{"type": "dashboards", "tags": []string{"otelrunner"}, "title": "Runners", "keepTime": true, "includeVars": true}},
		"panels":     panels,
	}, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write the dashboard %s: %w", name, err)
	}
	return append(data, '\n'), nil
}

func (p panel) json(id int, at map[string]any) map[string]any {
	source := p.source
	if source == "" {
		source = "prometheus"
	}
	from := map[string]any{"type": source, "uid": source}
	var targets []any
	for i, q := range p.queries {
		t := map[string]any{"refId": string(rune('A' + i)), "datasource": from}
		switch source {
		case "tempo":
			t["queryType"], t["query"], t["limit"] = "traceql", q.expr, 50
		case "loki":
			t["expr"], t["queryType"] = q.expr, "range"
		default:
			t["expr"], t["legendFormat"] = q.expr, q.legend
			t["exemplar"] = p.kind == "timeseries"
			if p.kind == "table" || p.kind == "bargauge" {
				t["instant"], t["format"] = true, "table"
			}
			if p.kind == "bargauge" {
				delete(t, "format")
			}
		}
		targets = append(targets, t)
	}
	options := p.options
	if options == nil {
		options = map[string]any{}
	}
	return map[string]any{
		"id": id, "title": p.title, "type": p.kind, "gridPos": at, "datasource": from, "targets": targets, "options": options,
		"fieldConfig": map[string]any{"defaults": map[string]any{"unit": p.unit}, "overrides": []any{}},
	}
}
