package otel

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/cicdconv"

	"otelrunner/otel/observe"
)

// pipelineInstruments are those of the CI/CD conventions that require the name of
// a pipeline: the one label that users choose. They are made from a provider of
// their own, which only OTLP reads and which bounds their series.
type pipelineInstruments struct {
	duration metric.Float64Histogram
	active   metric.Int64UpDownCounter
	errors   metric.Int64Counter
}

func newPipelineInstruments(mp metric.MeterProvider, buckets []float64) (p pipelineInstruments, err error) {
	m := mp.Meter(scopeName)
	duration, err := cicdconv.NewPipelineRunDuration(m, metric.WithExplicitBucketBoundaries(buckets...))
	if err != nil {
		return p, fmt.Errorf("create %s: %w", duration.Name(), err)
	}
	active, err := cicdconv.NewPipelineRunActive(m)
	if err != nil {
		return p, fmt.Errorf("create %s: %w", active.Name(), err)
	}
	errors, err := cicdconv.NewPipelineRunErrors(m)
	if err != nil {
		return p, fmt.Errorf("create %s: %w", errors.Name(), err)
	}
	return pipelineInstruments{duration.Inst(), active.Inst(), errors.Inst()}, nil
}

// Pipeline measures one job as a run of a pipeline: what one runner sees of it.
// A nil one measures nothing.
type Pipeline struct {
	in     *Instruments
	name   attribute.KeyValue
	active metric.MeasurementOption
}

// Pipeline is for a job of the pipeline of that name; Begin and End are called
// once each.
func (in *Instruments) Pipeline(name string) *Pipeline {
	kv := semconv.CICDPipelineName(name)
	return &Pipeline{in: in, name: kv, active: metric.WithAttributeSet(attribute.NewSet(kv, semconv.CICDPipelineRunStateExecuting))}
}

// Begin counts the run as active.
func (p *Pipeline) Begin(ctx context.Context) {
	if p != nil {
		p.in.pipelines.active.Add(ctx, 1, p.active)
	}
}

// End counts it by its end.
func (p *Pipeline) End(ctx context.Context, e observe.End, d time.Duration) {
	if p == nil {
		return
	}
	in := &p.in.pipelines
	in.active.Add(ctx, -1, p.active)
	attrs := []attribute.KeyValue{p.name, semconv.CICDPipelineRunStateExecuting, semconv.CICDPipelineResultKey.String(e.Result.String())}
	if e.ErrorType != "" {
		kind := semconv.ErrorTypeKey.String(e.ErrorType)
		attrs = append(attrs, kind)
		in.errors.Add(ctx, 1, metric.WithAttributes(p.name, kind))
	}
	in.duration.Record(ctx, d.Seconds(), metric.WithAttributes(attrs...))
	if e.Result == observe.Error {
		p.in.work.errors.add(errorJob)
	}
}
