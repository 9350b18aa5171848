package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"otelrunner/sandbox"
)

// Bounds of what is copied into a workspace, and from which size on it is said.
const (
	maxCopyFiles = 200_000
	maxCopyBytes = 4 << 30
	sayCopyFiles = 20_000
	sayCopyBytes = 200 << 20
)

// copied begins the line that tells of a large copy; the terminal shows it.
const copied = "Copied "

// filling opens the sandboxes of another provider with a copy of a folder in
// their workspaces. It works where the workspace is a folder of this machine.
type filling struct {
	sandbox.Provider
	repo    *repository
	without []string // folders that are not copied
	limits  copyLimits
}

// copyLimits bound a copy.
type copyLimits struct {
	files int
	bytes int64
}

// newFilling copies the folder of a repository. The folders without are the
// runner's own, which may lie in it.
func newFilling(p sandbox.Provider, repo *repository, without []string) filling {
	return filling{p, repo, without, copyLimits{maxCopyFiles, maxCopyBytes}}
}

// Open opens and copies.
func (f filling) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	return openFilled(ctx, f.Provider, spec, f.put)
}

// openFilled opens a sandbox and has put fill its workspace.
func openFilled(ctx context.Context, p sandbox.Provider, spec sandbox.Spec, put func(context.Context, sandbox.Sandbox, string, func(string)) error) (sandbox.Sandbox, error) {
	s, err := p.Open(ctx, spec)
	if err != nil {
		return nil, err
	}
	if err := put(ctx, s, s.Info().Workspace, spec.Log); err != nil {
		_ = s.Close(context.WithoutCancel(ctx)) // the first error is the one to tell
		return nil, err
	}
	return s, nil
}

// put copies into a folder of the workspace.
func (f filling) put(ctx context.Context, s sandbox.Sandbox, dir string, log func(string)) error {
	var err error
	if !same(dir, s.Info().Workspace) { // nothing is left of what was there, as after a checkout
		err = errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755))
	}
	if err != nil {
		return fmt.Errorf("copy %s into the workspace: %w", f.repo.root, err)
	}
	return f.fill(ctx, s.Info().Workspace, dir, log)
}

func (f filling) fill(ctx context.Context, workspace, to string, log func(string)) error {
	began := time.Now()
	from := f.repo.root
	work := filepath.Dir(filepath.Dir(workspace)) // of all jobs: task folders, and workspaces in them
	if same(from, work) {
		return fmt.Errorf("copy %s into the workspace: it is the runner's own work folder; go to a project's folder, or name one by --workdir", from)
	}
	c := &copier{from: from, to: to, limits: f.limits, without: append([]string{work}, f.without...)}
	if f.repo.git != nil {
		c.ignore = newIgnore(f.repo)
	}
	err := c.list(ctx)
	if err == nil {
		err = c.copy(ctx)
	}
	if err == nil && f.repo.git != nil && same(from, f.repo.worktree) {
		err = copyGit(ctx, to, from)
	}
	var large *tooLargeError
	switch {
	case errors.As(err, &large):
		return fmt.Errorf("%s has %w; a job works on a copy of that folder, which is too large: --workdir FOLDER copies another one, --checkout begins with an empty workspace and runs the workflow's checkout steps", from, large)
	case err != nil:
		return fmt.Errorf("copy %s into the workspace: %w; --workdir FOLDER copies another folder, --checkout begins with an empty workspace", from, err)
	}
	if len(c.files) > sayCopyFiles || c.bytes > sayCopyBytes {
		log(fmt.Sprintf("%s%d files with %.1f MiB of %s into the workspace in %s.%s",
			copied, len(c.files), float64(c.bytes)/(1<<20), from, short(time.Since(began)), c.largest()))
	}
	return nil
}

// tooLargeError says that a folder is beyond the limits.
type tooLargeError struct{ what string }

func (e *tooLargeError) Error() string { return e.what }

// same reports whether two paths name one folder.
func same(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// largest names the part of the folder that most of the bytes are in, where it
// is most of them.
func (c *copier) largest() string {
	sums := map[string]int64{}
	top := ""
	for _, f := range c.files {
		first, _, _ := strings.Cut(f.path, string(filepath.Separator))
		sums[first] += f.size
		if sums[first] > sums[top] {
			top = first
		}
	}
	if sums[top]*2 < c.bytes {
		return ""
	}
	return fmt.Sprintf(" Most of it is %s; in a git repository, what .gitignore names is left out.", top)
}
