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

func TestEngineWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var away error
		asked, changed := 0, 0
		w := &engineWatch{
			ask:     func(ctx context.Context) error { asked++; return errors.Join(ctx.Err(), away) },
			changed: func() { changed++ }, log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		want := func(reason string, looks, changes int) {
			t.Helper()
			if got := w.reason(); got != reason || asked != looks || changed != changes {
				t.Errorf("reason %q after %d looks and %d changes, want %q, %d, %d", got, asked, changed, reason, looks, changes)
			}
		}
		want("", 0, 0)
		w.look(t.Context(), lookFresh)
		want("", 1, 0)
		away = errors.New("no socket")
		w.look(t.Context(), lookFresh)
		want("", 1, 0) // it was looked at just now
		time.Sleep(lookFresh)
		w.look(t.Context(), lookFresh)
		want("no socket", 2, 1)
		w.look(t.Context(), 0)
		want("no socket", 3, 1)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		away = nil
		w.look(ended, 0)
		want("no socket", 4, 1) // who was interrupted has learned nothing
		w.look(t.Context(), 0)
		want("", 5, 2)
		if n := strings.Count(log.String(), "level="); n != 2 {
			t.Errorf("the log:\n%s", log.String())
		}
	})
}
