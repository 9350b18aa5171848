package sandbox

import (
	"context"
	"io"
	"io/fs"
	"time"
)

// A ContainerRunner is a Sandbox that can run further containers beside its own:
// what Docker actions and `docker://` steps need. They share the job's network,
// workspace and Info.Temp, at the same paths as in the job's own container.
type ContainerRunner interface {
	Sandbox

	// PrepareImage makes an image ready before the step that uses it: pulled,
	// or built from a tree. Images that are built are named by the content
	// they are built from. It may take long and writes progress to log, one
	// line a call. It returns the name to run the image by.
	PrepareImage(ctx context.Context, image ImageSource, log func(line string)) (name string, err error)

	// RunContainer runs a container of an image to the end of its first
	// process and removes it. It follows Sandbox.Run in everything: Run's
	// errors, its context, its Result, and that one goroutine calls either of
	// them, one command at a time.
	RunContainer(ctx context.Context, c *ContainerCommand) (Result, error)
}

// ImageSource says where an image comes from: Name, or else Build.
type ImageSource struct {
	// Name is an image's reference, as after docker://. Username and
	// Password are for its registry, or empty.
	Name               string
	Username, Password string

	// Build is the context of a build; Dockerfile is the path in it, with
	// forward slashes.
	Build      fs.FS
	Dockerfile string
}

// ContainerCommand is one container to run.
type ContainerCommand struct {
	// Image is what PrepareImage returned.
	Image string

	// Entrypoint replaces the image's where it is not nil; Args replace its
	// command where they are not nil.
	Entrypoint []string
	Args       []string

	// The rest is as in Command. Stdin is empty. Dir "" is the workspace.
	Env            map[string]string
	Dir            string
	Files          []File
	Collect        []string
	CollectLimit   int64
	Remove         []string
	Stdout, Stderr io.Writer
	Grace          time.Duration
}
