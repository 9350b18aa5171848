package poll_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/poll"
	"otelrunner/runner/task"
)

// A value on Wake makes an idle runner fetch at once, and once more soon after if
// there was nothing; the long wait stays what it was.
func TestWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		s := newServer(empty)
		stop := start(t, poll.Options{Fetcher: s, Capacity: 3, Wake: wake})
		time.Sleep(10*time.Minute + 100*time.Millisecond)
		before := len(s.seen())
		at := time.Since(s.start)
		wake <- struct{}{}
		synctest.Wait()
		calls := s.seen()
		if len(calls) != before+1 || calls[before].at != at || calls[before].version != 0 {
			t.Fatalf("after the wake-up at %v: %+v", at, calls[before:])
		}
		time.Sleep(10 * time.Minute)
		calls = s.seen()[before:]
		if gap := calls[1].at - calls[0].at; gap > 3*time.Second {
			t.Errorf("asked again after %v", gap)
		}
		if gap := calls[2].at - calls[1].at; gap < 40*time.Second {
			t.Errorf("the backoff began anew: %v", gap)
		}
		if n := len(calls); n > 2+600/48 {
			t.Errorf("%d fetches in ten minutes", n)
		}
		_ = stop()
	})
}

// While nobody is idle, a wake-up is kept for the first who is.
func TestWakeWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wake := make(chan struct{}, 1)
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
			if n == 0 {
				return &task.Task{ID: 1}, 1, nil
			}
			return nil, 1, nil
		})
		finish := make(chan struct{})
		stop := start(t, poll.Options{Fetcher: s, Wake: wake, Handler: func(*task.Task) { <-finish }})
		time.Sleep(time.Minute)
		wake <- struct{}{}
		time.Sleep(time.Minute)
		close(finish)
		synctest.Wait()
		if n := len(s.seen()); n != 3 {
			t.Errorf("%d fetches, want one after the task and one for the wake-up", n)
		}
		_ = stop()
	})
}

func TestNothingIsFetchedUnlessAdmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var well atomic.Bool
		s := newServer(empty)
		stop := start(t, poll.Options{Fetcher: s, Capacity: 2, Admit: func(context.Context) bool { return well.Load() }})
		time.Sleep(5 * time.Minute)
		synctest.Wait() // it has been asked at this moment, too
		if n := len(s.seen()); n > 0 {
			t.Fatalf("%d fetches", n)
		}
		well.Store(true)
		time.Sleep(poll.AdmitAgain)
		synctest.Wait()
		if n := len(s.seen()); n != 1 {
			t.Errorf("%d fetches", n)
		}
		well.Store(false)
		time.Sleep(5 * time.Minute)
		if n := len(s.seen()); n != 1 {
			t.Errorf("%d fetches", n)
		}
		_ = stop()
	})
}

// The capacity changes while tasks run, which go on; it is never exceeded by new
// ones.
func TestSetCapacity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var id, running, most atomic.Int64
		s := newServer(func(int, int64) (*task.Task, int64, error) { return &task.Task{ID: id.Add(1)}, 1, nil })
		finish := make(chan struct{})
		p := poll.New(poll.Options{Fetcher: s, Capacity: 2, Handler: func(*task.Task) {
			most.Store(max(most.Load(), running.Add(1)))
			<-finish
			running.Add(-1)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		want := func(n int64) {
			t.Helper()
			synctest.Wait()
			if got := running.Load(); got != n {
				t.Fatalf("%d tasks run, want %d", got, n)
			}
		}
		want(2)
		p.Set(5, 0, 0)
		want(5)
		p.Set(1, 0, 0)
		want(5) // nothing is taken away
		finish <- struct{}{}
		want(4)
		p.Set(3, 0, 0)
		finish <- struct{}{}
		want(3)
		finish <- struct{}{}
		want(3) // its place is taken
		p.Set(1, 0, 0)
		for range 2 {
			finish <- struct{}{}
		}
		want(1)
		finish <- struct{}{}
		want(1)
		if most.Load() != 5 {
			t.Errorf("%d tasks ran at a time", most.Load())
		}
		cancel()
		finish <- struct{}{}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestSetIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(empty)
		p := poll.New(poll.Options{Fetcher: s, Capacity: 4})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(10 * time.Minute)
		p.Set(0, time.Second, 5*time.Second)
		time.Sleep(time.Minute) // the sleep that has begun
		before := len(s.seen())
		time.Sleep(time.Minute)
		if n := len(s.seen()) - before; n < 9 || n > 16 {
			t.Errorf("%d fetches in a minute, want one in 5 s", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// After Again the server is asked at once, and to look whatever its list's version
// is; a worker that is not admitted is asked again at once, too.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Bool
		s := newServer(empty)
		p := poll.New(poll.Options{Fetcher: s, Capacity: 2, Handler: func(*task.Task) {}, Admit: func(context.Context) bool { return !closed.Load() }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(10*time.Minute + 100*time.Millisecond)
		for name, change := range map[string]func(){
			"while it sleeps": func() {},
			"while it is not admitted": func() {
				closed.Store(true)
				time.Sleep(2*time.Minute + time.Millisecond)
				closed.Store(false)
			},
		} {
			change()
			before, at := len(s.seen()), time.Since(s.start)
			p.Again()
			synctest.Wait()
			if calls := s.seen(); len(calls) != before+1 || calls[before].at != at || calls[before].version != 0 {
				t.Errorf("%s, at %v: %+v", name, at, calls[before:])
			}
			time.Sleep(10*time.Minute + 100*time.Millisecond)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
