package sandbox

import (
	"context"
	"io/fs"
)

// A ContainerRunner is a Sandbox that can also run programs in containers of
// other images, beside the job's own: Docker actions and docker:// steps. Such a
// container shares the job's network, its workspace and Info.Temp, at the same
// paths, and so the command files.
type ContainerRunner interface {
	Sandbox
	Containers
}

// Containers runs programs in containers of their own for one job.
type Containers interface {
	// PrepareImage makes an image ready before the step that runs it: it is
	// pulled, with the job's own credentials if they are for the same
	// registry, or built, once for each content. It may take long, writes its
	// progress to log, one line a call, and may be called from any goroutine,
	// also while a command runs. It returns the name to run the image by, in
	// this job. Its errors are for the job's log.
	PrepareImage(ctx context.Context, image ImageSource, log func(line string)) (name string, err error)

	// RunContainer runs an image's program to its end, as Sandbox.Run runs one
	// in the job's own container, and with its contract. It may be called from
	// the goroutine that calls Run, also between two calls of it. Its errors are
	// for the job's log.
	RunContainer(ctx context.Context, c *ContainerCommand) (Result, error)
}

// A ContainerOpener runs containers for jobs whose own sandbox is this machine:
// Docker actions and docker:// steps of host jobs. It is safe for concurrent use.
type ContainerOpener interface {
	// OpenContainers is called when the first step of a job needs a container,
	// and may take long. s is the job's sandbox, of the kind Host, and spec what
	// it was opened by. Its errors are for the job's log: they say what was tried
	// and what to do; after one, it may be called again.
	OpenContainers(ctx context.Context, s Sandbox, spec Spec) (HostContainers, error)
}

// HostContainers are a host job's containers. Each sees the job's workspace and
// Info.Temp at two places: at their own paths, so that a path that a workflow has
// put into an argument leads to the file, and below /github, where actions look for them. The environment of a
// program, the paths of its command and what is collected of it are given as the
// host sees them, and translated; its arguments and its output are not.
type HostContainers interface {
	Containers

	// Outside is where the host sees a path of a container: the path itself for
	// what is not the job's.
	Outside(path string) string

	// Close ends and removes what was made. It is called exactly once, after
	// every other call has returned and before the job's sandbox is closed. What
	// programs left in the workspace stays. ctx bounds the time that it may take.
	Close(ctx context.Context) error
}

// ImageSource says where an image comes from.
type ImageSource struct {
	// Name is an image's reference, without a scheme.
	Name string
	// Build makes the image, instead.
	Build *Build
}

// Build says how an image is made.
type Build struct {
	// Context is the folder that is sent to the engine; where it is nil, the
	// folder Dir inside the sandbox is.
	Context fs.FS
	Dir     string
	// Dockerfile is a path in that folder, with forward slashes.
	Dockerfile string
}

// ContainerCommand is one run of an image's program.
type ContainerCommand struct {
	// Image is what PrepareImage returned.
	Image string

	// Entrypoint replaces the image's, if it is not empty.
	Entrypoint []string

	// Command has the rest. Its Args follow the entrypoint and, unless they are
	// nil, replace the image's own arguments; a program without a separator is
	// searched in the image's PATH. Its Env is set over the image's: the job's
	// PATH and HOME do not belong into it. Path is not used. Relative paths, and
	// an empty Dir, are those of the job's workspace.
	Command Command
}
