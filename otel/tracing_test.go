package otel

import (
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// TestRunIDs pins the ids: runners of two versions that work on one run must
// agree.
func TestRunIDs(t *testing.T) {
	run := Run{Server: "https://git.example:3000/gitea", Repository: "owner/repo", ID: 42, Attempt: 1}
	if got, want := run.TraceID().String(), "01409aa6ad240d178438b8bf30d061f9"; got != want {
		t.Errorf("trace id %s, want %s", got, want)
	}
	if got, want := run.RootSpanID().String(), "fbf583628dbc5dab"; got != want {
		t.Errorf("root span id %s, want %s", got, want)
	}
	for _, same := range []Run{
		{Server: "https://git.example:3000/gitea/", Repository: "owner/repo", ID: 42, Attempt: 1},
		{Server: "HTTPS://Git.Example:3000/gitea", Repository: "Owner/Repo", ID: 42},
	} {
		if same.TraceID() != run.TraceID() || same.RootSpanID() != run.RootSpanID() {
			t.Errorf("%+v has ids of its own", same)
		}
	}
}

func TestRunIDsDiffer(t *testing.T) {
	seen := map[trace.TraceID]Run{}
	spans := map[trace.SpanID]Run{}
	for _, run := range []Run{
		{},
		{Server: "https://a", Repository: "o/r", ID: 1, Attempt: 1},
		{Server: "http://a", Repository: "o/r", ID: 1, Attempt: 1},
		{Server: "https://a/A", Repository: "o/r", ID: 1, Attempt: 1},
		{Server: "https://a/a", Repository: "o/r", ID: 1, Attempt: 1},
		{Server: "https://ao", Repository: "/r", ID: 1, Attempt: 1},
		{Server: "https://a", Repository: "o/r", ID: 2, Attempt: 1},
		{Server: "https://a", Repository: "o/r", ID: 1, Attempt: 2},
		{Server: "https://a", Repository: "o/r", ID: 12, Attempt: 0},
		{Server: "https://a", Repository: "o/r1", ID: 2, Attempt: 1},
	} {
		if other, ok := seen[run.TraceID()]; ok {
			t.Errorf("%+v and %+v share a trace", run, other)
		}
		if other, ok := spans[run.RootSpanID()]; ok {
			t.Errorf("%+v and %+v share a root span", run, other)
		}
		seen[run.TraceID()], spans[run.RootSpanID()] = run, run
		if !run.TraceID().IsValid() || !run.RootSpanID().IsValid() {
			t.Errorf("%+v has an invalid id", run)
		}
	}
}
