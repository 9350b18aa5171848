package simulate

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// ages collects how old rows were when they arrived.
type ages struct {
	mu  sync.Mutex
	all []time.Duration
}

func (a *ages) add(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, d)
}

func (a *ages) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = nil
}

func (a *ages) percentiles() (p50, p99, longest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(a.all)
	return percentile(a.all, .5), percentile(a.all, .99), percentile(a.all, 1)
}

// percentile is the value of sorted below which the share p lies; 0 of none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// memory is what live objects and stacks take, in bytes.
func memory() int64 {
	for range 3 { // pools give up what they hold at the second, finalizers theirs after
		runtime.GC()
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64() + sample[1].Value.Uint64())
}
