package sandbox

import "context"

// A ModuleRunner runs WebAssembly modules for jobs whose own sandbox runs other
// programs: actions that are modules work in host and container jobs too.
type ModuleRunner interface {
	// RunModule runs a command whose program is a module, in a WASM sandbox of
	// its own in which the workspace and Info.Temp of s lie at the same paths,
	// and nothing else of s. The contract is that of Sandbox.Run, where Path is
	// not used. It is called from the goroutine that calls s.Run, between two
	// calls of it. Its errors are for the job's log.
	RunModule(ctx context.Context, s Sandbox, c *Command) (Result, error)
}

// A Sharer is a Sandbox whose workspace and Info.Temp can be folders of this
// machine for the time of a command that runs elsewhere.
type Sharer interface {
	Sandbox

	// Share returns the folders, with the paths that they have inside. No
	// command runs in the sandbox until release is called, exactly once: it
	// brings back what was changed in them, where they are copies.
	Share(ctx context.Context) (folders []Mount, release func(ctx context.Context) error, err error)
}

// Mount is a folder of this machine that a sandbox sees.
type Mount struct {
	// Host is the folder's path on this machine.
	Host string
	// Guest is where the sandbox sees it: an absolute path with forward slashes.
	Guest string
	// ReadOnly refuses every change.
	ReadOnly bool
}
