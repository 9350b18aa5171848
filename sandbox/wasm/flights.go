package wasm

import (
	"context"
	"sync"
	"time"
)

// flights are pieces of work that several jobs wait for, each done once at a time.
// Work lives as long as one of those who wait for it, whoever came first. It is safe
// for concurrent use.
type flights struct {
	mu    sync.Mutex
	byKey map[string]*flight
}

// flight is one piece of work under way.
type flight struct {
	cancel  context.CancelFunc
	waiting int           // guarded by flights.mu
	done    chan struct{} // closed at its end
	err     error         // of work, valid then
}

// longWait is after what time one who waits for a flight is told.
const longWait = 5 * time.Second

// do does the work of a key, or waits for the one who does, and returns its error;
// the context's cause where that ends first. The context of work has the values of
// the first one's, and ends when nobody waits any more: the last to go waits for
// work to return. Where that takes longer than longWait, long is called once.
func (f *flights) do(ctx context.Context, key string, long func(), work func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.mu.Lock()
	one := f.byKey[key]
	if one == nil {
		one = f.start(ctx, key, work)
	}
	one.waiting++
	f.mu.Unlock()
	timer := time.NewTimer(longWait)
	defer timer.Stop()
	for waiting := true; waiting; {
		select {
		case <-one.done:
			return one.err
		case <-timer.C:
			long()
		case <-ctx.Done():
			waiting = false
		}
	}
	f.mu.Lock()
	one.waiting--
	last := one.waiting == 0
	if last {
		f.forget(key, one) // who comes now begins anew
	}
	f.mu.Unlock()
	if last {
		one.cancel()
		<-one.done
	}
	return context.Cause(ctx)
}

// start begins the work of a key. The lock is held.
func (f *flights) start(ctx context.Context, key string, work func(context.Context) error) *flight {
	one := &flight{done: make(chan struct{})}
	if f.byKey == nil {
		f.byKey = map[string]*flight{}
	}
	f.byKey[key] = one
	ctx, one.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(one.done)
		defer one.cancel()
		one.err = work(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.forget(key, one)
	}()
	return one
}

// forget ends that others join a flight. The lock is held.
func (f *flights) forget(key string, one *flight) {
	if f.byKey[key] == one {
		delete(f.byKey, key)
	}
}
