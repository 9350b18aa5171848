package otel

import (
	"context"
	"maps"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/embedded"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
)

// histograms aggregates histograms once for all readers, which take them as those
// of a producer. The SDK aggregates for each reader anew, so that a measurement
// costs as often as it is read; see RATIONALE.md. They are cumulative, with
// explicit buckets: see shareable.
type histograms struct {
	exemplars exemplarFilter
	started   time.Time

	mu   sync.Mutex
	list []*histogram
}

var _ sdkmetric.Producer = (*histograms)(nil)

func newHistograms(e env) *histograms {
	h := &histograms{started: time.Now()}
	switch _, filter := e.first("OTEL_METRICS_EXEMPLAR_FILTER"); filter {
	case "always_on":
		h.exemplars = exemplarsOfAll
	case "always_off":
		h.exemplars = exemplarsOfNone
	}
	return h
}

// exemplarFilter says which measurements may become exemplars, as
// OTEL_METRICS_EXEMPLAR_FILTER has it.
type exemplarFilter uint8

const (
	exemplarsOfSampled exemplarFilter = iota // those in a sampled span: trace_based
	exemplarsOfAll
	exemplarsOfNone
)

// spanOf is the span of a measurement in ctx, and whether it may be an exemplar.
func (f exemplarFilter) spanOf(ctx context.Context) (c trace.SpanContext, ok bool) {
	if f == exemplarsOfNone {
		return c, false
	}
	c = trace.SpanContextFromContext(ctx)
	return c, f == exemplarsOfAll || c.IsSampled()
}

// shareable reports whether an exporter wants histograms as they are here.
// OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE and
// …_DEFAULT_HISTOGRAM_AGGREGATION may ask for others, which the SDK makes.
func shareable(e sdkmetric.Exporter) bool {
	const kind = sdkmetric.InstrumentKindHistogram
	switch e.Aggregation(kind).(type) {
	case sdkmetric.AggregationDefault, sdkmetric.AggregationExplicitBucketHistogram:
		return e.Temporality(kind) == metricdata.CumulativeTemporality
	}
	return false
}

// sharedMeters is a MeterProvider whose histograms are shared.
type sharedMeters struct {
	metric.MeterProvider
	shared *histograms
}

func (p sharedMeters) Meter(name string, opts ...metric.MeterOption) metric.Meter {
	return sharedMeter{p.MeterProvider.Meter(name, opts...), p.shared}
}

type sharedMeter struct {
	metric.Meter
	shared *histograms
}

func (m sharedMeter) Float64Histogram(name string, opts ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	c := metric.NewFloat64HistogramConfig(opts...)
	return m.shared.add(name, c.Description(), c.Unit(), c.ExplicitBucketBoundaries()), nil
}

func (m sharedMeter) Int64Histogram(name string, opts ...metric.Int64HistogramOption) (metric.Int64Histogram, error) {
	c := metric.NewInt64HistogramConfig(opts...)
	return intHistogram{of: m.shared.add(name, c.Description(), c.Unit(), c.ExplicitBucketBoundaries())}, nil
}

func (h *histograms) add(name, help, unit string, bounds []float64) *histogram {
	one := &histogram{name: name, help: help, unit: unit, bounds: slices.Sorted(slices.Values(bounds)), of: h}
	one.series.Store(&map[attribute.Distinct]*points{})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = append(h.list, one)
	return one
}

// Produce implements sdkmetric.Producer.
func (h *histograms) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	h.mu.Lock()
	list := slices.Clone(h.list)
	h.mu.Unlock()
	scope := metricdata.ScopeMetrics{}
	scope.Scope.Name = scopeName
	now := time.Now()
	for _, one := range list {
		if data := one.data(h.started, now); len(data.DataPoints) > 0 {
			scope.Metrics = append(scope.Metrics, metricdata.Metrics{Name: one.name, Description: one.help, Unit: one.unit, Data: data})
		}
	}
	return []metricdata.ScopeMetrics{scope}, nil
}

// histogram is one family. Record may be called by several goroutines, and
// allocates for the first measurement of a series only.
type histogram struct {
	embedded.Float64Histogram
	name, help, unit string
	bounds           []float64
	of               *histograms

	mu     sync.Mutex // of changes of series, which is copied for each
	series atomic.Pointer[map[attribute.Distinct]*points]
}

// Enabled implements metric.Float64Histogram.
func (*histogram) Enabled(context.Context) bool { return true }

// Record implements metric.Float64Histogram.
func (h *histogram) Record(ctx context.Context, v float64, opts ...metric.RecordOption) {
	set := *attribute.EmptySet()
	if len(opts) > 0 {
		set = metric.NewRecordConfig(opts).Attributes()
	}
	p := (*h.series.Load())[set.Equivalent()]
	if p == nil {
		p = h.begin(set)
	}
	p.record(ctx, v, h)
}

// begin makes a series. Beyond maxSeries, all others are one that says so, as the
// SDK has it.
func (h *histogram) begin(set attribute.Set) *points {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := *h.series.Load()
	if p := known[set.Equivalent()]; p != nil {
		return p
	}
	if len(known) >= maxSeries-1 {
		set = attribute.NewSet(attribute.Bool("otel.metric.overflow", true))
		if p := known[set.Equivalent()]; p != nil {
			return p
		}
	}
	p := &points{set: set, counts: make([]uint64, len(h.bounds)+1), exemplars: make([]seen, len(h.bounds)+1)}
	more := maps.Clone(known)
	more[set.Equivalent()] = p
	h.series.Store(&more)
	return p
}

// maxSeries bounds a family, by the default of the SDK.
const maxSeries = 2000

func (h *histogram) data(started, now time.Time) metricdata.Histogram[float64] {
	data := metricdata.Histogram[float64]{Temporality: metricdata.CumulativeTemporality}
	bounds := slices.Clone(h.bounds) // whoever reads may change them
	for _, p := range *h.series.Load() {
		data.DataPoints = append(data.DataPoints, p.point(bounds, started, now))
	}
	return data
}

// points are one series.
type points struct {
	set attribute.Set

	mu        sync.Mutex
	counts    []uint64 // of each bucket
	total     uint64
	sum       float64
	min, max  float64
	exemplars []seen // of each bucket the first since it was read
}

// seen is a measurement that may be shown as an exemplar; one without a time is none.
type seen struct {
	value float64
	at    time.Time
	fresh bool // nobody has read it
	trace trace.TraceID
	span  trace.SpanID
}

func (p *points) record(ctx context.Context, v float64, h *histogram) {
	bucket := sort.SearchFloat64s(h.bounds, v)
	c, wanted := h.of.exemplars.spanOf(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total == 0 {
		p.min, p.max = v, v
	}
	p.min, p.max = min(p.min, v), max(p.max, v)
	p.counts[bucket]++
	p.total++
	p.sum += v
	// One more before the next reading would cost as much as the measurement itself,
	// the clock above all, and tell no more.
	if wanted && !p.exemplars[bucket].fresh {
		p.exemplars[bucket] = seen{value: v, at: time.Now(), fresh: true, trace: c.TraceID(), span: c.SpanID()}
	}
}

func (p *points) point(bounds []float64, started, now time.Time) metricdata.HistogramDataPoint[float64] {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := metricdata.HistogramDataPoint[float64]{
		Attributes: p.set, StartTime: started, Time: now, Count: p.total, Sum: p.sum,
		Bounds: bounds, BucketCounts: slices.Clone(p.counts), Min: metricdata.NewExtrema(p.min), Max: metricdata.NewExtrema(p.max),
	}
	for i := range p.exemplars {
		p.exemplars[i].fresh = false
		e := p.exemplars[i] // a copy: its ids are given away
		if e.at.IsZero() {
			continue
		}
		out := metricdata.Exemplar[float64]{Time: e.at, Value: e.value}
		if e.trace.IsValid() && e.span.IsValid() {
			out.TraceID, out.SpanID = e.trace[:], e.span[:]
		}
		d.Exemplars = append(d.Exemplars, out)
	}
	return d
}

// intHistogram takes whole numbers.
type intHistogram struct {
	embedded.Int64Histogram
	of *histogram
}

// Enabled implements metric.Int64Histogram.
func (intHistogram) Enabled(context.Context) bool { return true }

// Record implements metric.Int64Histogram.
func (h intHistogram) Record(ctx context.Context, v int64, opts ...metric.RecordOption) {
	h.of.Record(ctx, float64(v), opts...)
}
