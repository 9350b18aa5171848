package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Workspaces may be folders of this machine, below Options.WorkdirParent. Their
// names begin with the runner's, so that a later run finds those that a dead one
// has left.

// bindPrefix begins the names of this runner's folders.
func (p *Provider) bindPrefix() string {
	if p.options.Runner == "" {
		return reserved
	}
	sum := sha256.Sum256([]byte(p.options.Runner))
	return reserved + hex.EncodeToString(sum[:4]) + "-"
}

// makeBind makes the folder of this machine that is a job's workRoot; "" where
// workspaces are volumes.
func (p *Provider) makeBind(job string) (string, error) {
	if !p.options.BindWorkdir {
		return "", nil
	}
	parent, err := filepath.Abs(p.options.WorkdirParent)
	if err != nil {
		return "", fmt.Errorf("container.workdir_parent: %w", err)
	}
	folder := filepath.Join(parent, p.bindPrefix()+job)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make the job's workspace: %w: container.workdir_parent must be a folder that the runner may write to", err)
	}
	return folder, nil
}

// removeBind removes a folder; "" is none. No container may use it any more. What
// the users of containers own, and a runner that is not root cannot remove, is
// removed from inside a container.
func (p *Provider) removeBind(ctx context.Context, folder string) error {
	if folder == "" {
		return nil
	}
	err := os.RemoveAll(folder)
	if errors.Is(err, os.ErrPermission) {
		if err := p.empty(ctx, folder); err != nil {
			return err
		}
		err = os.RemoveAll(folder)
	}
	if err != nil {
		return fmt.Errorf("remove the job's workspace: %w", err)
	}
	return nil
}

// Empty removes what lies in a folder of this machine, whoever it belongs to, by a
// container: what other containers' users have made there, a runner that is not
// root cannot remove. The engine is asked once whether it is there.
func (p *Provider) Empty(ctx context.Context, folder string) error {
	if err := p.Look(ctx); err != nil {
		return err
	}
	return p.empty(ctx, folder)
}

// sweepFolders removes the folders of jobs that are not on.
func (p *Provider) sweepFolders(ctx context.Context, s *sweeping) {
	if !p.options.BindWorkdir {
		return
	}
	entries, err := os.ReadDir(p.options.WorkdirParent)
	if err != nil {
		return // no job has made it yet
	}
	for _, e := range entries {
		job, ok := strings.CutPrefix(e.Name(), p.bindPrefix())
		if ok && !p.process.isActive(job) {
			s.remove("workspace", func() error { return p.removeBind(ctx, filepath.Join(p.options.WorkdirParent, e.Name())) })
		}
	}
}
