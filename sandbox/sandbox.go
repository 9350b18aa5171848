// Package sandbox defines where steps run: one interface that a process on this
// host, a container and a WebAssembly worker all satisfy, and that a sandbox
// whose files and processes are reached only through one stream could satisfy
// too. It knows nothing of Gitea or of workflow files.
//
// # Order of calls and concurrency
//
// Open is called once a job and is the only call that may take long. After it,
// one goroutine calls Run, one command at a time. The file methods (ReadFile,
// WriteFiles, Stage, HashFiles, LookPath) may be called from any goroutine,
// also while a command runs. Close is called exactly once, after every other
// call has returned, also when a call has failed; nothing that the sandbox
// created, no process, file, container, network or volume, is left when Close
// returns without an error.
//
// # Contexts
//
// When the context of Run ends, the whole process tree of the command is told to
// terminate, is killed when the grace period is over, and Run returns with
// the context's cause, at most Grace + 1 s later. The sandbox stays usable: the
// next Run starts a new command, as cleanup steps do after a cancel.
//
// # Paths
//
// Every path in this interface is a path as a step sees it, inside the sandbox,
// with the separators of Info.OS. Relative paths are relative to the workspace.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"
)

// A Provider opens sandboxes of one kind. It is safe for concurrent use.
type Provider interface {
	// Open makes a sandbox for one job. Its errors are for the job's log:
	// one sentence that says what was tried, what was found, what to do.
	// What Open created before it failed is gone when it returns.
	Open(ctx context.Context, spec Spec) (Sandbox, error)
}

// Spec describes the sandbox of one job.
type Spec struct {
	// ID names the job on this machine: unique among those running, and
	// made of [a-z0-9-] only, for use in names of containers and folders.
	ID string

	// Owner marks what the sandbox creates outside this process, so that a
	// later run can find it: the runner's uuid, the task's id, and so on.
	Owner map[string]string

	// Repository is owner/name; its last part names the workspace's folder.
	Repository string

	// Image is what follows the scheme in a label (docker://IMAGE), or "".
	Image string

	// Container and Services are the workflow's wishes; only a container
	// sandbox takes them, every other one refuses them with a sentence.
	Container *Container
	Services  []Service

	// Env is what the sandbox's processes may see beside each command's
	// own: runner.envs and the like.
	Env map[string]string

	// Log takes progress for the job's log, one line a call, no newline. It
	// is safe for concurrent use.
	Log func(line string)
}

// Container is a workflow's `container:` or a service's description, with its
// expressions evaluated.
type Container struct {
	Image    string
	Env      map[string]string
	Ports    []string
	Volumes  []string
	Options  string
	Username string
	Password string

	// Entrypoint and Command replace the image's own where they are not empty.
	// They are for services: a job's container runs what its steps say.
	Entrypoint, Command []string
}

// Service is one entry of `services:`; Name is its key, and its host name.
type Service struct {
	Name string
	Container
}

// A Sandbox is one job's place to run. The package comment gives the order of
// calls and the concurrency contract.
type Sandbox interface {
	// Info describes the sandbox; it does not change.
	Info() Info

	// Run runs one command to its end. An exit status other than 0 is not
	// an error. Errors are *NotFoundError, *DirError and *LimitError for
	// what the workflow's author can mend, the context's cause when ctx
	// ended first, and anything else for a sandbox that is broken. The
	// Result is filled as far as it is known in every case, its Collected
	// too.
	Run(ctx context.Context, c *Command) (Result, error)

	// LookPath finds an executable as Run would: name as it is when it has a
	// separator, else in path and then in the sandbox's own PATH. Its error
	// is a *NotFoundError.
	LookPath(ctx context.Context, name string, path []string) (string, error)

	// ReadFile reads a whole file of at most limit bytes. A file that is
	// not there gives an error for which errors.Is(err, fs.ErrNotExist).
	ReadFile(ctx context.Context, path string, limit int64) ([]byte, error)

	// WriteFiles writes files with their parent folders.
	WriteFiles(ctx context.Context, files []File) error

	// Stage makes a copy of a tree available under Info.Temp, in a folder
	// called name (a relative path with forward slashes; unique a job),
	// and returns its path inside. Symbolic links that leave the tree are
	// an error. Staging the same name again returns the folder as it is.
	Stage(ctx context.Context, name string, tree fs.FS) (string, error)

	// HashFiles is GitHub's hashFiles: the SHA-256, in hex, of the SHA-256
	// of each file in dir that the patterns select; "" when they select
	// none. Package hashfiles has the rules and the order.
	HashFiles(ctx context.Context, dir string, patterns []string, followSymlinks bool) (string, error)

	// Close ends what still runs and removes what the sandbox created.
	// ctx bounds the time that it may take.
	Close(ctx context.Context) error
}

// An Attester is a sandbox that can say what held a job and what ran in it.
type Attester interface {
	// Attest says so, for the job's log and its span. It is called after the
	// last Run and before Close.
	Attest() []Fact
}

// Fact is one part of an attestation. Name is a constant: a word in lower case.
type Fact struct{ Name, Value string }

// Kind says what a sandbox is made of; a constant, fit for a metric's label.
type Kind string

// The kinds, spelled as the schemes of labels.
const (
	Host   Kind = "host"
	Docker Kind = "docker"
	WASM   Kind = "wasm"
)

// Info describes a sandbox.
type Info struct {
	// ID is that of the Spec.
	ID   string
	Kind Kind

	// OS and Arch are Go's names (linux, windows, darwin, wasip1; amd64 …)
	// of what the commands run on.
	OS, Arch string

	// Workspace is where steps start: GITHUB_WORKSPACE.
	Workspace string
	// Temp is a folder of the job's own outside the workspace: RUNNER_TEMP
	// and the parent of command files, scripts and staged trees.
	Temp string
	// ToolCache is RUNNER_TOOL_CACHE.
	ToolCache string
	// Home is HOME of steps that do not set one.
	Home string

	// Name is the value of RUNNER_NAME's machine part: a host name.
	Name string

	// Details are lines for the "Set up job" section: the image and its
	// digest, limits in force, what is not available.
	Details []string

	// JobContainer and Networks fill the job context where there is a
	// container: its id, network, and for each service its id, network and
	// ports (container port → host port).
	JobContainer ContainerInfo
	ServiceInfo  map[string]ContainerInfo
}

// ContainerInfo is what expressions see of a container (job.container,
// job.services.NAME).
type ContainerInfo struct {
	ID      string
	Network string
	Ports   map[string]string
}

// Command is one program to run.
type Command struct {
	// Args is the program and its arguments. A program without a separator
	// is searched in Path, then in the sandbox's own PATH.
	Args []string

	// Env is set over the sandbox's own environment. PATH in it, if any,
	// replaces the sandbox's own PATH.
	Env map[string]string

	// Path is put before PATH, first entry first.
	Path []string

	// Dir is where the program starts; "" is the workspace.
	Dir string

	// Files are written before the program starts, with their parents.
	Files []File

	// Collect names files to be read after the program has ended, however
	// it ended; what is not there is left out. None may be larger than
	// CollectLimit bytes (0: 16 MiB): a larger one is a *LimitError, and
	// the others are still collected. What is no regular file is an error.
	Collect      []string
	CollectLimit int64

	// Remove names files that are removed after Collect, or whatever the
	// program has put in their place.
	Remove []string

	// Stdin is empty when nil.
	Stdin io.Reader

	// Stdout and Stderr take the output as it comes, in pieces of any size.
	// One goroutine writes to each at a time. Where both are the same
	// value, they share one pipe and the order of writes is the program's.
	// A slow Writer slows the program; nothing is dropped. The command ends
	// when its first process ends: what that one wrote has been written when
	// Run returns, and what others write in the tenth of a second after. The
	// output of processes that it leaves in the background is then read on
	// until the job ends, and dropped. A Writer's error
	// is ignored; it gets no more.
	Stdout, Stderr io.Writer

	// Grace is how long the tree may take to end after it was told to
	// terminate; 0 kills at once.
	Grace time.Duration
}

// File is a file to be written, over what is there.
type File struct {
	Path string
	Data []byte
	// Mode is the file's permissions, whatever the umask; 0 is 0644.
	Mode fs.FileMode
}

// Result says how a command ended.
type Result struct {
	// ExitCode is the exit status; 128 + n when signal n ended it; -1 when
	// it never started or its end is not known.
	ExitCode int

	// Collected has what Command.Collect asked for, by the names it used.
	Collected map[string][]byte

	Usage Usage

	// Details are lines for the log about what the sandbox did beside running
	// the command: what it used, and what it was denied.
	Details []string
}

// Usage is what a command consumed; zero where it is not known.
type Usage struct {
	CPU        time.Duration
	PeakMemory int64 // bytes
}

// NotFoundError says that a program is not in the sandbox.
type NotFoundError struct {
	Name string
	// Hint says what to do, or is empty.
	Hint string
	// Refused says that it is there and cannot run; Hint says why.
	Refused bool
}

func (e *NotFoundError) Error() string {
	if e.Refused {
		return e.Name + " cannot run: " + e.Hint
	}
	s := e.Name + ": not found in the sandbox"
	if !strings.Contains(e.Name, "/") {
		s += "'s PATH"
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// ErrorType is error.type of a span that ends with it.
func (*NotFoundError) ErrorType() string { return "program_not_found" }

// DirError says that a working directory is not there.
type DirError struct{ Dir string }

func (e *DirError) Error() string {
	return fmt.Sprintf("working directory %s does not exist or is not a folder", e.Dir)
}

// ErrorType is error.type of a span that ends with it.
func (*DirError) ErrorType() string { return "directory_not_found" }

// LimitError says which limit ended a command.
type LimitError struct {
	// Limit is a constant name: memory, cpu, output, files, disk …
	Limit string
	// Text is the whole sentence: "memory limit of 512 MiB reached".
	Text string
}

func (e *LimitError) Error() string { return e.Text }

// ErrorType is error.type of a span that ends with it.
func (e *LimitError) ErrorType() string { return "limit_" + e.Limit }

// ErrUnsupported is wrapped by the refusal of something that this kind of
// sandbox cannot do; the error's text says what would work.
var ErrUnsupported = errors.New("not supported by this sandbox")
