package otel

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// Tracer is the handle that the rooms make their spans with. Providers gives it.
func (p *Providers) Tracer() trace.Tracer {
	return p.tracers.Tracer(scopeName)
}

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
