package runner

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"otelrunner/runner/gitea"
)

// declareTimeout ends one call of declare.
const declareTimeout = 30 * time.Second

// declare tells the server the version and the labels, again and again while it
// is away: after base, then twice as long each time up to longest.
func declare(ctx context.Context, client *gitea.Client, version string, labels []string, base, longest time.Duration, log *slog.Logger) (gitea.Capabilities, error) {
	for wait := base; ; wait = min(2*wait, longest) {
		caps, err := declareOnce(ctx, client, version, labels)
		switch {
		case err == nil:
			return caps, nil
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case gitea.IsUnauthenticated(err):
			return nil, &explained{"declare: " + gitea.Explain(err), ErrUnregistered}
		case !gitea.IsTemporary(err):
			return nil, &explained{"declare: " + gitea.Explain(err), err}
		}
		pause := max(wait, gitea.RetryAfter(err))
		log.Warn("the server cannot be reached", "error", gitea.Explain(err), "again_in", pause)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

func declareOnce(ctx context.Context, client *gitea.Client, version string, labels []string) (gitea.Capabilities, error) {
	ctx, cancel := context.WithTimeout(ctx, declareTimeout)
	defer cancel()
	return client.Declare(ctx, version, labels)
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
