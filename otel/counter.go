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
// label's value.
func (b *builder) counter(name, unit, help, label string, values ...string) *counter {
	c := &counter{series: make([]series, len(values))}
	for i, value := range values {
		set := attribute.NewSet(attribute.String(label, value))
		c.series[i].labels = []metric.ObserveOption{metric.WithAttributeSet(set)}
	}
	var err error
	c.family, err = b.meter.Int64ObservableCounter(b.name(name), metric.WithUnit(unit), metric.WithDescription(help))
	b.keep(err)
	return c
}

// add counts one event.
func (c *counter) add(i int) { c.series[i].n.Add(1) }

func (c *counter) observe(o metric.Observer) {
	for i := range c.series {
		o.ObserveInt64(c.family, c.series[i].n.Load(), c.series[i].labels...)
	}
}
