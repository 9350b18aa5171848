package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"otelrunner/sandbox"
)

// makeBind makes the folder of this machine that is a container's workRoot.
func (p *Provider) makeBind(name string) (string, error) {
	if !p.options.BindWorkdir {
		return "", nil
	}
	parent, err := filepath.Abs(p.options.WorkdirParent)
	if err != nil {
		return "", fmt.Errorf("container.workdir_parent: %w", err)
	}
	folder := filepath.Join(parent, name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make the job's workspace: %w: container.workdir_parent must be a folder that the runner may write to", err)
	}
	return folder, nil
}

// unbind has the container empty the folder: a runner that is not root cannot
// remove the files of the container's users.
func (p *Provider) unbind(ctx context.Context, r *running) {
	if os.Getuid() == 0 || r.stream == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	// Failures show when the folder is removed.
	_, _ = r.stream.Run(ctx, &sandbox.Command{Args: []string{helperDir + "/" + helperFile, "--version"},
		Remove: []string{workRoot + "/" + tempName, r.workspaceOwner}})
}

func removeBind(folder string) error {
	if err := os.RemoveAll(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the job's workspace: %w", err)
	}
	return nil
}
