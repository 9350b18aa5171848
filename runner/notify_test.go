package runner

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/otel"
	"otelrunner/runner/poll"
)

// The watchdog is fed while the runner lives, and no more while it hangs, which is
// said once.
func TestWatchdogOfARunnerThatHangs(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "60000000")
	t.Setenv("WATCHDOG_PID", "")
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		fed := 0
		n := &notifier{log: slog.New(slog.NewTextHandler(&log, nil)), send: func(string) (bool, error) { fed++; return true, nil }}
		var hangs atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			n.watch(ctx, func() error {
				if hangs.Load() {
					return errors.New("the polling stands still")
				}
				return nil
			})
		}()
		want := func(feeds, errors int) {
			t.Helper()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if fed != feeds || strings.Count(log.String(), "level=ERROR") != errors {
				t.Errorf("fed %d times, want %d; the log:\n%s", fed, feeds, log.String())
			}
		}
		want(11, 0) // at once and every 30 s
		hangs.Store(true)
		want(11, 1)
		hangs.Store(false)
		want(21, 1)
		cancel()
		<-done
	})
}

// A runner whose polling stands still is taken for one that hangs.
func TestAliveWhilePollingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang, ended := make(chan struct{}), make(chan error, 1)
		var hangs atomic.Bool
		p := poll.New(poll.Options{Admit: func(context.Context) bool {
			if hangs.Load() {
				<-hang
			}
			return false
		}})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- p.Run(ctx) }()
		s := &service{readiness: otel.NewReadiness(time.Minute)}
		want := func(alive bool) {
			t.Helper()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if err := s.alive(p); (err == nil) != alive {
				t.Errorf("alive: %v", err)
			}
		}
		want(true)
		hangs.Store(true)
		want(false)
		hangs.Store(false)
		close(hang)
		want(true)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
