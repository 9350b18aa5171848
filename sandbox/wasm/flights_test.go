package wasm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestFlights has several wait for one piece of work, and go.
func TestFlights(t *testing.T) {
	cause := errors.New("this job was canceled")
	work := func(ctx context.Context) error {
		select {
		case <-time.After(time.Minute):
			return nil
		case <-ctx.Done():
			time.Sleep(time.Second) // its process ends
			return context.Cause(ctx)
		}
	}
	for _, c := range []struct {
		name  string
		leave []time.Duration // of each who waits; 0 is never
		want  []error
		took  time.Duration
		runs  int
		told  int64 // how often one is told that it takes long
	}{
		{"all stay", []time.Duration{0, 0, 0}, []error{nil, nil, nil}, time.Minute, 1, 3},
		{"the first goes", []time.Duration{time.Second, 0, 0}, []error{cause, nil, nil}, time.Minute, 1, 2},
		{"the last to come goes", []time.Duration{0, 0, time.Second}, []error{nil, nil, cause}, time.Minute, 1, 2},
		{"all go", []time.Duration{time.Second, 2 * time.Second}, []error{cause, cause}, 3 * time.Second, 1, 0},
		{"who comes too late", []time.Duration{-1}, []error{cause}, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var f flights
				began, runs := time.Now(), 0
				var told atomic.Int64
				got := make(chan int)
				errs := make([]error, len(c.leave))
				for i, after := range c.leave {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					if after < 0 {
						cancel(cause)
					} else if after > 0 {
						time.AfterFunc(after, func() { cancel(cause) })
					}
					go func() {
						errs[i] = f.do(ctx, "key", func() { told.Add(1) }, func(ctx context.Context) error { runs++; return work(ctx) })
						got <- i
					}()
					synctest.Wait()
				}
				for range c.leave {
					<-got
				}
				for i, err := range errs {
					if !errors.Is(err, c.want[i]) {
						t.Errorf("the %d. gets %v, want %v", i+1, err, c.want[i])
					}
				}
				if took := time.Since(began); took != c.took || runs != c.runs {
					t.Errorf("it took %v and ran %d times, want %v and %d", took, runs, c.took, c.runs)
				}
				if told.Load() != c.told {
					t.Errorf("%d times one was told that it takes long, want %d", told.Load(), c.told)
				}
				if len(f.byKey) != 0 {
					t.Errorf("%d flights are kept", len(f.byKey))
				}
			})
		})
	}
}

// TestFlightsAnew begins anew for one who comes while a canceled piece of work ends.
func TestFlightsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flights
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			gone <- f.do(ctx, "key", func() {}, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Minute)
				return ctx.Err()
			})
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if err := f.do(t.Context(), "key", func() {}, func(context.Context) error { return nil }); err != nil {
			t.Errorf("the one who came then: %v", err)
		}
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who went: %v", err)
		}
	})
}
