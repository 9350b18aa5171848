package report_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/journal"
	"otelrunner/runner/report"
	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

// outages are the ways in which a server is away; each returns what brings it back.
var outages = map[string]struct {
	begin func(s *giteatest.Server) (end func())
	// late is how much later than the server's return everything may be delivered.
	late time.Duration
}{
	"refused": {func(s *giteatest.Server) func() { s.SetDown(true); return func() { s.SetDown(false) } }, 15 * time.Second},
	"503":     {func(s *giteatest.Server) func() { return s.Inject(giteatest.Status(503)).Remove }, 15 * time.Second},
	"a proxy's page": {func(s *giteatest.Server) func() {
		return s.Inject(giteatest.HTML(200, "We are back soon")).Remove
	}, 15 * time.Second},
	// Calls that hang as it comes back end by the client's own time-out.
	"accepts and never answers": {func(s *giteatest.Server) func() { return s.Inject(giteatest.Hang()).Remove }, 45 * time.Second},
	"answers are cut": {func(s *giteatest.Server) func() {
		return s.Inject(giteatest.CutBefore()).Remove
	}, 15 * time.Second},
	"its name cannot be resolved": {func(s *giteatest.Server) func() {
		s.FailDials(&net.DNSError{Err: "no such host", Name: "gitea.test", IsNotFound: true})
		return func() { s.FailDials(nil) }
	}, 15 * time.Second},
	"its resolver does not answer": {func(s *giteatest.Server) func() {
		s.FailDials(&net.DNSError{Err: "i/o timeout", Name: "gitea.test", IsTimeout: true, IsTemporary: true})
		return func() { s.FailDials(nil) }
	}, 15 * time.Second},
}

// The server is away when the job ends, in any way, and comes back in time; it takes
// only a part of each request then.
func TestAnOutageAtTheEndLosesNothing(t *testing.T) {
	for name, o := range outages {
		for _, away := range []time.Duration{120 * time.Second, 9 * time.Minute} {
			t.Run(fmt.Sprint(name, " for ", away), func(t *testing.T) {
				withJournal(t, giteatest.Options{}, journal.Options{}, report.Options{MaxWaiting: 20_000}, func(w *world, _ *kept) {
					want := numbered(w, 300)
					w.r.SetOutput("k", "v")
					back := o.begin(w.s)
					for i := range 50 {
						want = append(want, fmt.Sprint("post ", i))
						w.row(want[len(want)-1])
					}
					time.AfterFunc(away, func() {
						w.s.Inject(giteatest.PartialAck(40).On("UpdateLog").Times(4))
						back()
					})
					began := time.Now()
					w.finish(task.Success)
					if diff := cmp.Diff(append(want, ""), w.contents()); diff != "" {
						w.t.Errorf("rows (-want +got):\n%.2000s", diff)
					}
					if s := w.task(); s.Result != task.Success || s.Outputs["k"] != "v" {
						w.t.Errorf("%+v", s)
					}
					if d := time.Since(began); d < away || d > away+o.late {
						w.t.Errorf("delivered %v after the job's end", d)
					}
				})
			})
		}
	}
}
