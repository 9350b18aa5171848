package otel

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// collectHistograms gives the histograms that a reader sees, by name.
func collectHistograms(t *testing.T, r sdkmetric.Reader) map[string]metricdata.Histogram[float64] {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	found := map[string]metricdata.Histogram[float64]{}
	for _, s := range rm.ScopeMetrics {
		for _, m := range s.Metrics {
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
				found[m.Name] = h
			}
		}
	}
	return found
}

// sharedAndOwn gives a meter whose histograms are shared, one of the SDK, and a
// reader of each.
func sharedAndOwn() (shared, own metric.Meter, sharedReader, ownReader sdkmetric.Reader) {
	h := newHistograms(func(string) string { return "" })
	sharedReader = sdkmetric.NewManualReader(sdkmetric.WithProducer(h))
	ownReader = sdkmetric.NewManualReader()
	shared = sharedMeters{sdkmetric.NewMeterProvider(sdkmetric.WithReader(sharedReader)), h}.Meter(scopeName)
	own = sdkmetric.NewMeterProvider(sdkmetric.WithReader(ownReader)).Meter(scopeName)
	return shared, own, sharedReader, ownReader
}

// TestHistogramsAreTheSDKs gives both the same measurements: they must say the same,
// but for the choice of exemplars.
func TestHistogramsAreTheSDKs(t *testing.T) {
	shared, own, sharedReader, ownReader := sharedAndOwn()
	bounds := []float64{.01, .5, 1, 10}
	sets := []attribute.Set{*attribute.EmptySet(), attribute.NewSet(attribute.String("a", "1"), attribute.Int("b", 2)), attribute.NewSet(attribute.String("a", "2"))}
	inSpan, sc := sampled(t.Context())
	unsampled := trace.ContextWithSpanContext(t.Context(), sc.WithTraceFlags(0))
	random := rand.New(rand.NewPCG(1, 2))
	type measurement struct {
		value float64
		ctx   context.Context
		set   attribute.Set
	}
	var all []measurement
	for _, v := range []float64{0, -3, .01, .5, 1, 10, 10.5, 1e300} { // bounds themselves belong below
		all = append(all, measurement{v, t.Context(), sets[0]})
	}
	for range 2000 {
		all = append(all, measurement{random.ExpFloat64(), []context.Context{t.Context(), inSpan, unsampled}[random.IntN(3)], sets[random.IntN(3)]})
	}
	var at []map[string]metricdata.Histogram[float64]
	for _, of := range []struct {
		meter  metric.Meter
		reader sdkmetric.Reader
	}{{shared, sharedReader}, {own, ownReader}} {
		h, err := of.meter.Float64Histogram("h", metric.WithUnit("s"), metric.WithDescription("d"), metric.WithExplicitBucketBoundaries(bounds...))
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range all {
			if m.set.Len() == 0 {
				h.Record(m.ctx, m.value)
			} else {
				h.Record(m.ctx, m.value, metric.WithAttributeSet(m.set))
			}
			if i == 500 {
				collectHistograms(t, of.reader) // takes nothing away
			}
		}
		at = append(at, collectHistograms(t, of.reader))
	}
	less := func(a, b metricdata.HistogramDataPoint[float64]) bool {
		return a.Attributes.Encoded(attribute.DefaultEncoder()) < b.Attributes.Encoded(attribute.DefaultEncoder())
	}
	point := metricdata.HistogramDataPoint[float64]{}
	if d := cmp.Diff(at[1], at[0], cmpopts.IgnoreFields(point, "StartTime", "Time", "Exemplars"), cmpopts.SortSlices(less),
		cmp.Comparer(func(a, b attribute.Set) bool { return a.Equals(&b) }),
		cmp.Comparer(func(a, b metricdata.Extrema[float64]) bool { return a == b }), cmpopts.EquateApprox(1e-9, 0)); d != "" {
		t.Errorf("what is shared differs from the SDK's (-SDK +shared):\n%s", d)
	}
	if len(at[0]["h"].DataPoints) != 3 {
		t.Fatalf("%d series, want 3", len(at[0]["h"].DataPoints))
	}
	for _, p := range at[0]["h"].DataPoints {
		if len(p.Exemplars) == 0 || len(p.Exemplars) > len(p.BucketCounts) {
			t.Errorf("%d exemplars of %d buckets", len(p.Exemplars), len(p.BucketCounts))
		}
		for _, e := range p.Exemplars {
			if string(e.SpanID) != string(idBytes(sc.SpanID())) || e.Time.IsZero() {
				t.Errorf("the exemplar %v is of no sampled span", e)
			}
		}
	}
}

func idBytes(id trace.SpanID) []byte { return id[:] }

// TestHistogramsAtOnce measures and reads from several goroutines: nothing is lost.
func TestHistogramsAtOnce(t *testing.T) {
	shared, _, reader, _ := sharedAndOwn()
	h, err := shared.Float64Histogram("h", metric.WithExplicitBucketBoundaries(1))
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				h.Record(t.Context(), float64(i), metric.WithAttributes(attribute.Int("series", (w+i)%7)))
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			collectHistograms(t, reader)
		}
	})
	wg.Wait()
	var count uint64
	for _, p := range collectHistograms(t, reader)["h"].DataPoints {
		count += p.Count
	}
	if count != writers*each {
		t.Errorf("%d measurements, want %d", count, writers*each)
	}
}

// TestHistogramsOverflow: beyond the bound, one series says that others were left
// out.
func TestHistogramsOverflow(t *testing.T) {
	shared, own, sharedReader, ownReader := sharedAndOwn()
	for _, of := range []struct {
		meter  metric.Meter
		reader sdkmetric.Reader
	}{{shared, sharedReader}, {own, ownReader}} {
		h, err := of.meter.Float64Histogram("h", metric.WithExplicitBucketBoundaries(1))
		if err != nil {
			t.Fatal(err)
		}
		for i := range maxSeries + 10 {
			h.Record(t.Context(), 1, metric.WithAttributes(attribute.String("i", strconv.Itoa(i))))
		}
		points := collectHistograms(t, of.reader)["h"].DataPoints
		var overflow uint64
		for _, p := range points {
			if v, ok := p.Attributes.Value("otel.metric.overflow"); ok && v.AsBool() {
				overflow = p.Count
			}
		}
		if len(points) != maxSeries || overflow != 11 {
			t.Errorf("%d series, %d measurements of others; want %d and 11", len(points), overflow, maxSeries)
		}
	}
}

// TestExemplarFilter: the standard variable chooses.
func TestExemplarFilter(t *testing.T) {
	for filter, want := range map[string]int{"": 0, "trace_based": 0, "always_on": 1, "always_off": 0} {
		h := newHistograms(func(name string) string {
			if name == "OTEL_METRICS_EXEMPLAR_FILTER" {
				return filter
			}
			return ""
		})
		one := h.add("h", "", "", []float64{1})
		one.Record(t.Context(), 1)
		ctx, _ := sampled(t.Context())
		one.Record(ctx, 5)
		if filter != "always_off" {
			want++
		}
		if n := len(one.data(h.started, h.started).DataPoints[0].Exemplars); n != want {
			t.Errorf("%q gives %d exemplars, want %d", filter, n, want)
		}
	}
}

// TestOtherHistograms: what the standard variables ask of an exporter is what it
// gets; /metrics stays as it is.
func TestOtherHistograms(t *testing.T) {
	for _, c := range []struct {
		variable, value string
		fits            func(*metricspb.Metric) bool
	}{
		{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "", func(m *metricspb.Metric) bool {
			return m.GetHistogram().GetAggregationTemporality() == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
		}},
		{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta", func(m *metricspb.Metric) bool {
			return m.GetHistogram().GetAggregationTemporality() == metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
		}},
		{"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram", func(m *metricspb.Metric) bool {
			return m.GetExponentialHistogram() != nil
		}},
	} {
		t.Run(c.value, func(t *testing.T) {
			clearEnv(t)
			t.Setenv(c.variable, c.value)
			r := newHTTPReceiver(t)
			p, in, url := started(t, ProvidersOptions{Endpoint: r.URL})
			record(t.Context(), in)
			if s := scrape(t, url)["act_runner_job_duration_seconds"].Series["{}"]; s.Count == 0 || len(s.Buckets) != len(jobBuckets)+1 {
				t.Errorf("/metrics has %+v", s)
			}
			if err := p.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			found := 0
			for _, rm := range r.metrics {
				for _, s := range rm.GetScopeMetrics() {
					for _, m := range s.GetMetrics() {
						if m.GetName() == "act_runner_job_duration" || m.GetName() == "act_runner_step_duration" {
							found++
							if !c.fits(m) {
								t.Errorf("%s came as %v", m.GetName(), m)
							}
						}
					}
				}
			}
			if found != 2 {
				t.Errorf("%d of the histograms came, want 2, each once", found)
			}
		})
	}
}

// TestExemplarsAreRenewed: a bucket shows the first measurement since it was read, by
// whichever reader; another bucket's stays.
func TestExemplarsAreRenewed(t *testing.T) {
	one := newHistograms(func(string) string { return "" }).add("h", "", "", []float64{1, 2})
	ctx, _ := sampled(t.Context())
	check := func(want ...float64) {
		t.Helper()
		var got []float64
		for _, e := range one.data(one.of.started, one.of.started).DataPoints[0].Exemplars {
			got = append(got, e.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("the exemplars are %v, want %v", got, want)
		}
	}
	for _, v := range []float64{.1, .2, 1.1, 1.2} {
		one.Record(ctx, v)
	}
	one.Record(t.Context(), 3) // in no span
	check(.1, 1.1)
	check(.1, 1.1)
	one.Record(ctx, .3)
	one.Record(ctx, .4)
	check(.3, 1.1)
}
