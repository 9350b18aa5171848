// Package host runs steps as processes of this machine, in a folder of the
// job's own. It isolates nothing: a step can do what the runner's user can do.
// What it guarantees is order (every job starts from an empty folder and a small
// environment) and an end: when a job closes, its folder and every process that
// it started are gone.
//
// # Processes
//
// A command gets a session of its own. On Linux it also gets a control group,
// when the runner may make one (it runs as root, or in a delegated group such as
// a systemd unit with Delegate=yes), a mark that is inherited by whatever it
// starts (see mark_linux.go), and a runner that adopts its orphans. The control
// group ends processes atomically; the mark, the sessions and the ancestry find
// those that have left it, and do the whole work where there is no group.
// On macOS the tracking variable, the process groups and the ancestry are used,
// on Windows job objects.
//
// A command that ends by itself leaves its background processes running, as on
// GitHub; they end with the job. A command that is cancelled takes its whole
// tree with it: SIGTERM (on Windows CTRL_BREAK) to every process of the tree,
// then, after Command.Grace, SIGKILL. GitHub sends SIGINT first; SIGTERM is sent
// here because shells ignore SIGINT in background processes.
package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"otelrunner/otel/observe"
	"otelrunner/sandbox"
)

// Options configure a Provider.
type Options struct {
	// Root is the folder that holds the jobs' folders; it is made when it is
	// not there. Default: "act" in the user's cache folder.
	Root string

	// ToolCache is RUNNER_TOOL_CACHE, which outlives jobs. Default:
	// "tool_cache" in Root.
	ToolCache string

	// Environ is the environment of which steps get the small part that
	// environ.go lists, as KEY=value; nil is this process's.
	Environ []string

	// NoControlGroup leaves control groups alone even where one could be
	// made.
	NoControlGroup bool

	// Empty, if any, removes what lies in a folder and belongs to other users, as
	// files do that a container's root has made. It is asked where the removal of
	// a job's folder is not permitted, also by New, and may do nothing.
	Empty func(ctx context.Context, folder string) error

	// Log takes what an operator should know and no job's log can show: what
	// was swept away at the start. nil discards it.
	Log *slog.Logger
}

// Provider opens host sandboxes. It is safe for concurrent use. Several
// providers, also of several processes, may share a Root.
type Provider struct {
	root      string
	toolCache string
	home      string
	name      string
	base      environment
	log       *slog.Logger
	processes *processes
	empty     func(ctx context.Context, folder string) error // nil: nobody does
	leftovers error                                          // of dead runners
}

var _ sandbox.Provider = (*Provider)(nil)

// New makes the root folder and removes what dead runners have left in it:
// their jobs' processes and folders. What a living runner has there stays. A
// leftover that resists is logged and left for the next start.
func New(ctx context.Context, o Options) (*Provider, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	root, err := makeRoot(o.Root)
	if err != nil {
		return nil, err
	}
	if o.ToolCache == "" {
		o.ToolCache = filepath.Join(root, "tool_cache")
	}
	if err := os.MkdirAll(o.ToolCache, 0o755); err != nil {
		return nil, diskError("make the tool cache", o.ToolCache, err)
	}
	environ := o.Environ
	if environ == nil {
		environ = os.Environ()
	}
	name, err := os.Hostname()
	if err != nil {
		name = "localhost"
	}
	base := inherited(environ)
	p := &Provider{
		root:      root,
		toolCache: o.ToolCache,
		home:      base.ensureHome(root),
		name:      name,
		base:      base,
		log:       o.Log,
		processes: newProcesses(!o.NoControlGroup),
		empty:     o.Empty,
	}
	p.leftovers = p.sweep(ctx)
	return p, nil
}

// makeRoot makes the root folder and returns its path without symbolic links:
// steps compare paths, and `pwd -P` shows this one.
func makeRoot(root string) (string, error) {
	if root == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a folder for the jobs: %w: set the host sandbox's parent folder in the configuration", err)
		}
		root = filepath.Join(cache, "act")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", fmt.Errorf("find the jobs' folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(root, locksFolder), 0o700); err != nil {
		return "", diskError("make the folder for the jobs", root, err)
	}
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", fmt.Errorf("find the jobs' folder: %w", err)
	}
	return resolved, nil
}

// tempFolder is Info.Temp and TMPDIR, in the job's folder beside the workspace.
// They are one, and nothing lies between, because making and removing folders is
// most of what an empty job costs.
const tempFolder = "_temp"

// Open makes the folders of a job, ROOT/ID/REPOSITORY and ROOT/ID/_temp, for this
// user only.
func (p *Provider) Open(ctx context.Context, spec sandbox.Spec) (_ sandbox.Sandbox, err error) {
	if err := refuse(spec); err != nil {
		return nil, err
	}
	ctx, end := observe.Start(ctx, observe.HostOpen)
	defer func() { end(err) }()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	lock, err := p.acquire(spec.ID)
	if err != nil {
		return nil, err
	}
	j := &job{
		provider: p,
		id:       spec.ID,
		folder:   filepath.Join(p.root, spec.ID),
		lock:     lock,
		staged:   map[string]*stagedTree{},
	}
	if err := j.makeFolders(ctx, repositoryName(spec.Repository)); err != nil {
		return nil, errors.Join(err, j.release())
	}
	j.spares = spares{folder: j.temp, owner: os.Geteuid()}
	j.env = p.base.clone()
	j.env.setTemp(j.temp)
	j.env.setAll(spec.Env)
	j.tree, err = p.processes.open(spec.ID)
	if err != nil {
		return nil, errors.Join(err, j.removeFolder(ctx), j.release())
	}
	if err := lock.record(record{PID: os.Getpid(), Owner: spec.Owner, Tree: j.tree.trace()}); err != nil {
		return nil, errors.Join(err, j.tree.destroy(ctx), j.removeFolder(ctx), j.release())
	}
	j.info = sandbox.Info{
		ID:        spec.ID,
		Kind:      sandbox.Host,
		OS:        runtime.GOOS,
		Arch:      runtime.GOARCH,
		Workspace: j.workspace,
		Temp:      j.temp,
		ToolCache: p.toolCache,
		Home:      p.home,
		Name:      p.name,
		Details:   append([]string{"Steps run on this machine as processes of the runner's user, without isolation."}, j.tree.details()...),
	}
	return j, nil
}

// refuse returns the sentence for what only a container can do.
func refuse(spec sandbox.Spec) error {
	switch {
	case spec.Container != nil:
		return fmt.Errorf("the job asks for a container (container: %s), and its label runs it on the host: use a label of the kind name:docker://image: %w", spec.Container.Image, sandbox.ErrUnsupported)
	case len(spec.Services) > 0:
		return fmt.Errorf("the job asks for services (%s), and its label runs it on the host: give it a container, or use a label of the kind name:docker://image: %w", spec.Services[0].Name, sandbox.ErrUnsupported)
	case !validID(spec.ID):
		return fmt.Errorf("open a host sandbox: the job's id is %q, want letters, digits and dashes", spec.ID)
	}
	return nil
}

func validID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// repositoryName is the last part of owner/name as the name of a folder.
func repositoryName(repository string) string {
	name := path.Base(filepath.ToSlash(repository))
	if name == "." || name == ".." || name == "/" || name == tempFolder || !filepath.IsLocal(name) {
		return "workspace"
	}
	return name
}

func (j *job) makeFolders(ctx context.Context, repository string) error {
	// The lock is ours, so a folder of that name is a dead runner's.
	if _, err := os.Lstat(j.folder); err == nil {
		if err := j.removeFolder(ctx); err != nil {
			return fmt.Errorf("clear the folder of a job that a dead runner left: %w", err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return diskError("make the job's folder", j.folder, err)
	}
	j.workspace = filepath.Join(j.folder, repository)
	j.temp = filepath.Join(j.folder, tempFolder)
	for _, folder := range []string{j.folder, j.workspace, j.temp} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return errors.Join(diskError("make the job's folder", folder, err), j.removeFolder(ctx))
		}
	}
	return nil
}
