package worker

import (
	"slices"
	"sync"
	"time"

	"otelrunner/sandbox/wasm/wire"
)

// tellEvery is how often the runner is told what a step has used: a worker that is
// killed tells nothing more.
const tellEvery = 100 * time.Millisecond

// tell tells the runner, as far as there is news, until stop is called, which waits
// for the last word to be out.
func (r *run) tell() (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		var told wire.Progress
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			now := wire.Progress{PeakMemory: r.memory.peak.Load(), Written: r.w.quota.Written(), Denied: r.w.quota.Denied()}
			if now.PeakMemory == told.PeakMemory && now.Written == told.Written && slices.Equal(now.Denied, told.Denied) {
				continue
			}
			if r.w.conn.SendJSON(wire.Tells, now) != nil {
				return // the runner is gone, and this process ends
			}
			told = now
		}
	})
	return func() { close(done); wg.Wait() }
}
