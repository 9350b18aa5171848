package runner

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
		var hangs error
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); n.watch(ctx, func() error { return hangs }) }()
		want := func(feeds, errors int) {
			t.Helper()
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if fed != feeds || strings.Count(log.String(), "level=ERROR") != errors {
				t.Errorf("fed %d times, want %d; the log:\n%s", fed, feeds, log.String())
			}
		}
		want(11, 0) // at once and every 30 s
		hangs = errors.New("the polling stands still")
		want(11, 1)
		hangs = nil
		want(21, 1)
		cancel()
		<-done
	})
}
