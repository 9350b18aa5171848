package poll

import (
	"math/rand/v2"
	"time"
)

const (
	// maxMultiplier bounds the doubling, so that a long cap is approached by
	// the cap and not by overflow.
	maxMultiplier = 32

	// jitter is the share by which a sleep is shortened or lengthened, so
	// that runners which started together, or lost their server together, do
	// not come back together.
	jitter = 0.2

	// OfflineAfter is how long a server waits for a runner's next call before
	// it shows the runner as offline (Gitea: 1 minute).
	OfflineAfter = 60 * time.Second

	// longestSleep keeps a runner online whose cap is at most OfflineAfter:
	// without it the jitter alone would take every other sleep past the
	// minute. The 5 s are for the call itself.
	longestSleep = OfflineAfter - 5*time.Second
)

// backoff counts one worker's consecutive empty answers and errors. It belongs
// to that worker's goroutine.
type backoff struct {
	empties, errors int
}

// empty notes an answer without a task: the server is well, so the errors end.
func (b *backoff) empty() { b.empties++; b.errors = 0 }

// failed notes a failed call, which says nothing about the work there is.
func (b *backoff) failed() { b.errors++ }

// reset forgets everything: a task came, or the turn was given away.
func (b *backoff) reset() { *b = backoff{} }

// interval is how long to wait before the next call, before jitter:
// base × 2^(n−1) with n the larger of the two counts, at most ceiling.
func (b *backoff) interval(base, ceiling time.Duration) time.Duration {
	n := max(b.empties, b.errors)
	multiplier := time.Duration(1)
	for i := 1; i < n && multiplier < maxMultiplier; i++ {
		multiplier *= 2
	}
	return min(base*multiplier, max(base, ceiling))
}

// sleep spreads an interval by ±20 %, uniformly, and keeps a runner whose
// ceiling allows it within what the server calls online.
func sleep(interval, ceiling time.Duration) time.Duration {
	spread := 1 - jitter + 2*jitter*rand.Float64()
	d := time.Duration(float64(interval) * spread)
	if ceiling <= OfflineAfter {
		d = min(d, longestSleep)
	}
	return d
}

// MeanSleep is the mean of what an idle worker sleeps at the longest interval.
func MeanSleep(ceiling time.Duration) time.Duration {
	if ceiling > OfflineAfter {
		return ceiling
	}
	low, high := (1-jitter)*float64(ceiling), (1+jitter)*float64(ceiling)
	clip := min(float64(longestSleep), high)
	if low >= clip {
		return time.Duration(clip)
	}
	below := (clip - low) / (high - low) // the share that is not clipped
	return time.Duration(below*(low+clip)/2 + (1-below)*clip)
}
