package poll_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/poll"
	"otelrunner/runner/task"
)

var (
	errServer       = errors.New("503")
	errUnregistered = errors.New("unregistered runner")
)

// server answers fetches by its script and notes when each one came.
type server struct {
	mu     sync.Mutex
	start  time.Time
	calls  []call
	answer func(n int, version int64) (*task.Task, int64, error)
	delay  time.Duration
}

type call struct {
	at      time.Duration
	version int64
}

func newServer(answer func(n int, version int64) (*task.Task, int64, error)) *server {
	return &server{start: time.Now(), answer: answer}
}

func (s *server) FetchTask(ctx context.Context, version int64) (*task.Task, int64, error) {
	s.mu.Lock()
	n := len(s.calls)
	s.calls = append(s.calls, call{time.Since(s.start), version})
	s.mu.Unlock()
	if s.delay > 0 {
		select {
		case <-time.After(s.delay):
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	return s.answer(n, version)
}

func (s *server) seen() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func empty(int, int64) (*task.Task, int64, error) { return nil, 1, nil }

// meter keeps what it is told.
type meter struct {
	mu        sync.Mutex
	results   map[poll.Result]int
	intervals []time.Duration
}

func (m *meter) Fetched(r poll.Result, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.results == nil {
		m.results = map[poll.Result]int{}
	}
	m.results[r]++
}

func (m *meter) backoffs() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.intervals)
}

func (m *meter) Backoff(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.intervals = append(m.intervals, d)
}

// start runs a poller until the test calls stop, which waits for it.
func start(t *testing.T, o poll.Options) (stop func() error) {
	t.Helper()
	if o.Handler == nil {
		o.Handler = func(*task.Task) {}
	}
	o.Unregistered = func(err error) bool { return errors.Is(err, errUnregistered) }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- poll.New(o).Run(ctx) }()
	return func() error { cancel(); return <-done }
}

func TestIdleRunnerCostsTheSameWhateverItsCapacity(t *testing.T) {
	for _, capacity := range []int{1, 3, 50} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(empty)
			stop := start(t, poll.Options{Fetcher: s, Capacity: capacity})
			time.Sleep(time.Minute)
			if n := len(s.seen()); n < 4 || n > 6 {
				t.Errorf("capacity %d: %d fetches in the first minute, want 4 to 6", capacity, n)
			}
			time.Sleep(time.Hour)
			calls := s.seen()
			for i := 1; i < len(calls); i++ {
				if gap := calls[i].at - calls[i-1].at; gap > 56*time.Second {
					t.Fatalf("capacity %d: silent for %v: the server calls the runner offline", capacity, gap)
				}
			}
			if n := len(calls); n > 6+3600/48 {
				t.Errorf("capacity %d: %d fetches in 61 minutes", capacity, n)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestErrorsCountAsErrorsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// empty, empty, error, error, error, empty
		script := []error{nil, nil, errServer, errServer, errServer, nil}
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
			if n < len(script) {
				return nil, 1, script[n]
			}
			return nil, 1, nil
		})
		m := &meter{}
		stop := start(t, poll.Options{Fetcher: s, Meter: m})
		time.Sleep(40 * time.Second)
		_ = stop()
		// counts: 1/0 2/0 2/1 2/2 2/3 3/0
		want := []time.Duration{2, 4, 4, 4, 8, 8}
		if len(m.intervals) < len(want) {
			t.Fatalf("intervals = %v", m.intervals)
		}
		for i, w := range want {
			if m.intervals[i] != w*time.Second {
				t.Fatalf("intervals = %v, want %v seconds first", m.intervals, want)
			}
		}
		if m.results[poll.Failed] != 3 {
			t.Errorf("results = %v, want 3 errors", m.results)
		}
	})
}

func TestEmptyAnswerEndsTheErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := []error{errServer, errServer, errServer, nil, errServer}
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
			if n < len(script) {
				return nil, 1, script[n]
			}
			return nil, 1, nil
		})
		m := &meter{}
		stop := start(t, poll.Options{Fetcher: s, Meter: m})
		time.Sleep(30 * time.Second)
		_ = stop()
		// counts: 0/1 0/2 0/3 1/0 1/1 2/0
		want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 2 * time.Second, 2 * time.Second, 4 * time.Second}
		if got := m.backoffs(); len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Fatalf("intervals = %v, want %v first", got, want)
		}
	})
}

// While one worker runs a task, the other one polls with counters of its own;
// when the task ends, its worker starts anew, at once.
func TestWorkersDoNotInfluenceOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
			if n == 3 { // after three empty answers
				return &task.Task{ID: 1}, 1, nil
			}
			return nil, 1, nil
		})
		m := &meter{}
		finish := make(chan struct{})
		stop := start(t, poll.Options{
			Fetcher: s, Capacity: 2, Meter: m,
			Handler: func(*task.Task) { <-finish },
		})
		time.Sleep(200 * time.Second)
		before := s.seen()
		// 2, 4, 8, then a task: the next worker starts with 2 again.
		want := []time.Duration{2, 4, 8, 2, 4, 8, 16, 32, 60}
		for i, w := range want {
			if got := m.backoffs(); i >= len(got) || got[i] != w*time.Second {
				t.Fatalf("intervals = %v, want %v seconds first", got, want)
			}
		}
		if gap := before[4].at - before[3].at; gap != 0 {
			t.Errorf("the next idle worker fetched %v after the task was taken, want at once", gap)
		}

		n := len(m.backoffs())
		ended := time.Since(s.start)
		close(finish)
		synctest.Wait()
		calls := s.seen()
		if last := calls[len(calls)-1].at; last != ended {
			t.Errorf("the worker whose task ended fetched at %v, want at once (%v)", last, ended)
		}
		if got := m.backoffs()[n]; got != 2*time.Second {
			t.Errorf("its first interval was %v, want 2s: its counters are its own", got)
		}
		// and still only one worker polls
		time.Sleep(time.Minute)
		if got := len(s.seen()) - len(calls); got > 5 {
			t.Errorf("%d fetches in the minute after the task", got)
		}
		_ = stop()
	})
}

func TestVersionOfTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(n int, v int64) (*task.Task, int64, error) {
			switch n {
			case 0:
				return nil, 7, nil
			case 1:
				return nil, 5, nil // an older one is not gone back to
			case 2:
				return &task.Task{ID: 1}, 9, nil
			}
			return nil, 9, nil
		})
		stop := start(t, poll.Options{Fetcher: s})
		time.Sleep(20 * time.Second)
		_ = stop()
		want := []int64{0, 7, 7, 0, 9}
		for i, c := range s.seen() {
			if i < len(want) && c.version != want[i] {
				t.Fatalf("versions sent: %v, want %v first", s.seen(), want)
			}
		}
	})
}

func TestOwnDeadlineIsAnEmptyAnswer(t *testing.T) {
	errDeadline := errors.New("deadline_exceeded, says the server")
	for name, c := range map[string]struct {
		delay time.Duration
		err   error
	}{
		"noticed here":          {time.Hour, nil},
		"noticed by the server": {10*time.Second - time.Millisecond, errDeadline},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
					if n == 0 {
						return nil, 0, errServer // counts until an answer comes, of which this deadline is one
					}
					return nil, 0, c.err
				})
				s.delay = c.delay
				m := &meter{}
				stop := start(t, poll.Options{
					Fetcher: s, Meter: m, FetchTimeout: 10 * time.Second,
					Deadline: func(err error) bool { return errors.Is(err, errDeadline) },
				})
				time.Sleep(45 * time.Second)
				_ = stop()
				if m.results[poll.TimedUp] < 2 || m.results[poll.Empty] != 0 {
					t.Errorf("results = %v, want timeouts", m.results)
				}
				wantFailed := 0
				if c.err != nil {
					wantFailed = 1
				}
				if m.results[poll.Failed] != wantFailed {
					t.Errorf("results = %v, want %d errors", m.results, wantFailed)
				}
				// An empty answer each: 1/0, 2/0 … after the error's 0/1.
				want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second}
				if wantFailed == 1 {
					want = []time.Duration{2 * time.Second, 2 * time.Second, 4 * time.Second}
				}
				if got := m.backoffs(); len(got) < 3 || !slices.Equal(got[:3], want) {
					t.Errorf("intervals = %v, want %v first", got, want)
				}
			})
		})
	}
}

// A worker that gave way to one that came from a task starts anew when its turn
// comes again.
func TestAWorkerThatGaveWayStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
			switch n {
			case 0, 6: // the second one goes to the worker that came back
				return &task.Task{ID: int64(n)}, 1, nil
			}
			return nil, 1, nil
		})
		m := &meter{}
		stop := start(t, poll.Options{
			Fetcher: s, Capacity: 2, Meter: m,
			Handler: func(t *task.Task) {
				if t.ID == 0 {
					<-first
				} else {
					time.Sleep(time.Hour)
				}
			},
		})
		// The other worker waits for 2, 4, 8 and 16 seconds (±20 %), and gives
		// way while it sleeps for the fifth time.
		time.Sleep(37 * time.Second)
		if n := len(s.seen()); n != 6 {
			t.Fatalf("%d fetches so far, want 6", n)
		}
		before := len(m.backoffs())
		close(first)
		time.Sleep(5 * time.Second)
		_ = stop()
		after := m.backoffs()[before:]
		if len(after) == 0 || after[0] != 2*time.Second {
			t.Errorf("the intervals after it had given way: %v, want 2s first", after)
		}
	})
}

func TestFetchInFlightIsAwaitedAndItsTaskRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(int, int64) (*task.Task, int64, error) { return &task.Task{ID: 4}, 1, nil })
		s.delay = 5 * time.Second
		var ran []int64
		stop := start(t, poll.Options{Fetcher: s, Handler: func(t *task.Task) { ran = append(ran, t.ID) }})
		time.Sleep(time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(ran) != 1 || ran[0] != 4 {
			t.Errorf("tasks run: %v, want the one in flight", ran)
		}
		if n := len(s.seen()); n != 1 {
			t.Errorf("%d fetches, want no new one after the stop", n)
		}
	})
}

// An operator who asks again does not wait for a server that hangs.
func TestFetchInFlightIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(int, int64) (*task.Task, int64, error) { return nil, 1, nil })
		s.delay = 50 * time.Second
		giveUp, cancel := context.WithCancel(t.Context())
		stop := start(t, poll.Options{Fetcher: s, Handler: func(*task.Task) {}, GiveUp: giveUp})
		time.Sleep(time.Second)
		time.AfterFunc(2*time.Second, cancel)
		began := time.Now()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("the stop took %s, want until it was given up after 2s", took)
		}
	})
}

func TestUnregisteredRunnerFinishesItsJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
			if n == 0 {
				return &task.Task{ID: 1}, 1, nil
			}
			return nil, 0, errUnregistered
		})
		finished := false
		o := poll.Options{
			Fetcher: s, Capacity: 3,
			Handler:      func(*task.Task) { time.Sleep(time.Minute); finished = true },
			Unregistered: func(err error) bool { return errors.Is(err, errUnregistered) },
		}
		err := poll.New(o).Run(context.Background())
		if !errors.Is(err, poll.ErrUnregistered) {
			t.Errorf("Run = %v, want ErrUnregistered", err)
		}
		if !finished {
			t.Error("Run returned before its task had ended")
		}
		if n := len(s.seen()); n != 2 {
			t.Errorf("%d fetches, want 2: no hammering", n)
		}
	})
}

func TestPanicLeavesTheWorkerAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) { return &task.Task{ID: int64(n)}, 1, nil })
		ran := make(chan int64)
		stop := start(t, poll.Options{Fetcher: s, Handler: func(t *task.Task) {
			ran <- t.ID
			panic("boom")
		}})
		for want := range int64(3) {
			if got := <-ran; got != want {
				t.Fatalf("task %d, want %d", got, want)
			}
		}
		go func() {
			for range ran {
			}
		}()
		_ = stop()
		close(ran)
	})
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) {
			if n < 3 {
				return nil, 1, nil
			}
			return &task.Task{ID: int64(n)}, 1, nil
		})
		ran := 0
		o := poll.Options{Fetcher: s, Capacity: 4, Once: true, Handler: func(*task.Task) { ran++ }}
		if err := poll.New(o).Run(context.Background()); err != nil {
			t.Error(err)
		}
		if ran != 1 || len(s.seen()) != 4 {
			t.Errorf("%d tasks run in %d fetches, want 1 in 4", ran, len(s.seen()))
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(func(n int, _ int64) (*task.Task, int64, error) { return nil, 0, errServer })
		stop := start(t, poll.Options{Fetcher: s, RetryAfter: func(error) time.Duration { return 30 * time.Second }})
		time.Sleep(29 * time.Second)
		if n := len(s.seen()); n != 1 {
			t.Errorf("%d fetches within the time that the server asked for", n)
		}
		_ = stop()
	})
}
