package container

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/mount"

	"otelrunner/otel/observe"
	"otelrunner/sandbox"
)

// The containers of a host job's actions: the job's folders are mounted in them, and
// they have a network of the job's own.

// hostActions are those of one job.
type hostActions struct {
	actions
	host    sandbox.Sandbox
	folders []sharedFolder
	network string
	own     string // the network, where it is to be removed with the job
}

// sharedFolder is a folder of the host job, and where its containers see it.
type sharedFolder struct {
	outside, inside string
	mounted         bool
}

var (
	_ sandbox.ContainerOpener = (*Provider)(nil)
	_ sandbox.HostContainers  = (*hostActions)(nil)
	_ surroundings            = (*hostActions)(nil)
)

// OpenContainers implements sandbox.ContainerOpener.
func (p *Provider) OpenContainers(ctx context.Context, s sandbox.Sandbox, spec sandbox.Spec) (_ sandbox.HostContainers, err error) {
	info := s.Info()
	if info.Kind != sandbox.Host {
		return nil, fmt.Errorf("run containers beside a job whose sandbox is %s: %w", info.Kind, sandbox.ErrUnsupported)
	}
	if spec.Log == nil {
		spec.Log = func(string) {}
	}
	base, err := p.options.base()
	if err != nil {
		return nil, err
	}
	h := &hostActions{actions: actions{provider: p, spec: spec}, host: s, network: first(base.network, p.options.Network)}
	h.around = h
	h.folders = []sharedFolder{
		{info.Workspace, githubDir + "/workspace", true},
		{info.Temp, githubDir + "/runner_temp", true},
		// Programs of the host's would not run in there, and what a container's root
		// leaves in a folder that outlives the job could not be removed.
		{info.ToolCache, toolCache, false},
	}
	if err := h.openFolders(); err != nil {
		return nil, err
	}
	p.process.setActive(spec.ID, true)
	defer func() {
		if err != nil {
			p.process.setActive(spec.ID, false)
		}
	}()
	reaching, reached := observe.Start(ctx, observe.ContainerReach)
	h.arch, err = p.engine.reach(reaching, spec.Log)
	err = observe.Typed("engine_unreachable", err)
	reached(err)
	if err != nil {
		return nil, err
	}
	if h.network == "" {
		h.own = reserved + spec.ID
		h.network = h.own
		err = p.createNetwork(ctx, h.own, p.labels(spec.ID, spec.Owner), false)
	}
	return h, err
}

// openFolders lets the users of images see what is in the folders. On this machine
// the folder that they lie in is for the runner's user only.
func (h *hostActions) openFolders() error {
	for _, f := range h.folders {
		if !f.mounted {
			continue
		}
		info, err := os.Stat(f.outside)
		if err == nil {
			err = os.Chmod(f.outside, info.Mode().Perm()|0o055)
		}
		if err != nil {
			return fmt.Errorf("let containers see the job's folder: %w", err)
		}
	}
	return nil
}

// place implements surroundings.
func (h *hostActions) place(base *settings) place {
	l := place{
		network: h.network, labels: h.provider.labels(h.spec.ID, h.spec.Owner),
		folders: h.mounts(), as: "0:0",
	}
	if runtime.GOOS == "linux" { // elsewhere the engine's machine is another one, which gives all files to all
		l.as = fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	}
	if base.lacks(handingOut) {
		l.prepare = h.giveGithub
	}
	return l
}

// mounts are the folders, each at its own path too: a path that an expression has
// put into an argument or an input leads to the same file.
func (h *hostActions) mounts() (all []mount.Mount) {
	for _, f := range h.folders {
		if !f.mounted {
			continue
		}
		all = append(all, mount.Mount{Type: mount.TypeBind, Source: f.outside, Target: f.inside})
		if path.IsAbs(f.outside) { // not on Windows
			all = append(all, mount.Mount{Type: mount.TypeBind, Source: f.outside, Target: f.outside})
		}
	}
	return all
}

// giveGithub lets the runner's user, as which a container runs whose root could do
// nothing, make HOME.
func (h *hostActions) giveGithub(ctx context.Context, id string) error {
	return h.provider.makeGithub(ctx, id, tar.Header{Uid: os.Getuid(), Gid: os.Getgid()})
}

// inside implements surroundings.
func (h *hostActions) inside(name string) string {
	if !filepath.IsAbs(name) {
		return path.Join(githubDir, "workspace", filepath.ToSlash(name))
	}
	return h.seen(filepath.Clean(name))
}

// seen is where containers see an absolute path, which stays as it is where they
// see nothing there.
func (h *hostActions) seen(name string) string {
	for _, f := range h.folders {
		if rest, ok := below(f.outside, name); ok {
			return f.inside + filepath.ToSlash(rest)
		}
	}
	return name
}

// Outside implements sandbox.HostContainers.
func (h *hostActions) Outside(name string) string {
	for _, f := range h.folders {
		if rest, ok := below(f.inside, name); ok && f.mounted {
			return f.outside + filepath.FromSlash(rest)
		}
	}
	return name
}

// below is what follows a folder in the path of something that is it, or in it.
func below(folder, name string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(name, folder)
	return rest, ok && (rest == "" || os.IsPathSeparator(rest[0]))
}

// before implements surroundings. The job's own sandbox writes a command's files and
// removes them: what a container's root made there, the next step could not change.
func (h *hostActions) before(ctx context.Context, r *running, c *sandbox.Command) (after func(), err error) {
	c.Env = h.environment(ctx, r, c.Env)
	files := slices.Clone(c.Files)
	for i, f := range files {
		if slices.Contains(c.Collect, f.Path) {
			files[i].Mode = 0o666 // whoever the image's user is
		}
		files[i].Path = h.Outside(f.Path)
	}
	if err := h.host.WriteFiles(ctx, files); err != nil {
		return nil, err
	}
	names := c.Remove
	c.Files, c.Remove = nil, nil
	return func() {
		for _, name := range names {
			_ = os.RemoveAll(h.Outside(name)) // what cannot be removed goes with the job
		}
	}, nil
}

// environment makes the values that are paths those that a container sees, as
// GitHub's runner does.
func (h *hostActions) environment(ctx context.Context, r *running, env map[string]string) map[string]string {
	env = maps.Clone(env)
	for name, value := range env {
		env[name] = h.seen(value)
	}
	for name, value := range map[string]string{"RUNNER_WORKSPACE": githubDir, "RUNNER_OS": "Linux"} {
		if env[name] != "" {
			env[name] = value
		}
	}
	h.offerEndpoint(ctx, r, env)
	return env
}

// offerEndpoint gives a container a port of its own loopback that leads to the
// endpoint which the host's steps have on the machine's.
func (h *hostActions) offerEndpoint(ctx context.Context, r *running, env map[string]string) {
	const name = "OTEL_EXPORTER_OTLP_ENDPOINT"
	scope := observe.From(ctx)
	if scope.StepEndpoint == "" || scope.StepDial == nil || env[name] != scope.StepEndpoint {
		return
	}
	address, err := r.stream.Forward(ctx, scope.StepDial)
	if err != nil {
		h.spec.Log(fmt.Sprintf("No OTLP endpoint for this step: %v", err))
		delete(env, name)
		return
	}
	env[name] = withHost(scope.StepEndpoint, address)
}

// folder implements surroundings.
func (h *hostActions) folder(ctx context.Context, dir string) (_ buildContext, err error) {
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(h.host.Info().Workspace, filepath.FromSlash(dir))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return buildContext{}, err
	}
	defer func() { _ = root.Close() }() // it was read only
	return spoolFolder(ctx, root)
}

// Close implements sandbox.HostContainers.
func (h *hostActions) Close(ctx context.Context) (err error) {
	ctx, end := observe.Start(ctx, observe.ContainerRemove)
	defer func() { end(err) }()
	var errs []error
	for _, r := range h.resisting() {
		errs = append(errs, h.provider.discard(ctx, r))
	}
	if h.own != "" {
		errs = append(errs, h.provider.removeNetwork(ctx, h.own))
	}
	h.provider.process.setActive(h.spec.ID, false)
	return errors.Join(errs...)
}

// withHost is an address with another host and port.
func withHost(address, host string) string {
	at, err := url.Parse(address)
	if err != nil {
		return address // it is the runner's own
	}
	at.Host = host
	return at.String()
}
