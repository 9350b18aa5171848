package otel

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// A builder makes instruments of one namespace and keeps the errors for the
// end. The instruments it returns are never nil.
type builder struct {
	meter     metric.Meter
	namespace string
	err       error
}

func (b *builder) name(n string) string { return b.namespace + "_" + n }

func (b *builder) keep(err error) { b.err = errors.Join(b.err, err) }

// histogram makes a histogram of seconds.
func (b *builder) histogram(name, help string, bounds []float64) metric.Float64Histogram {
	h, err := b.meter.Float64Histogram(b.name(name), metric.WithUnit("s"),
		metric.WithDescription(help), metric.WithExplicitBucketBoundaries(bounds...))
	b.keep(err)
	return h
}

// bytes makes a histogram of bytes.
func (b *builder) bytes(name, help string, bounds []float64) metric.Int64Histogram {
	h, err := b.meter.Int64Histogram(b.name(name), metric.WithUnit("By"),
		metric.WithDescription(help), metric.WithExplicitBucketBoundaries(bounds...))
	b.keep(err)
	return h
}

func (b *builder) intGauge(name, unit, help string) metric.Int64ObservableGauge {
	g, err := b.meter.Int64ObservableGauge(b.name(name), metric.WithUnit(unit), metric.WithDescription(help))
	b.keep(err)
	return g
}

func (b *builder) floatGauge(name, unit, help string) metric.Float64ObservableGauge {
	g, err := b.meter.Float64ObservableGauge(b.name(name), metric.WithUnit(unit), metric.WithDescription(help))
	b.keep(err)
	return g
}

// callback observes what is given by f until in is closed.
func (b *builder) callback(in *Instruments, f metric.Callback, observed ...metric.Observable) {
	r, err := b.meter.RegisterCallback(f, observed...)
	b.keep(err)
	if err == nil {
		in.unregisters = append(in.unregisters, r)
	}
}
