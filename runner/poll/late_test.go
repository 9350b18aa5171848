package poll_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/poll"
	"otelrunner/runner/task"
)

// A poller that does what it should is never late, idle, refused or busy; one whose
// fetch hangs beyond its timeout, or that is never admitted nor refused, is.
func TestLate(t *testing.T) {
	hang := make(chan struct{})
	for name, c := range map[string]struct {
		answer func(n int, version int64) (*task.Task, int64, error)
		admit  func(context.Context) bool
		late   time.Duration // after an hour
	}{
		"idle":               {empty, nil, 0},
		"a broken one":       {func(int, int64) (*task.Task, int64, error) { return nil, 0, errServer }, nil, 0},
		"not admitted":       {empty, func(context.Context) bool { return false }, 0},
		"busy":               {func(int, int64) (*task.Task, int64, error) { return &task.Task{ID: 1}, 1, nil }, nil, 0},
		"a fetch that hangs": {func(int, int64) (*task.Task, int64, error) { <-hang; return nil, 1, nil }, nil, time.Hour - time.Minute},
		"a gate that hangs":  {empty, func(context.Context) bool { <-hang; return true }, time.Hour - 5*time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hang = make(chan struct{})
				finish := make(chan struct{})
				p := poll.New(poll.Options{
					Fetcher: newServer(c.answer), Capacity: 2, Admit: c.admit, AdmitTime: func() time.Duration { return 5 * time.Minute },
					Handler: func(*task.Task) { <-finish },
				})
				if p.Late() != 0 {
					t.Error("late before it has begun")
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- p.Run(ctx) }()
				for range 3600 {
					time.Sleep(time.Second)
					synctest.Wait()
					if c.late == 0 && p.Late() > 0 {
						t.Fatalf("late by %v", p.Late())
					}
				}
				if p.Late() != c.late {
					t.Errorf("late by %v, want %v", p.Late(), c.late)
				}
				cancel()
				close(hang)
				close(finish)
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
