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
