package container

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"otelrunner/otel/observe"
	"otelrunner/sandbox/stream"
)

// A place is what a container with our helper inside is made from.
type place struct {
	name     string
	what     string // in messages; "" is the job's container
	image    image.InspectResponse
	settings *settings
	network  string // a network's name, or a mode
	labels   map[string]string
	arch     string
	// bind is the folder of this machine that workRoot is; "" is a new volume.
	bind string
	// from is a container whose volumes this one shares, instead.
	from string
	// folders are those of this machine that the container sees, instead.
	folders []mount.Mount
	// as is the user of the steps whose folders it shares, by numbers; "" where it
	// shares none.
	as string
	// prepare, if any, is called with the container's id before it starts.
	prepare func(ctx context.Context, id string) error
	// networkReady, if any, waits for the network, which may be made at the same
	// time as the container: only its start needs it.
	networkReady func(ctx context.Context) error
	// nameless gives the container no names in its network.
	nameless bool
}

// running is a container whose first process is our helper.
type running struct {
	id, name string
	what     string
	image    image.InspectResponse
	network  string
	bind     string
	limits   container.Resources
	// fixedUser says that the helper runs as the steps' user itself.
	fixedUser bool
	user      string // whom the programs run as by the settings or the image; "" is root
	kills     int64  // of processes, for memory: as many as are known
	attached  *attached
	stream    *stream.Client
}

// hello is how long a helper may take to say hello once its container has started.
const helloTime = 30 * time.Second

// start makes a container and starts it: three calls of the API, and none later
// but to remove it. What was made before a failure is removed.
func (p *Provider) start(ctx context.Context, l place) (_ *running, err error) {
	defer func() {
		if err != nil && l.bind != "" {
			err = errors.Join(err, p.removeBind(ctx, l.bind))
		}
	}()
	for tries := startTries; ; tries-- {
		volume, err := p.helperVolume(ctx, l.image.ID, l.arch)
		if err != nil {
			return nil, err
		}
		r, err := p.startOnce(ctx, l, *volume)
		if err == nil {
			return r, nil
		}
		text := err.Error()
		switch {
		case tries == 0 || ctx.Err() != nil:
			return nil, err
		case errors.Is(err, errLater):
		case !strings.Contains(text, helperDir+"/"+helperFile):
			return nil, err
		case strings.Contains(text, "no such file"):
			p.forget(volume)
		case !strings.Contains(text, "text file busy"): // it is being filled again
			return nil, err
		}
	}
}

// startTries is how often a container is made again whose helper was not there: while
// volumes are pruned, other jobs' failures get in the way of each other.
const startTries = 4

func (p *Provider) startOnce(ctx context.Context, l place, volume string) (_ *running, err error) {
	creating, created := observe.Start(ctx, observe.ContainerCreate, imageAttribute(l.image))
	id, err := p.engine.createIn(creating, l.networkReady, l.request(volume, p.options.HelperArgs))
	err = observe.Typed("container_create", err)
	created(err)
	if err != nil {
		return nil, l.unshared(p.engine.sentence(ctx, "create the container of image "+imageName(l.image), err))
	}
	r := &running{id: id, name: l.name, what: first(l.what, "the job's container"), image: l.image, network: l.network, bind: l.bind, limits: l.settings.host.Resources, user: l.user()}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.hangUp(), p.remove(ctx, r.id))
		}
	}()
	conn, err := p.engine.ContainerAttach(ctx, r.id, client.ContainerAttachOptions{Stream: true, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, p.engine.sentence(ctx, "attach to the container", p.whyNotAttached(ctx, r.id, err))
	}
	r.attached = &attached{conn: conn.HijackedResponse}
	if l.prepare != nil {
		if err := l.prepare(ctx, r.id); err != nil {
			return nil, err
		}
	}
	if r.fixedUser = l.fixedUser() != ""; r.fixedUser && l.as == "" {
		if err := p.openWorkRoot(ctx, r.id); err != nil {
			return nil, err
		}
	}
	if err := awaited(ctx, l.networkReady); err != nil {
		return nil, err
	}
	ctx, started := observe.Start(ctx, observe.ContainerStart, imageAttribute(l.image))
	defer func() {
		err = observe.Typed("container_start", err)
		started(err)
	}()
	if _, err := p.engine.ContainerStart(ctx, r.id, client.ContainerStartOptions{}); err != nil {
		return nil, p.engine.sentence(ctx, "start the container of image "+imageName(l.image), err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, helloTime, fmt.Errorf("no hello within %v", helloTime))
	defer cancel()
	r.stream, err = stream.NewClient(ctx, r.attached, stream.Options{
		Peer:    "the first process of " + r.what,
		Explain: func(ctx context.Context, cause error) error { return p.explain(ctx, r, cause) },
	})
	return r, err
}

// unshared says what to do where the engine does not find the folders of this
// machine that it is to mount.
func (l place) unshared(err error) error {
	text := err.Error()
	if len(l.folders) == 0 || !strings.Contains(text, "bind source path does not exist") && !strings.Contains(text, "no such file or directory") {
		return err
	}
	return fmt.Errorf("the container engine has no folder %s, which is the job's on this machine: actions that run in containers need an engine on the same machine, and a runner that is in a container itself needs host.workdir_parent mounted from that machine at the same path: %w", l.folders[0].Source, err)
}

// whyNotAttached asks for the reason of an attach that was refused, of which the
// client tells the status alone. Podman prepares a container to be attached to, and
// what is wrong with it shows then; to start it says the same again, in words.
func (p *Provider) whyNotAttached(ctx context.Context, id string, err error) error {
	if !strings.Contains(err.Error(), "received 409") {
		return err
	}
	if _, start := p.engine.ContainerStart(ctx, id, client.ContainerStartOptions{}); start != nil {
		return start
	}
	return fmt.Errorf("%w: %w", err, errLater)
}

// errLater is the failure of a container that could be started a moment later: what it
// needed was being made.
var errLater = errors.New("it was not ready for that")

// request is the API's description of a container.
func (l place) request(helper string, args []string) client.ContainerCreateOptions {
	config, host := l.settings.config, l.settings.host
	config.Image = l.image.ID
	config.Entrypoint = append([]string{helperDir + "/" + helperFile}, args...)
	config.Cmd = nil
	// The helper needs root to hand out users; a step gets the image's user, or
	// the one of --user, from it. Variables go by the stream as well: what the
	// engine shows of a container holds none of them.
	config.User = first(l.fixedUser(), "0:0")
	config.Env = nil
	config.WorkingDir = "/"
	config.OpenStdin, config.StdinOnce = true, true
	config.AttachStdin, config.AttachStdout, config.AttachStderr = true, true, true
	config.Labels = l.labelsOver(config.Labels)
	if config.Healthcheck == nil {
		config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	}
	host.NetworkMode = container.NetworkMode(l.network)
	host.LogConfig = container.LogConfig{Type: "none"} // the stream is no log
	host.Mounts = slices.Clone(host.Mounts)
	own := mount.Mount{Type: mount.TypeVolume, Source: helper, Target: helperDir, ReadOnly: true}
	switch {
	case l.from != "":
		host.VolumesFrom = []string{l.from}
	case len(l.folders) > 0:
		host.Mounts = append(append(host.Mounts, l.folders...), own)
	default:
		work := mount.Mount{Type: mount.TypeVolume, Target: workRoot, VolumeOptions: &mount.VolumeOptions{Labels: l.labels}}
		if l.bind != "" {
			work = mount.Mount{Type: mount.TypeBind, Source: l.bind, Target: workRoot}
		}
		host.Mounts = append(host.Mounts, work, own)
	}
	return client.ContainerCreateOptions{Name: l.name, Config: &config, HostConfig: &host, NetworkingConfig: l.endpoint()}
}

// labelsOver adds the runner's labels, which nothing replaces.
func (l place) labelsOver(others map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range []map[string]string{others, l.labels} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// endpoint gives a container its names in the job's network.
func (l place) endpoint() *network.NetworkingConfig {
	if l.nameless || len(l.settings.aliases) == 0 || !ownNetwork(l.network) {
		return nil
	}
	return &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
		l.network: {Aliases: l.settings.aliases},
	}}
}

// ownNetwork reports whether a mode is a network in which names are found.
func ownNetwork(mode string) bool {
	return mode != "" && mode != "none" && mode != "host" && mode != "bridge" && mode != "default" && !strings.HasPrefix(mode, "container:")
}

// imageAttribute names an image on a span.
func imageAttribute(i image.InspectResponse) attribute.KeyValue {
	return semconv.ContainerImageName(imageName(i))
}

func imageName(i image.InspectResponse) string {
	if len(i.RepoTags) > 0 {
		return i.RepoTags[0]
	}
	return i.ID
}

// explain says why a container's stream has ended.
func (p *Provider) explain(ctx context.Context, r *running, cause error) error {
	found, err := p.ended(ctx, r.id)
	switch {
	case client.IsErrConnectionFailed(err):
		p.engine.away()
		return fmt.Errorf("the container engine at %s went away while the job ran, and its connection to the container with it: %w", p.engine.host, cause)
	case err != nil && gone(err):
		return fmt.Errorf("%s was removed while the job ran, by something other than this runner: %w", r.what, cause)
	case err != nil:
		return fmt.Errorf("%w (and the engine does not say why: %w)", cause, err)
	}
	state := found.Container.State
	errors := strings.TrimSpace(r.attached.errors.String())
	if errors != "" {
		errors = "; it last wrote: " + errors
	}
	switch {
	case state == nil:
		return nil
	case state.OOMKilled && r.limits.Memory > 0 && state.ExitCode == 137:
		return fmt.Errorf("%s was killed because its processes needed more memory than its limit of %s: lower what the job needs, or raise --memory or the runner's container.memory", r.what, size(r.limits.Memory))
	case state.OOMKilled && state.ExitCode == 137:
		return fmt.Errorf("%s was killed because the machine that runs it has no memory left", r.what)
	case state.Running:
		return fmt.Errorf("the connection to %s broke (was the container engine restarted?): %w", r.what, cause)
	case state.ExitCode == 137:
		return fmt.Errorf("%s was killed (SIGKILL) while the job ran, by the job itself, by someone else on the machine, or with the container engine%s", r.what, errors)
	}
	if state.ExitCode == 0 { // it obeys SIGTERM, which engines send as they end, and the end of its stream
		return fmt.Errorf("the first process of %s was told to end while the job ran: was the container engine stopped or restarted, the container stopped by someone, or SIGTERM sent by a step?%s", r.what, errors)
	}
	return fmt.Errorf("the first process of %s has ended with exit code %d while the job ran; did a step kill it?%s", r.what, state.ExitCode, errors)
}

// endTime is how long an engine may take to know that a container has ended whose
// stream has.
const endTime = 3 * time.Second

// ended describes a container whose stream has ended. The engine learns of that by
// itself, and may call it running for a moment.
func (p *Provider) ended(ctx context.Context, id string) (client.ContainerInspectResult, error) {
	wait, cancel := context.WithTimeout(ctx, endTime)
	defer cancel()
	for {
		found, err := p.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if err != nil || found.Container.State == nil || !found.Container.State.Running {
			return found, err
		}
		end := p.engine.ContainerWait(wait, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case <-end.Result:
		case err := <-end.Error:
			if err != nil { // an engine that cannot wait is looked at again
				time.Sleep(endTime / 50)
			}
		}
		if wait.Err() != nil {
			return found, nil
		}
	}
}

// discard ends a container and removes it with its volume and folder. The
// context is followed only in its deadline.
func (p *Provider) discard(ctx context.Context, r *running) error {
	return errors.Join(r.hangUp(), p.remove(ctx, r.id), p.removeBind(ctx, r.bind))
}

// hangUp ends the stream, and with it every process in the container.
func (r *running) hangUp() error {
	switch {
	case r.stream != nil:
		return r.stream.Close()
	case r.attached != nil:
		return r.attached.Close()
	}
	return nil
}

// removeTime bounds the removal of one thing where a context has no deadline or
// has ended.
const removeTime = 30 * time.Second

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil {
		return context.WithDeadline(context.WithoutCancel(ctx), deadline)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), removeTime)
}

// remove ends and removes a container with its nameless volumes.
func (p *Provider) remove(ctx context.Context, id string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for {
		_, err := p.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		if gone(err) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("remove the container: the engine has not done it in the time there was: %w", err)
		}
		// Someone else, like a sweep, is at it; or, with Podman, the container has
		// just ended by itself.
		if text := err.Error(); !strings.Contains(text, "already in progress") && !strings.Contains(text, "container state improper") {
			return p.engine.sentence(ctx, "remove the container", err)
		}
		if _, err := p.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{}); err != nil && gone(err) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove the container: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}
