package report_test

import (
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/report"
)

// Rows arrive in time while the server hangs over a state.
func TestRowsGoOnWhileAStateHangs(t *testing.T) {
	inBubble(t, report.Options{}, func(w *world) {
		w.s.Inject(giteatest.Hang().On("UpdateTask").Times(1))
		time.Sleep(report.DefaultStateInterval + time.Second) // the heartbeat hangs by now
		for i := range 3 {
			at := time.Now()
			w.row("row")
			if err := w.s.WaitRows(w.t.Context(), w.id, i+1); err != nil {
				w.t.Fatal(err)
			}
			if d := time.Since(at); d > report.DefaultMaxLatency {
				w.t.Errorf("row %d took %v while an UpdateTask hung", i, d)
			}
		}
	})
}
