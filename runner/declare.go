package runner

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"otelrunner/runner/gitea"
)

// declareTimeout ends one call of declare.
const declareTimeout = 30 * time.Second

// declarer tells the server which labels the runner serves, whenever that changes.
// The server gives a runner jobs of the labels that it was told last.
type declarer struct {
	client  *gitea.Client
	version string
	labels  func() []string // what is to be told, by its names
	pace    func() (first, longest time.Duration)
	log     *slog.Logger

	again chan struct{}            // holds one value: see changed
	told  atomic.Pointer[[]string] // what the server knows
}

func newDeclarer(client *gitea.Client, version string, labels func() []string, pace func() (first, longest time.Duration), log *slog.Logger) *declarer {
	return &declarer{client: client, version: version, labels: labels, pace: pace, log: log, again: make(chan struct{}, 1)}
}

// changed says that labels has changed; it returns at once.
func (d *declarer) changed() {
	select {
	case d.again <- struct{}{}:
	default:
	}
}

// knows reports whether the server has no label but those of names.
func (d *declarer) knows(names []string) bool {
	told := d.told.Load()
	return told != nil && !slices.ContainsFunc(*told, func(l string) bool { return !slices.Contains(names, l) })
}

// follow tells the server of changes until ctx ends, and calls done whenever the
// server knows what changed says.
func (d *declarer) follow(ctx context.Context, done func()) {
	for {
		select {
		case <-d.again:
		case <-ctx.Done():
			return
		}
		if slices.Equal(*d.told.Load(), d.labels()) {
			done()
			continue
		}
		if _, err := d.declare(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			d.log.Error("the server does not take the labels that this runner serves now, and gives it jobs of those before", "labels", d.labels(), "error", err)
			names := d.labels()
			d.told.Store(&names) // asking again is of no use
		}
		done()
	}
}

// declare tells the server the version and the labels, again and again while it
// is away: after the first wait, then twice as long each time up to the longest. It
// is called once before follow.
func (d *declarer) declare(ctx context.Context) (gitea.Capabilities, error) {
	wait, longest := d.pace()
	for ; ; wait = min(2*wait, longest) {
		names := slices.Clone(d.labels())
		caps, err := d.once(ctx, names)
		switch {
		case err == nil:
			d.told.Store(&names)
			if !slices.Equal(names, d.labels()) {
				d.changed()
			}
			return caps, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case gitea.IsUnauthenticated(err):
			return nil, &explained{"declare: " + gitea.Explain(err), ErrUnregistered}
		case !gitea.IsTemporary(err):
			return nil, &explained{"declare: " + gitea.Explain(err), err}
		}
		pause := max(wait, gitea.RetryAfter(err))
		d.log.Warn("the server cannot be reached", "error", gitea.Explain(err), "again_in", pause)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func (d *declarer) once(ctx context.Context, names []string) (gitea.Capabilities, error) {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	return d.client.Declare(ctx, d.version, names)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("given up: %w", context.Cause(ctx))
	}
}
