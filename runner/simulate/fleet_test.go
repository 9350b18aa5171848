package simulate_test

import (
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/simulate"
)

// The margin over the floor that the settings imply.
const margin = 1.05

func TestBusyFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := simulate.Fleet{
			Runners: 20, Tasks: 3, Writing: 0.7,
			Warmup: 30 * time.Second, Measure: 5 * time.Minute,
		}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%.1f requests a second, floor %.1f: %v, oldest row %v", c.Total, c.Floor, c.Requests, c.RowAge)
		if c.Total > margin*c.Floor {
			t.Errorf("%.1f requests a second, floor %.1f", c.Total, c.Floor)
		}
		if c.RowAge > 3*time.Second {
			t.Errorf("a row arrived after %v", c.RowAge)
		}
		// Each writing task must be heard of, not only rarely.
		if n := c.Requests["UpdateLog"]; n < 42*60 {
			t.Errorf("%d UpdateLog in 5 minutes of 42 writing tasks", n)
		}
	})
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
