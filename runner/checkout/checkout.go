// Package checkout brings a repository into a sandbox where no program can do it:
// what actions/checkout does, for jobs without Node.js and git. The runner fetches
// the commits and writes the files one by one through the sandbox's own file system;
// nothing of the repository runs, and nothing of it names a file of this machine.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"otelrunner/runner/action"
	"otelrunner/sandbox"
)

// Cloner fetches commits; *action.Fetcher is one.
type Cloner interface {
	Clone(ctx context.Context, o action.CloneOptions) (*action.Clone, error)
}

// Submodules says which of them are checked out as well.
type Submodules int

// The values of the input submodules: false, true and recursive.
const (
	NoSubmodules Submodules = iota
	DirectSubmodules
	AllSubmodules
)

// Options describe one checkout.
type Options struct {
	Cloner Cloner
	Files  sandbox.Files
	// Workspace is a folder of the sandbox that is there; Path is the target
	// below it, with forward slashes, "" for the workspace itself.
	Workspace, Path string

	// Clone says what is fetched. Its Dir is not used.
	Clone      action.CloneOptions
	Submodules Submodules
	// Clean removes what is in the target and not in the repository. What is in
	// a target that is no repository is removed in any case.
	Clean bool
	// Persist leaves the token in the target's .git/config, for what speaks to
	// the server later in the job.
	Persist bool

	// MaxEntries bounds the files and folders, those of submodules included; 0
	// is 500,000.
	MaxEntries int

	// Log takes lines for the job's log; nil is silence.
	Log func(line string)
}

// Result is what was checked out.
type Result struct {
	Commit string
	Ref    string // the full name; "" of a commit by itself
}

// Run checks a repository out. Its errors are sentences for the job's log.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.Log == nil {
		o.Log = func(string) {}
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = 500_000
	}
	dir, err := target(o.Workspace, o.Path)
	if err != nil {
		return Result{}, err
	}
	c := &checkout{Options: o, ctx: ctx}
	if err := c.folders(dir); err != nil {
		return Result{}, err
	}
	return c.repository(o.Clone, dir, 0)
}

// target is the folder that a checkout goes to.
func target(workspace, text string) (string, error) {
	clean := path.Clean(strings.ReplaceAll(text, `\`, "/"))
	if path.IsAbs(clean) {
		rest, ok := strings.CutPrefix(clean+"/", strings.TrimSuffix(workspace, "/")+"/")
		if !ok {
			return "", fmt.Errorf("the path %q is not below the workspace %s, which is where a repository can be checked out to", text, workspace)
		}
		clean = path.Clean(rest)
	}
	if text == "" || clean == "." {
		return workspace, nil
	}
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("the path %q is not below the workspace %s, which is where a repository can be checked out to", text, workspace)
	}
	for part := range strings.SplitSeq(clean, "/") {
		if err := checkName(part); err != nil {
			return "", fmt.Errorf("the path %q has the part %q, %w", text, part, err)
		}
	}
	return path.Join(workspace, clean), nil
}

// checkout is one call of Run.
type checkout struct {
	Options
	ctx     context.Context //nolint:containedctx // of one call
	entries int
	bytes   int64
}

// folders makes the target's folder, each part a real one.
func (c *checkout) folders(dir string) error {
	at := c.Workspace
	rest := strings.Trim(strings.TrimPrefix(dir, c.Workspace), "/")
	for part := range strings.SplitSeq(rest, "/") {
		if part == "" {
			continue
		}
		at = path.Join(at, part)
		if err := c.folder(at); err != nil {
			return err
		}
	}
	return nil
}

// folder makes a folder, in the place of whatever else is there.
func (c *checkout) folder(name string) error {
	mode, err := c.Files.Lstat(name)
	switch {
	case err == nil && mode.IsDir():
		return nil
	case err == nil:
		if err := c.Files.RemoveAll(name); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return c.Files.Mkdir(name)
}

// maxDepth is how deep submodules may nest.
const maxDepth = 10

// repository checks one repository out to a folder that is there.
func (c *checkout) repository(o action.CloneOptions, dir string, depth int) (res Result, err error) {
	if depth > maxDepth {
		return res, fmt.Errorf("submodules nest deeper than %d levels at %s; do they hold each other in a circle?", maxDepth, dir)
	}
	began := time.Now()
	scratch, err := os.MkdirTemp("", "otelrunner-checkout-")
	if err != nil {
		return res, fmt.Errorf("check out %s: %w", o.URL, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	o.Dir = scratch
	clone, err := c.Cloner.Clone(c.ctx, o)
	if err != nil {
		return res, fmt.Errorf("check out %s: %w", o.URL, err)
	}
	if err := c.clear(dir); err != nil {
		return res, fmt.Errorf("empty the folder for %s: %w", o.URL, err)
	}
	t := &tree{checkout: c, clone: clone}
	if err := t.write(dir); err != nil {
		return res, fmt.Errorf("check out %s at %s: %w", o.URL, clone.Commit.Hash, err)
	}
	if err := c.gitFolder(t, o, dir); err != nil {
		return res, fmt.Errorf("write the folder .git of %s: %w", o.URL, err)
	}
	res = Result{Commit: clone.Commit.Hash.String(), Ref: clone.Ref}
	subject, _, _ := strings.Cut(strings.TrimSpace(clone.Commit.Message), "\n")
	c.Log(fmt.Sprintf("%s → %s (%s): %d files, %.1f MiB, %d ms", o.URL, res.Commit, subject, len(t.files), float64(t.bytes)/(1<<20), time.Since(began).Milliseconds()))
	for _, note := range t.notes() {
		c.Log(note)
	}
	return res, c.submodules(t, o, dir, depth)
}

// clear empties a folder: of all, or of what is in the way of the first checkout.
func (c *checkout) clear(dir string) error {
	_, err := c.Files.Lstat(path.Join(dir, ".git"))
	if err == nil && !c.Clean {
		return c.Files.RemoveAll(path.Join(dir, ".git"))
	}
	names, err := c.Files.ReadDir(dir)
	for _, name := range names {
		if err := c.Files.RemoveAll(path.Join(dir, name)); err != nil {
			return err
		}
	}
	return err
}

// objects is the folder of this machine that a clone's storage is in.
func objects(c *action.Clone) string { return filepath.Clean(c.Storage.Filesystem().Root()) }
