package container

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// Pull says when an image is pulled.
//
// An image that is on the engine is there for every job: with PullMissing, a job
// can use a private image that another repository's job has pulled. A runner that
// serves repositories which must not see each other's images wants PullAlways:
// every job then has to be able to pull its images, with its own credentials or
// the operator's; what has not changed costs one request to the registry.
type Pull string

// The values of Pull.
const (
	PullMissing Pull = "if-not-present"
	PullAlways  Pull = "always"
	PullNever   Pull = "never"
)

// Options configure a Provider.
type Options struct {
	// Host is the engine's address, like unix:///var/run/docker.sock or
	// tcp://HOST:PORT. Default: DOCKER_HOST with its companions DOCKER_TLS_VERIFY
	// and DOCKER_CERT_PATH, else the platform's usual socket.
	Host string

	// Timeout is how long an engine that does not answer is waited for when a
	// job begins. Default: 30 s.
	Timeout time.Duration

	// Network is "" for a network of each job's own, "none", "host", or a
	// network that exists.
	Network string

	// Flags are options of `docker create` for every container of every job.
	// Unlike a workflow's they may open the sandbox (--privileged, --device,
	// --cap-add, --volume …). Limits among them are ceilings.
	Flags string

	// Privileged is as --privileged in Flags.
	Privileged bool

	// CPUs (like "1.5"), Memory (like "4g") and PIDs are ceilings for each
	// container, which a workflow can only lower. Empty or 0: no limit.
	CPUs, Memory string
	PIDs         int

	// Runtime is an OCI runtime's name, like runsc; it wins over Flags.
	Runtime string

	// ValidVolumes are patterns of volumes' names and of paths of the engine's
	// machine that a workflow may mount; ** matches across slashes. The engine's
	// socket and what holds it are mounted only where they are listed
	// literally. Paths that jobs can write to should not be listed together with
	// what is below them, for a job can put symbolic links there; where the
	// engine is local they are followed and checked.
	ValidVolumes []string

	// Pull says when images are pulled. Default: PullMissing.
	Pull Pull

	// DockerConfig is a config.json of Docker with registries' credentials, of
	// which "auths" is used. Empty: images are pulled with a workflow's
	// credentials or none.
	DockerConfig string

	// BindWorkdir keeps workspaces in folders of this machine, below
	// WorkdirParent, instead of volumes. The engine must be local.
	BindWorkdir   bool
	WorkdirParent string

	// HealthTimeout is how long services may take to become healthy. Default:
	// 5 min.
	HealthTimeout time.Duration

	// Standby is how many fresh containers of each image that a label names are
	// kept running for jobs to come; see Provider.Warm.
	Standby int

	// Runner is the runner's own, lasting name: what a dead process of the same
	// runner left behind is found by it. Empty: nothing of dead processes is
	// removed.
	Runner string

	// Process is this process. Providers of one process that have the same Runner
	// must have the same Process, or one takes what the other's jobs have for left
	// behind. nil: this Provider is the only one.
	Process *Process

	// Helper returns the static program that is a job's first process, for an
	// architecture by Go's name.
	Helper func(arch string) ([]byte, error)
	// HelperArgs follow the program's path.
	HelperArgs []string

	// Log takes what an operator should know and no job's log can show. nil
	// discards it.
	Log *slog.Logger
}

const (
	defaultTimeout       = 30 * time.Second
	defaultHealthTimeout = 5 * time.Minute
)

// check fills in defaults and parses the operator's flags.
func (o *Options) check() (*settings, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.HealthTimeout == 0 {
		o.HealthTimeout = defaultHealthTimeout
	}
	switch o.Pull {
	case "":
		o.Pull = PullMissing
	case PullMissing, PullAlways, PullNever:
	default:
		return nil, fmt.Errorf("container.pull is %q, want %s, %s or %s", o.Pull, PullMissing, PullAlways, PullNever)
	}
	if o.Helper == nil {
		return nil, errors.New("container: there is no helper")
	}
	if o.BindWorkdir && o.WorkdirParent == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("find a folder for workspaces: %w: set container.workdir_parent", err)
		}
		o.WorkdirParent = filepath.Join(cache, "act-containers")
	}
	return o.base()
}

// base is what every container starts from.
func (o *Options) base() (*settings, error) {
	s := newSettings(volumePolicy{all: true})
	if err := s.parse(o.Flags, operator); err != nil {
		return nil, fmt.Errorf("container.options: %w", err)
	}
	if o.CPUs != "" {
		if err := cpus(&s.host.NanoCPUs, o.CPUs); err != nil {
			return nil, fmt.Errorf("container.cpus: %w", err)
		}
	}
	if o.Memory != "" {
		n, err := units.RAMInBytes(o.Memory)
		if err != nil || n <= 0 {
			return nil, fmt.Errorf("container.memory: %q is not a size, like 512m or 4g", o.Memory)
		}
		s.host.Memory = n
	}
	if o.PIDs > 0 {
		n := int64(o.PIDs)
		s.host.PidsLimit = &n
	}
	if o.Runtime != "" {
		s.host.Runtime = o.Runtime
	}
	s.host.Privileged = s.host.Privileged || o.Privileged
	if s.network != "" && o.Network == "" {
		o.Network = s.network
	}
	lower(&s.host.Resources, s.host.Resources) // in one form
	return s, nil
}

// policy is what a workflow's volumes are checked by.
func (o *Options) policy(host string) volumePolicy {
	p := volumePolicy{valid: o.ValidVolumes, sockets: []string{"/var/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock"}}
	if socket, ok := strings.CutPrefix(host, "unix://"); ok {
		p.sockets = append(p.sockets, socket)
		if runtime.GOOS == "linux" {
			p.resolve = resolveHere
		}
	}
	return p
}

// resolveHere follows links on this machine. What is not there has none: the
// engine makes or refuses it, or the runner is in a container with other files.
func resolveHere(path string) (string, error) {
	followed, err := filepath.EvalSymlinks(path)
	if errors.Is(err, os.ErrNotExist) {
		return path, nil
	}
	return followed, err
}
