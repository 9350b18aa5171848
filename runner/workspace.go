package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"otelrunner/sandbox"
)

// filling opens the sandboxes of another provider with a copy of a folder in
// their workspaces. It works where the workspace is a folder of this machine.
type filling struct {
	sandbox.Provider
	from string
}

// Open opens and copies.
func (f filling) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	s, err := f.Provider.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := copyTree(s.Info().Workspace, f.from); err != nil {
		_ = s.Close(context.WithoutCancel(ctx)) // the first error is the one to tell
		return nil, fmt.Errorf("copy %s into the workspace: %w; `--checkout` begins with an empty one", f.from, err)
	}
	return s, nil
}

func copyTree(to, from string) error {
	if rel, err := filepath.Rel(from, to); err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("the workspace %s lies inside it; set host.workdir_parent to a folder elsewhere", to)
	}
	return os.CopyFS(to, os.DirFS(from))
}
