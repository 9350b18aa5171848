package otel

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Run names one attempt at one run of a workflow, across all its jobs and the
// runners that execute them.
type Run struct {
	// Server is the URL of the instance. A trailing slash and the case of
	// scheme and host make no difference.
	Server string

	// Repository is owner/name. Gitea's names do not differ by case.
	Repository string

	// ID is the number of the run, Attempt that of the attempt, from 1; 0 is
	// taken for 1, as servers that know no attempts send none.
	ID, Attempt int64
}

// runIDVersion is part of what is hashed. Changing how ids are derived tears the
// traces of runs apart while runners of both versions work on them.
const runIDVersion = "otelrunner/run/1"

// TraceID is the id of the run's trace, the same on every runner.
func (r Run) TraceID() trace.TraceID {
	sum := r.sum("trace")
	id := trace.TraceID(sum[:16])
	if !id.IsValid() {
		id[15] = 1 // all zero is no id; nobody will see this
	}
	return id
}

// RootSpanID is the id of the run's root span, the same on every runner,
// whoever emits it.
func (r Run) RootSpanID() trace.SpanID {
	sum := r.sum("root")
	id := trace.SpanID(sum[:8])
	if !id.IsValid() {
		id[7] = 1
	}
	return id
}

// sum hashes the fields with their lengths, so that no two runs have the same
// text.
func (r Run) sum(purpose string) [sha256.Size]byte {
	var b []byte
	for _, field := range []string{runIDVersion, purpose, normalURL(r.Server), strings.ToLower(r.Repository)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(field)))
		b = append(b, field...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(r.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(max(r.Attempt, 1)))
	return sha256.Sum256(b)
}

// normalURL lowers scheme and host, and drops trailing slashes. A path keeps its
// case.
func normalURL(s string) string {
	s = strings.TrimRight(s, "/")
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	host, path, found := strings.Cut(rest, "/")
	n := strings.ToLower(scheme) + "://" + strings.ToLower(host)
	if found {
		n += "/" + path
	}
	return n
}

// Context makes spans that begin in it children of the run's root span, whichever
// runner emits that. Whether they are sampled is for the trace's id to say, so
// that all runners agree.
func (r Run) Context(ctx context.Context) context.Context {
	return trace.ContextWithRemoteSpanContext(ctx, r.rootContext())
}

func (r Run) rootContext() trace.SpanContext {
	// The state goes with every span of the trace, also into the programs of steps:
	// who has one of them finds the root without the backend's help.
	state, _ := trace.ParseTraceState("otelrunner=" + r.RootSpanID().String()) // hexadecimal digits are always valid
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: r.TraceID(), SpanID: r.RootSpanID(), TraceFlags: trace.FlagsSampled, TraceState: state, Remote: true,
	})
}

// Links are those of a run's spans: to the attempt before it.
func (r Run) Links() []trace.Link {
	if r.Attempt <= 1 {
		return nil
	}
	before := r
	before.Attempt--
	return []trace.Link{{SpanContext: before.rootContext(), Attributes: []attribute.KeyValue{attribute.String("link.type", "previous_attempt")}}}
}

// EmitRoot emits the run's root span, from began to ended. end, if set, puts the
// result on it.
//
// Who calls it: no runner sees the whole run, so that one job is chosen for it by
// what every runner can know. It is the run's first job (the smallest id in the
// list of the run's jobs) where the job's token may read that list; else the job that
// was given to a runner first (the smallest id in the list of the repository's tasks),
// at the first attempt; else a job that needs no other. Its runner emits the root when that job ends; jobs that
// end later hang under it all the same, by its id.
func (r Run) EmitRoot(tracer trace.Tracer, name string, began, ended time.Time, attrs []attribute.KeyValue, end func(trace.Span)) {
	ctx := context.WithValue(context.Background(), idsKey{}, r)
	_, span := tracer.Start(ctx, name, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(began), trace.WithAttributes(attrs...), trace.WithLinks(r.Links()...))
	if end != nil {
		end(span)
	}
	span.End(trace.WithTimestamp(ended))
}

// idsKey is the key of the Run whose ids a root span gets.
type idsKey struct{}
