package job

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
)

// Options say how jobs are run. They are not changed after New.
type Options struct {
	// Name and Version describe the runner in the log and in RUNNER_NAME.
	Name, Version string

	// Instance is the address by which this runner reaches its server, without
	// a slash at its end. Actions are sent there for artifacts: the server's
	// own idea of its address, which is the default, may lead elsewhere.
	Instance string

	// Trust, which may be nil, is told the addresses of the Gitea server that a task
	// names, before anything is fetched.
	Trust func(address string)

	// Labels are what the runner offers; runs-on picks one of them.
	Labels label.List

	// Providers open the sandbox of a label's scheme. A scheme without one
	// is refused with a sentence. That of label.Docker also opens those of
	// host labels' jobs that have a container.
	Providers map[label.Scheme]sandbox.Provider

	// Actions finds what `uses:` names. Without it, steps that use a
	// repository's action are refused with a sentence.
	Actions Actions

	// Modules fetches the modules that `uses: wasm://…` names; without it, such
	// steps are refused with a sentence.
	Modules Modules
	// ModuleRunner runs WebAssembly modules in jobs that are not in the WASM
	// sandbox; without it, they are refused there.
	ModuleRunner sandbox.ModuleRunner

	// Containers runs Docker actions and `docker://` steps of host jobs; without it,
	// they are refused there with a sentence.
	Containers sandbox.ContainerOpener

	// RefuseEarly ends a job before its first step where a step names an action
	// that cannot run in its sandbox (an image, an action of another repository),
	// even if the step would not run. Else such a step fails when it comes.
	RefuseEarly bool

	// Instead, if any, does the work of some actions in their place.
	Instead Instead

	// Cache opens a job's way to the server of actions/cache; nil, or a nil way, is
	// none. It is called when the sandbox is open, with the job's context.
	Cache func(ctx context.Context, t *task.Task) Cache
	// CacheURL is the address of one elsewhere, which steps are told instead.
	CacheURL string

	// Env is in the environment of every step, below the workflow's own
	// (runner.envs).
	Env map[string]string

	// Owner marks what sandboxes create; see sandbox.Spec. The task's id is
	// added to it.
	Owner map[string]string

	// NodePath is the Node.js that runs JavaScript actions on the host
	// sandbox; "" searches the sandbox's PATH for node.
	NodePath string

	// Timeout is how long a job may run that says nothing itself; default 3 h.
	Timeout time.Duration
	// CleanupTimeout is how long always() and post steps may take after a
	// cancel; default 5 min.
	CleanupTimeout time.Duration
	// CloseTimeout is how long the sandbox's removal may take; default 1 min.
	CloseTimeout time.Duration
	// Grace is how long a program may take to end after it was told to;
	// default 1 s. Its whole tree is gone a second after that at the latest.
	Grace time.Duration

	// Logger is the runner's own log; default none.
	Logger *slog.Logger
}

// A Runner runs tasks. It is safe for concurrent use.
type Runner struct{ opts Options }

// New returns a Runner.
func New(o Options) *Runner {
	setDefault(&o.Timeout, 3*time.Hour)
	setDefault(&o.CleanupTimeout, 5*time.Minute)
	setDefault(&o.CloseTimeout, time.Minute)
	setDefault(&o.Grace, time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Runner{opts: o}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// provider returns what opens the sandbox of a label.
func (o *Options) provider(l label.Label) (sandbox.Provider, error) {
	if p := o.Providers[l.Scheme]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("label %s asks for a %s sandbox, which this runner does not have; "+
		"use a label of another kind in runs-on, or change the runner's labels", l.Name, l.Scheme)
}
