package main_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"otelrunner/otel/oteltest"
)

// collector is a real one, which writes what it gets into files.
type collector struct {
	*program
	dir, address string
}

// startCollector starts one that writes into a folder, by a configuration of its own, or
// by the pipelines of the file base, whose metrics it also shows to Prometheus at an
// address. A machine without one skips.
func startCollector(t *testing.T, dir, base, prometheus string) *collector {
	t.Helper()
	binary, err := oteltest.Collector("../..")
	if err != nil {
		t.Skip(err)
	}
	c := &collector{dir: dir, address: oteltest.FreeAddress(t)}
	args, shown := []string{}, ""
	if base != "" {
		args = append(args, "--config", base)
		shown = ", prometheus"
	}
	config := filepath.Join(dir, "collector.yaml")
	if err := os.WriteFile(config, []byte(`
receivers: {otlp: {protocols: {http: {endpoint: "`+c.address+`"}, grpc: {endpoint: "`+oteltest.FreeAddress(t)+`"}}}}
exporters:
  file/traces: {path: `+dir+`/traces.json}
  file/logs: {path: `+dir+`/logs.json}
  file/metrics: {path: `+dir+`/metrics.json}
  prometheus: {endpoint: "`+cmp.Or(prometheus, "127.0.0.1:1")+`"}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], exporters: [file/traces]}
    logs: {receivers: [otlp], exporters: [file/logs]}
    metrics: {receivers: [otlp], exporters: [file/metrics`+shown+`]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	c.program = runProgram(t, binary, append(args, "--config", config)...) // the last one wins
	listening(t, c.address)
	return c
}

// collected is what a collector has written: the spans, records and exemplars of all
// lines.
type collected struct {
	spans     []otlpSpan
	logs      []otlpLog
	exemplars []otlpExemplar
	text      string // of all files
}

type otlpSpan struct {
	Resource   []otlpAttr `json:"-"`
	TraceID    string     `json:"traceId"`
	SpanID     string     `json:"spanId"`
	Parent     string     `json:"parentSpanId"`
	Name       string     `json:"name"`
	Attributes []otlpAttr `json:"attributes"`
}

// otlpLog is a record. Its attributes are its scope's, too.
type otlpLog struct {
	Resource   []otlpAttr `json:"-"`
	TraceID    string     `json:"traceId"`
	SpanID     string     `json:"spanId"`
	Body       otlpValue  `json:"body"`
	Attributes []otlpAttr `json:"attributes"`
}

type otlpExemplar struct {
	Metric  string `json:"-"`
	TraceID string `json:"traceId"`
	SpanID  string `json:"spanId"`
}

type otlpAttr struct {
	Key   string    `json:"key"`
	Value otlpValue `json:"value"`
}

type otlpValue struct {
	Text string `json:"stringValue"`
}

// attr is the text of an attribute; "" if it is not there.
func attr(all []otlpAttr, key string) string {
	for _, a := range all {
		if a.Key == key {
			return a.Value.Text
		}
	}
	return ""
}

type otlpResource struct {
	Attributes []otlpAttr `json:"attributes"`
}

// otlpLine is a line of a collector's file: a batch of one signal.
type otlpLine struct {
	Spans []struct {
		Resource otlpResource `json:"resource"`
		Scopes   []struct {
			Spans []otlpSpan `json:"spans"`
		} `json:"scopeSpans"`
	} `json:"resourceSpans"`
	Logs []struct {
		Resource otlpResource `json:"resource"`
		Scopes   []struct {
			Scope struct {
				Attributes []otlpAttr `json:"attributes"`
			} `json:"scope"`
			Records []otlpLog `json:"logRecords"`
		} `json:"scopeLogs"`
	} `json:"resourceLogs"`
	Metrics []struct {
		Scopes []struct {
			Metrics []struct {
				Name      string `json:"name"`
				Histogram struct {
					Points []struct {
						Exemplars []otlpExemplar `json:"exemplars"`
					} `json:"dataPoints"`
				} `json:"histogram"`
			} `json:"metrics"`
		} `json:"scopeMetrics"`
	} `json:"resourceMetrics"`
}

// read ends the collector, which writes what it has then, and reads its files.
func (c *collector) read() *collected {
	c.t.Helper()
	c.stop()
	all := &collected{}
	for _, name := range []string{"traces", "logs", "metrics"} {
		data, err := os.ReadFile(filepath.Join(c.dir, name+".json"))
		if err != nil {
			c.t.Fatal(err)
		}
		all.text += string(data)
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			var line otlpLine
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				c.t.Fatalf("%s: %v", name, err)
			}
			all.add(&line)
		}
		if err := lines.Err(); err != nil {
			c.t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

func (c *collected) add(line *otlpLine) {
	for _, r := range line.Spans {
		for _, s := range r.Scopes {
			for _, span := range s.Spans {
				span.Resource = r.Resource.Attributes
				c.spans = append(c.spans, span)
			}
		}
	}
	for _, r := range line.Logs {
		for _, s := range r.Scopes {
			for _, l := range s.Records {
				l.Resource = r.Resource.Attributes
				l.Attributes = append(l.Attributes, s.Scope.Attributes...)
				c.logs = append(c.logs, l)
			}
		}
	}
	for _, r := range line.Metrics {
		for _, s := range r.Scopes {
			for _, m := range s.Metrics {
				for _, p := range m.Histogram.Points {
					for _, e := range p.Exemplars {
						e.Metric = m.Name
						c.exemplars = append(c.exemplars, e)
					}
				}
			}
		}
	}
}

// span is the one of an id; nil if it is not there.
func (c *collected) span(id string) *otlpSpan {
	if i := slices.IndexFunc(c.spans, func(s otlpSpan) bool { return s.SpanID == id }); i >= 0 {
		return &c.spans[i]
	}
	return nil
}

// jobOf is the job's span that a span is, or is in; nil for the run's.
func (c *collected) jobOf(s *otlpSpan) *otlpSpan {
	for ; s != nil; s = c.span(s.Parent) {
		if attr(s.Attributes, "cicd.worker.name") != "" {
			return s
		}
	}
	return nil
}

// tree writes the names of spans below each other, those of one parent sorted.
func (c *collected) tree(parent string, depth int) (lines []string) {
	var blocks [][]string
	for _, s := range c.spans {
		if s.Parent == parent {
			blocks = append(blocks, append([]string{strings.Repeat(" ", depth) + s.Name}, c.tree(s.SpanID, depth+1)...))
		}
	}
	slices.SortFunc(blocks, slices.Compare)
	return slices.Concat(blocks...)
}
