package poll

import (
	"fmt"
	"testing"
	"time"
)

func TestInterval(t *testing.T) {
	const base, ceiling = 2 * time.Second, 60 * time.Second
	for _, c := range []struct {
		empties, errors int
		want            time.Duration
	}{
		{0, 0, 2 * time.Second},
		{1, 0, 2 * time.Second},
		{2, 0, 4 * time.Second},
		{5, 0, 32 * time.Second},
		{20, 0, 60 * time.Second},
		{0, 3, 8 * time.Second},
		{2, 4, 16 * time.Second},
		{0, 1 << 40, 60 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d/%d", c.empties, c.errors), func(t *testing.T) {
			b := backoff{empties: c.empties, errors: c.errors}
			if got := b.interval(base, ceiling); got != c.want {
				t.Errorf("interval = %v, want %v", got, c.want)
			}
		})
	}
}

func TestIntervalMultiplierIsBounded(t *testing.T) {
	b := backoff{empties: 50}
	if got, want := b.interval(2*time.Second, time.Hour), 64*time.Second; got != want {
		t.Errorf("interval = %v, want %v", got, want)
	}
}

func TestIntervalIsNeverBelowItsBase(t *testing.T) {
	b := backoff{empties: 3}
	if got, want := b.interval(10*time.Second, 5*time.Second), 10*time.Second; got != want {
		t.Errorf("interval = %v, want %v", got, want)
	}
}

func TestSleepSpreadsAndStaysOnline(t *testing.T) {
	for _, c := range []struct {
		interval, ceiling, min, max time.Duration
	}{
		{10 * time.Second, 60 * time.Second, 8 * time.Second, 12 * time.Second},
		{60 * time.Second, 60 * time.Second, 48 * time.Second, 55 * time.Second},
		{100 * time.Second, 100 * time.Second, 80 * time.Second, 120 * time.Second},
	} {
		var below, above bool
		for range 2000 {
			d := sleep(c.interval, c.ceiling)
			if d < c.min || d > c.max {
				t.Fatalf("sleep(%v, %v) = %v, want %v to %v", c.interval, c.ceiling, d, c.min, c.max)
			}
			below = below || d < c.min+(c.max-c.min)/10
			above = above || d > c.max-(c.max-c.min)/10
		}
		if !below || !above {
			t.Errorf("sleep(%v, %v) does not use the whole range %v to %v", c.interval, c.ceiling, c.min, c.max)
		}
	}
}

func TestMeanSleep(t *testing.T) {
	for _, ceiling := range []time.Duration{2 * time.Second, 50 * time.Second, 60 * time.Second, 2 * time.Minute} {
		var sum time.Duration
		const n = 20000
		for range n {
			sum += sleep(ceiling, ceiling)
		}
		if got, want := sum/n, MeanSleep(ceiling); (got - want).Abs() > want/50 {
			t.Errorf("ceiling %v: sleeps average %v, MeanSleep says %v", ceiling, got, want)
		}
	}
}
