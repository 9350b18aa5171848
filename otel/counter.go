package otel

import (
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// A counter is a family of sums, one for each value of its one label. Its readers
// take the sums when they collect, so that an event costs one atomic addition
// whatever the number of readers, and each series exists from the start: a rate
// over its first event is right.
type counter struct {
	family metric.Int64ObservableCounter
	series []series
}

type series struct {
	n      atomic.Int64
	labels []metric.ObserveOption
}

// counter makes a counter; a method of it counts the series at the index of its
// label's value. Without a label there is one series.
func (b *builder) counter(name, unit, help, label string, values ...string) *counter {
	if label == "" {
		return b.counterOf(name, unit, help, []attribute.Set{attribute.NewSet()})
	}
	sets := make([]attribute.Set, len(values))
	for i, value := range values {
		sets[i] = attribute.NewSet(attribute.String(label, value))
	}
	return b.counterOf(name, unit, help, sets)
}

// counterOf is counter for series of any labels.
func (b *builder) counterOf(name, unit, help string, sets []attribute.Set) *counter {
	c := newCounter(sets)
	var err error
	c.family, err = b.meter.Int64ObservableCounter(b.name(name), metric.WithUnit(unit), metric.WithDescription(help))
	b.keep(err)
	return c
}

func newCounter(sets []attribute.Set) *counter {
	c := &counter{series: make([]series, len(sets))}
	for i, set := range sets {
		c.series[i].labels = []metric.ObserveOption{metric.WithAttributeSet(set)}
	}
	return c
}

// add counts one event.
func (c *counter) add(i int) { c.series[i].n.Add(1) }

func (c *counter) observe(o metric.Observer) {
	for i := range c.series {
		o.ObserveInt64(c.family, c.series[i].n.Load(), c.series[i].labels...)
	}
}
