package simulate_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/simulate"
)

// A whole study, with journals: what is promised holds in each of its runs, and the
// tables say what was found.
func TestStudy(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		s := simulate.Study{
			Runners: 20, Capacity: 3, Writing: 0.7,
			Warmup: 15 * time.Second, Measure: 30 * time.Second, Outage: 30 * time.Second, Arrivals: 20, Journal: dir,
		}
		r, err := s.Run(t.Context(), func(what string) { told = append(told, what) })
		if err != nil {
			t.Fatal(err)
		}
		if len(told) != 4 {
			t.Errorf("progress: %q", told)
		}
		for name, c := range map[string]struct {
			costs  simulate.Costs
			floor  float64
			oldest time.Duration
		}{
			"default": {r.Default, 42.0/3 + 60.0/5, 3 * time.Second},
			"halved":  {r.Halved, 42.0/6 + 60.0/10, 6 * time.Second},
		} {
			if math.Abs(c.costs.Floor-c.floor) > 1e-9 || c.costs.Total > margin*c.floor || c.costs.Total < c.floor/2 {
				t.Errorf("%s: %.1f requests a second, floor %.1f, want %.1f", name, c.costs.Total, c.costs.Floor, c.floor)
			}
			if c.costs.RowAge > c.oldest || c.costs.RowP50 <= 0 {
				t.Errorf("%s: rows were %v old, the oldest %v", name, c.costs.RowP50, c.costs.RowAge)
			}
			if c.costs.Peak > 3*c.costs.Total || c.costs.Peak < c.costs.Total/2 {
				t.Errorf("%s: %.0f requests in a second after the outage, %.1f otherwise", name, c.costs.Peak, c.costs.Total)
			}
			// Each runner has a poller, three reporters and their journals.
			if c.costs.Memory < 10<<10 || c.costs.Memory > 4<<20 {
				t.Errorf("%s: a runner takes %d bytes", name, c.costs.Memory)
			}
		}
		// So few runners ask as chance has it: TestIdleFleetOf200 has the bound.
		if r.Idle.Total > 1.5*r.Idle.Floor || r.Idle.Offline > 0 || r.Idle.StartMax > time.Minute {
			t.Errorf("idle: %+v", r.Idle)
		}
		if r.Woken.StartMax > 200*time.Millisecond || r.Woken.StartP50 > r.Idle.StartP50 {
			t.Errorf("woken: a job waited %v, by the clock %v", r.Woken.StartMax, r.Idle.StartP50)
		}
		var out bytes.Buffer
		if err := r.Write(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"20 runners, 3 jobs each, 70 % of the jobs write a row a second; measured for 30s",
			fmt.Sprintf(`all +%.1f +%.1f`, r.Default.Total, r.Halved.Total),
			`floor of the settings +26\.0 +13\.0`,
			fmt.Sprintf(`peak after 30s away +%.0f +%.0f`, r.Default.Peak, r.Halved.Peak),
			fmt.Sprintf(`memory of a runner +%d KiB +%d KiB`, r.Default.Memory>>10, r.Halved.Memory>>10),
			fmt.Sprintf(`requests a second +%.2f +%.2f`, r.Idle.Total, r.Woken.Total),
			fmt.Sprintf(`of 10,000 runners +%.0f +%.0f`, 500*r.Idle.Total, 500*r.Woken.Total),
			`runners shown as offline +0 +0`,
		} {
			if !regexp.MustCompile(want).Match(out.Bytes()) {
				t.Errorf("the tables lack %s:\n%s", want, &out)
			}
		}
		if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") {
			t.Errorf("the tables:\n%s", &out)
		}
		t.Logf("\n%s", &out)
	})
	if runs, err := os.ReadDir(dir); err != nil || len(runs) != 4 {
		t.Errorf("journals of %v, %v", runs, err)
	}
}
