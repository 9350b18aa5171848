package otel

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// A family is what a scraper and an OTLP backend must agree on.
type family struct {
	Type   string
	Help   string
	Series map[string]sample // by labels, as {a="b",c="d"}
}

// A sample is a number, or a histogram with cumulative buckets by their bound.
type sample struct {
	Value   float64
	Sum     float64
	Count   uint64
	Buckets map[string]uint64
}

func labelText(labels map[string]string) string {
	var parts []string
	for k, v := range labels {
		parts = append(parts, fmt.Sprintf("%s=%q", k, v))
	}
	slices.Sort(parts)
	return "{" + strings.Join(parts, ",") + "}"
}

func bound(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// scrape reads /metrics at url in the plain text format, without the go_ and
// process_ families.
func scrape(t *testing.T, url string) map[string]family {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(strings.NewReader(get(t, url+"/metrics", "text/plain")))
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]family{}
	for name, f := range parsed {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") {
			continue
		}
		families[name] = fromPrometheus(f)
	}
	return families
}

func get(t *testing.T, url, accept string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s: %s", url, resp.Status, body)
	}
	return string(body)
}

func fromPrometheus(f *dto.MetricFamily) family {
	out := family{Type: strings.ToLower(f.GetType().String()), Help: f.GetHelp(), Series: map[string]sample{}}
	for _, m := range f.GetMetric() {
		labels := map[string]string{}
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		var s sample
		switch h := m.GetHistogram(); {
		case h != nil:
			s = sample{Sum: h.GetSampleSum(), Count: h.GetSampleCount(), Buckets: map[string]uint64{}}
			for _, b := range h.GetBucket() {
				s.Buckets[bound(b.GetUpperBound())] = b.GetCumulativeCount()
			}
		case m.GetCounter() != nil:
			s.Value = m.GetCounter().GetValue()
		default:
			s.Value = m.GetGauge().GetValue()
		}
		out.Series[labelText(labels)] = s
	}
	return out
}

// translate turns an OTLP export into families, by the same rules of naming
// that a collector's Prometheus exporter has.
func translate(t *testing.T, resources []*metricspb.ResourceMetrics) map[string]family {
	t.Helper()
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	families := map[string]family{}
	for _, rm := range resources {
		for _, sm := range rm.GetScopeMetrics() {
			for _, m := range sm.GetMetrics() {
				kind, f := fromOTLP(t, m)
				name, err := namer.Build(otlptranslator.Metric{Name: m.GetName(), Unit: m.GetUnit(), Type: kind})
				if err != nil {
					t.Fatal(err)
				}
				if _, twice := families[name]; twice {
					t.Errorf("two instruments are the family %s", name)
				}
				families[name] = f
			}
		}
	}
	return families
}

func fromOTLP(t *testing.T, m *metricspb.Metric) (otlptranslator.MetricType, family) {
	t.Helper()
	const cumulative = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	f := family{Help: m.GetDescription(), Series: map[string]sample{}}
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Sum:
		if data.Sum.GetAggregationTemporality() != cumulative {
			t.Errorf("%s: %v", m.GetName(), data.Sum.GetAggregationTemporality())
		}
		f.numbers(data.Sum.GetDataPoints())
		if !data.Sum.GetIsMonotonic() {
			f.Type = "gauge"
			return otlptranslator.MetricTypeNonMonotonicCounter, f
		}
		f.Type = "counter"
		return otlptranslator.MetricTypeMonotonicCounter, f
	case *metricspb.Metric_Gauge:
		f.Type = "gauge"
		f.numbers(data.Gauge.GetDataPoints())
		return otlptranslator.MetricTypeGauge, f
	case *metricspb.Metric_Histogram:
		if data.Histogram.GetAggregationTemporality() != cumulative {
			t.Errorf("%s: %v", m.GetName(), data.Histogram.GetAggregationTemporality())
		}
		f.Type = "histogram"
		for _, p := range data.Histogram.GetDataPoints() {
			s := sample{Sum: p.GetSum(), Count: p.GetCount(), Buckets: map[string]uint64{}}
			var below uint64
			for i, n := range p.GetBucketCounts() {
				below += n
				upper := math.Inf(1)
				if i < len(p.GetExplicitBounds()) {
					upper = p.GetExplicitBounds()[i]
				}
				s.Buckets[bound(upper)] = below
			}
			f.Series[seriesText(p.GetAttributes())] = s
		}
		return otlptranslator.MetricTypeHistogram, f
	default:
		t.Fatalf("%s: unexpected %T", m.GetName(), data)
		return 0, f
	}
}

func (f family) numbers(points []*metricspb.NumberDataPoint) {
	for _, p := range points {
		v := p.GetAsDouble()
		if i, ok := p.GetValue().(*metricspb.NumberDataPoint_AsInt); ok {
			v = float64(i.AsInt)
		}
		f.Series[seriesText(p.GetAttributes())] = sample{Value: v}
	}
}

// seriesText is attributeText with names as Prometheus has them.
func seriesText(attrs []*commonpb.KeyValue) string {
	labels := map[string]string{}
	for _, kv := range attrs {
		labels[strings.ReplaceAll(kv.GetKey(), ".", "_")] = kv.GetValue().GetStringValue()
	}
	return labelText(labels)
}

func attributeText(attrs []*commonpb.KeyValue) string {
	labels := map[string]string{}
	for _, kv := range attrs {
		labels[kv.GetKey()] = kv.GetValue().GetStringValue()
	}
	return labelText(labels)
}

func hexID(b []byte) string { return hex.EncodeToString(b) }
