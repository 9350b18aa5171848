package simulate_test

import (
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/simulate"
)

// The margin over the floor that the settings imply.
const margin = 1.05

// What is promised of 200 runners that run 3 jobs each, of which 70 % write: close to
// the floor, no row late, and no storm when the server comes back; and the settings
// that halve the requests do.
func TestBusyFleet(t *testing.T) {
	for _, c := range []struct {
		name       string
		fleet      simulate.Fleet
		floor      float64
		latestPeak float64
		oldest     time.Duration
	}{
		{"default", simulate.Fleet{Runners: 200, Measure: 15 * time.Second}, 260, 3, 3 * time.Second},
		{"halved", simulate.Fleet{Runners: 40, Measure: 30 * time.Second, LogLatency: 6 * time.Second, LogSweep: 10 * time.Second, StateReport: 10 * time.Second}, 26, 3, 6 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := c.fleet
				f.Tasks, f.Writing = 3, 0.7
				// Measured for whole intervals: of a part, chance would decide.
				f.Warmup, f.Outage, f.Return = 15*time.Second, time.Minute, 15*time.Second
				got, err := f.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%.1f requests a second, floor %.1f: %v; rows %v, %v, %v; peak %.0f (%.2f)", got.Total, got.Floor, got.Requests, got.RowP50, got.RowP99, got.RowAge, got.Peak, got.Peak/got.Total)
				if got.Floor != c.floor || got.Total > margin*got.Floor {
					t.Errorf("%.1f requests a second, floor %.1f, want a floor of %.0f", got.Total, got.Floor, c.floor)
				}
				if got.RowAge > c.oldest || got.RowP50 <= 0 || got.RowP50 > got.RowP99 {
					t.Errorf("rows arrived after %v, %v, %v", got.RowP50, got.RowP99, got.RowAge)
				}
				if got.Peak > c.latestPeak*got.Total || got.Peak < got.Total/2 {
					t.Errorf("after the outage, %.0f requests in one second, %.1f of what it needs otherwise", got.Peak, got.Peak/got.Total)
				}
				// Each writing task must be heard of, not only rarely.
				if n, least := got.Requests["UpdateLog"], int(0.95*f.Writing*float64(f.Runners*f.Tasks)*f.Measure.Seconds()/c.oldest.Seconds()); n < least {
					t.Errorf("%d UpdateLog, want %d", n, least)
				}
			})
		})
	}
}

func TestIdleFleetOf200(t *testing.T) {
	for _, wake := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, err := simulate.Fleet{
				Runners: 200, Capacity: 3, Warmup: 3 * time.Minute, Measure: 4 * time.Minute, Arrivals: 60, Wake: wake,
			}.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.2f requests a second (10,000 runners: %.0f), %d offline; a job waits %v, %v, %v", c.Total, 50*c.Total, c.Offline, c.StartP50, c.StartP99, c.StartMax)
			if c.Total > 4 || c.Offline > 0 {
				t.Errorf("%.2f requests a second, %d offline", c.Total, c.Offline)
			}
			if longest := c.StartMax; wake && longest > 200*time.Millisecond || longest > 15*time.Second {
				t.Errorf("a job waited %v", longest)
			}
		})
	}
}

func TestIdleFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := simulate.Fleet{
			Runners: 50, Capacity: 3,
			Warmup: 5 * time.Minute, Measure: 20 * time.Minute,
		}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%.2f requests a second, floor %.2f, %d offline", c.Total, c.Floor, c.Offline)
		if c.Total > margin*c.Floor {
			t.Errorf("%.2f requests a second, floor %.2f", c.Total, c.Floor)
		}
		if c.Offline > 0 {
			t.Errorf("%d runners were shown as offline", c.Offline)
		}
	})
}
