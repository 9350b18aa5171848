package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/journal"
)

// ErrNotRunning says that no runner serves what the configuration names.
var ErrNotRunning = errors.New("no runner is running")

// Drain asks the runner that serves with this configuration on this machine to
// take no more tasks and to end when its last one is done. With wait, it returns
// when that process has ended, or ctx has. No runner there gives an error that
// wraps ErrNotRunning.
func Drain(ctx context.Context, cfg *config.Config, wait bool) error {
	if !cfg.Journal.Enabled {
		return errors.New("drain: without a journal (journal.enabled) the running process cannot be found: send it SIGUSR1")
	}
	dir := journalDir(cfg)
	pid, ok, err := journal.Owner(dir)
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if !ok {
		return fmt.Errorf("drain: %w with the journal %s; is it the right configuration file (-c), and the right folder?", ErrNotRunning, dir)
	}
	if err := askToDrain(pid); err != nil {
		return fmt.Errorf("drain: ask process %d: %w", pid, err)
	}
	for wait && alive(pid) {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("drain: process %d is told, and still runs: %w", pid, err)
		}
	}
	return nil
}
