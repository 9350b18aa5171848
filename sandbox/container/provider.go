// Package container runs jobs in containers through the Docker Engine API (Docker
// 20.10 to current, and Podman's compatible socket).
//
// A job's container is started with a small static program of ours as its first
// process, which is mounted read-only from a volume that is filled once. It holds
// one stream to the runner, its standard input and output, for the whole job:
// steps, scripts, command files and output go through it. A step costs what a fork
// in the container costs, and no call of the API. When the runner dies, the stream
// ends, and the helper ends every process with it.
//
// # What is made and removed
//
// For each job: a network, a container for each service and one for the job, with
// a volume (or a folder) for the workspace. All carry labels with the runner's
// name, this process and the job; Sweep removes what a dead process has left.
//
// Host jobs get containers for their Docker actions only (OpenContainers), in which
// the job's own folders are mounted, and a network.
package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/moby/moby/api/types/image"
	"golang.org/x/sync/errgroup"

	"otelrunner/otel/observe"
	"otelrunner/sandbox"
	"otelrunner/sandbox/stream"
)

// Labels on everything that is made.
const (
	runnerLabel  = labelPrefix + "runner"
	processLabel = labelPrefix + "process"
	jobLabel     = labelPrefix + "job"
)

// Provider opens container sandboxes. It is safe for concurrent use.
type Provider struct {
	options Options
	policy  volumePolicy
	engine  *engine
	process *Process

	helper  atomic.Pointer[string] // the volume's name
	filling chan struct{}          // held by who fills it
	refill  bool                   // whatever is there; guarded by filling

	standby *standby
	spare   *spareNetwork
}

var _ sandbox.Provider = (*Provider)(nil)

// New makes a provider. It does not need the engine yet: a runner may start
// before it, and serves its other labels until it answers.
func New(o Options) (*Provider, error) {
	if _, err := o.check(); err != nil {
		return nil, err
	}
	e, err := newEngine(o)
	if err != nil {
		return nil, err
	}
	if o.Process == nil {
		o.Process = NewProcess()
	}
	p := &Provider{
		options: o,
		policy:  o.policy(e.host),
		engine:  e,
		process: o.Process,
		filling: make(chan struct{}, 1),
	}
	p.standby, p.spare = newStandby(p, o.Standby), newSpareNetwork(p)
	return p, nil
}

// Cool ends what is kept ready for jobs to come, and from now on nothing is. Jobs go
// on, and may begin.
func (p *Provider) Cool(ctx context.Context) error {
	return errors.Join(p.standby.close(ctx), p.spare.close(ctx))
}

// Close ends what was kept for jobs to come. No job may be running.
func (p *Provider) Close(ctx context.Context) error {
	return errors.Join(p.Cool(ctx), p.engine.Close())
}

// labels are those of a job's things.
func (p *Provider) labels(job string, owner map[string]string) map[string]string {
	labels := map[string]string{}
	for name, value := range owner {
		labels[labelPrefix+name] = value
	}
	labels[runnerLabel], labels[processLabel], labels[jobLabel] = p.options.Runner, p.process.name, job
	return labels
}

// opening is a job on its way to be open.
type opening struct {
	p        *Provider
	spec     sandbox.Spec
	arch     string
	settings *settings
	wish     imageWish
	services []*service
	labels   map[string]string
	network  string
	job      *job
	// networkReady waits for the job's own network; nil where there is none to be
	// made.
	networkReady func(context.Context) error
	// names is the job's own network for services' names, beside one that it shares
	// with others; "" where there is none. namesReady waits for it.
	names      string
	namesReady func(context.Context) error
}

// Open makes a job's container, network and services, at once where it can.
func (p *Provider) Open(ctx context.Context, spec sandbox.Spec) (_ sandbox.Sandbox, err error) {
	o, err := p.plan(spec)
	if err != nil {
		return nil, err
	}
	p.process.setActive(spec.ID, true)
	defer func() {
		if err == nil {
			return
		}
		if cerr := o.job.Close(context.WithoutCancel(ctx)); cerr != nil {
			p.options.Log.ErrorContext(ctx, "remove what a job's container sandbox had made before it failed", "job", spec.ID, "error", cerr)
		}
	}()
	reaching, reached := observe.Start(ctx, observe.ContainerReach)
	o.arch, err = p.engine.reach(reaching, spec.Log)
	err = observe.Typed("engine_unreachable", err)
	reached(err)
	if err != nil {
		return nil, err
	}
	o.job.arch = o.arch
	if err := o.make(ctx); err != nil {
		return nil, err
	}
	return o.job, o.job.setUp(ctx, o)
}

// plan checks what the workflow wishes, before anything is made.
func (p *Provider) plan(spec sandbox.Spec) (*opening, error) {
	if !hostName.MatchString(spec.ID) {
		return nil, fmt.Errorf("open a container sandbox: the job's id is %q, want letters, digits and dashes", spec.ID)
	}
	if spec.Log == nil {
		spec.Log = func(string) {}
	}
	o := &opening{p: p, spec: spec, wish: imageWish{name: spec.Image}, labels: p.labels(spec.ID, spec.Owner)}
	if c := spec.Container; c != nil {
		o.wish.username, o.wish.password = c.Username, c.Password
		o.wish.name = first(c.Image, spec.Image)
	}
	if o.wish.name == "" {
		return nil, errNoImage
	}
	if c := spec.Container; c != nil && len(c.Entrypoint)+len(c.Command) > 0 {
		spec.Log("container: entrypoint and command are left out: the first process of a job's container is the runner's")
	}
	var lines []string
	var err error
	if o.settings, lines, err = p.wished(spec.Container, anywhere); err != nil {
		return nil, fmt.Errorf("container: %w", err)
	}
	if c := spec.Container; c != nil && o.settings.config.WorkingDir != "" {
		spec.Log("container: --workdir is left out, as on GitHub: steps start in the workspace, or where their working-directory says")
	}
	o.wish.platform = o.settings.platform
	for _, line := range lines {
		spec.Log("container: " + line)
	}
	o.job = &job{actions: actions{provider: p, spec: spec}}
	o.job.around = o.job
	if err := o.planServices(); err != nil {
		return nil, err
	}
	o.network = first(o.settings.network, p.options.Network)
	return o, nil
}

// make does at once what can be done at once.
func (o *opening) make(ctx context.Context) error {
	standby, img := o.takeStandby(ctx)
	g, ctx := errgroup.WithContext(ctx)
	if standby != nil {
		o.network, o.job.network = standby.network, standby.ownNetwork
		o.job.main, o.job.image = standby.running, img
	}
	if o.network == "" {
		defer o.p.spare.refill() // when this job needs the engine no more
		o.network = o.p.spare.take(ctx)
		o.job.network, o.job.spare = o.network, o.network
	}
	if o.network == "" {
		o.network = reserved + o.spec.ID
		o.networkReady = o.beginNetwork(ctx, g, o.network, false)
	}
	if o.needsNames() {
		o.names = reserved + o.spec.ID
		o.namesReady = o.beginNetwork(ctx, g, o.names, true)
	}
	g.Go(func() error {
		if standby != nil {
			return o.joinNames(ctx, standby.id, o.settings.aliases)
		}
		img, err := o.p.ensure(ctx, o.wish, o.spec.Log)
		if err != nil {
			return err
		}
		return o.makeMain(ctx, img)
	})
	g.Go(func() error { return o.makeServices(ctx) })
	err := g.Wait()
	if err != nil && ctx.Err() != nil && context.Cause(ctx) != nil && errors.Is(err, context.Canceled) {
		return context.Cause(ctx)
	}
	return err
}

func (o *opening) makeMain(ctx context.Context, img image.InspectResponse) error {
	name := reserved + o.spec.ID
	bind, err := o.p.makeBind(o.spec.ID)
	if err != nil {
		return err
	}
	r, err := o.p.start(ctx, place{name: name, image: img, settings: o.settings, network: o.network, labels: o.labels, arch: o.arch, bind: bind,
		networkReady: o.networkReady, nameless: o.names != "",
		prepare: func(ctx context.Context, id string) error { return o.joinNames(ctx, id, o.settings.aliases) }})
	if err != nil {
		return err
	}
	o.job.main, o.job.image = r, img
	return nil
}

// user is whom steps run as: the workflow's or operator's choice, else the image's.
func (o *opening) user() string {
	return place{settings: o.settings, image: o.job.image}.user()
}

// setup is what the helper is told.
func (o *opening) setup(workspace string) stream.Setup {
	env := map[string]string{}
	for k, v := range o.spec.Env {
		env[k] = v
	}
	for _, pair := range o.settings.config.Env {
		k, v, _ := strings.Cut(pair, "=")
		env[k] = v
	}
	s := stream.Setup{
		Workspace: workspace,
		Temp:      workRoot + "/" + tempName,
		Folders:   []string{o.job.toolCache()},
		User:      o.user(),
		Env:       env,
	}
	if o.job.main.fixedUser {
		s.User = "" // it is that user already
	}
	return s
}
