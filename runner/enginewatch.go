package runner

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// How often the container engine is looked at: before work is asked for, unless that
// was done within lookFresh; when a job could not be begun on it; every lookAway while
// it is away.
const (
	lookFresh = time.Second
	lookAway  = 3 * time.Second
)

// engineWatch knows whether the container engine answers. It is safe for concurrent
// use.
type engineWatch struct {
	ask     func(ctx context.Context) error
	changed func() // is told when the engine goes away and when it is back
	log     *slog.Logger

	mu    sync.Mutex // one asks at a time
	asked time.Time
	away  atomic.Pointer[string] // why it cannot be used; nil: it can, as far as is known
}

// reason says why the engine cannot be used, by the last look; "" that it can.
func (w *engineWatch) reason() string {
	if r := w.away.Load(); r != nil {
		return *r
	}
	return ""
}

// look asks the engine, unless that was done within fresh, and returns reason. It
// takes as long as ask.
func (w *engineWatch) look(ctx context.Context, fresh time.Duration) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.asked.IsZero() && time.Since(w.asked) < fresh {
		return w.reason()
	}
	err := w.ask(ctx)
	if err != nil && ctx.Err() != nil {
		return w.reason() // nothing was learned
	}
	w.asked = time.Now()
	was := w.reason()
	if err == nil {
		w.away.Store(nil)
	} else {
		text := err.Error()
		w.away.Store(&text)
	}
	switch {
	case was == "" && err != nil:
		w.log.Warn("the container engine is away: jobs of docker:// labels are not taken until it is back", "error", err)
	case was != "" && err == nil:
		w.log.Info("the container engine is back")
	default:
		return w.reason()
	}
	w.changed()
	return w.reason()
}
