package otel

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"strconv"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Tracer is the handle that the rooms make their spans with. Providers gives it.
func (p *Providers) Tracer() trace.Tracer {
	return p.tracers.Tracer(scopeName)
}

// runIDs gives ids: random ones, but for the root span of a run.
type runIDs struct{}

// NewIDs implements sdktrace.IDGenerator.
func (runIDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if r, ok := ctx.Value(idsKey{}).(Run); ok {
		return r.TraceID(), r.RootSpanID()
	}
	var id trace.TraceID
	_, _ = crand.Read(id[:]) // never fails
	id[15] |= 1              // all zero is no id
	return id, runIDs{}.NewSpanID(ctx, id)
}

// NewSpanID implements sdktrace.IDGenerator.
func (runIDs) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var id trace.SpanID
	_, _ = crand.Read(id[:])
	id[7] |= 1
	return id
}

// newSampler is the one that OTEL_TRACES_SAMPLER names; the default is
// parentbased_always_on. The parent of a job's span is the run's root, which only
// exists by its id: the decision about a run is taken by the trace's id alone, so
// that two runners that work on it take the same one, and what is below a job
// follows the job. That makes the parentbased_ forms and the plain ones the same.
func newSampler(e env) (sdktrace.Sampler, error) {
	const variable, argument = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	name := strings.ToLower(strings.TrimSpace(e(variable)))
	var root sdktrace.Sampler
	switch strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
		root = sdktrace.AlwaysSample()
	case "always_off":
		root = sdktrace.NeverSample()
	case "traceidratio":
		ratio := 1.0
		if arg := strings.TrimSpace(e(argument)); arg != "" {
			var err error
			if ratio, err = strconv.ParseFloat(arg, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
				return sdktrace.AlwaysSample(), fmt.Errorf("%s is %q: want a share from 0 to 1; every run is traced", argument, arg)
			}
		}
		root = sdktrace.TraceIDRatioBased(ratio)
	default:
		return sdktrace.AlwaysSample(), fmt.Errorf("%s is %q: want always_on, always_off or traceidratio, each also with parentbased_ before it; every run is traced", variable, name)
	}
	return sdktrace.ParentBased(root, sdktrace.WithRemoteParentSampled(root), sdktrace.WithRemoteParentNotSampled(root)), nil
}
