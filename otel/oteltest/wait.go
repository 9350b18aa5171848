package oteltest

import (
	"testing"
	"time"
)

// eventuallyTime is generous: what is waited for is another program on a machine
// that may be busy.
const eventuallyTime = 30 * time.Second

// Eventually waits until f returns nil, for something outside of this process that
// nothing tells of. It ends the test with f's last error after 30 s.
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	deadline := time.After(eventuallyTime)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, eventuallyTime, err)
		case <-tick.C:
		}
	}
}
