package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// sweep ends what dead runners have left: a lock file that can be locked is a
// job whose runner is gone. It returns what resisted.
func (p *Provider) sweep(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(p.root, locksFolder))
	if err != nil {
		p.log.Warn("cannot look for the leftovers of dead runners", "error", err)
		return fmt.Errorf("look for the leftovers of dead runners: %w", err)
	}
	var errs []error
	for _, entry := range entries {
		id, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok || !validID(id) || ctx.Err() != nil {
			continue
		}
		err := p.sweepJob(ctx, id)
		switch {
		case errors.Is(err, errLocked), errors.Is(err, fs.ErrNotExist):
			// It runs, or another runner was faster.
		case err != nil:
			p.log.Warn("a job of a dead runner could not be cleaned up", "job", id, "error", err)
			errs = append(errs, fmt.Errorf("clean up job %s of a dead runner: %w", id, err))
		default:
			p.log.Info("cleaned up a job of a dead runner", "job", id)
		}
	}
	return errors.Join(errs...)
}

// Leftovers is what New could not remove of dead runners' jobs; nil: nothing is
// left.
func (p *Provider) Leftovers() error { return p.leftovers }

func (p *Provider) sweepJob(ctx context.Context, id string) error {
	l, err := lockFile(p.lockPath(id), false)
	if err != nil {
		return err
	}
	err = errors.Join(
		p.processes.sweep(ctx, l.read().Tree),
		p.removeFolder(ctx, filepath.Join(p.root, id)),
	)
	if err != nil {
		l.abandon()
		return err
	}
	return l.release()
}
