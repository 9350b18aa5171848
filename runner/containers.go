package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/config"
	"otelrunner/runner/label"
	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/container/helperbin"
)

// containers is a runner's container sandbox. It is made when the first job, or a
// docker:// label, needs it: a runner that has nothing to do with containers
// touches no socket.
type containers struct {
	images   []string // of the labels, each once
	only     bool     // no label is of another kind
	required bool
	past     bool // a process before this one may have used the engine
	log      *slog.Logger
	provider func() (*container.Provider, error)
	process  *container.Process // nil: its own

	mu      sync.Mutex
	opened  *container.Provider
	retired bool

	keeps bool // what is made is kept in order
	watch *engineWatch

	keeping sync.Once
	stop    context.CancelFunc // ends keep
	kept    chan struct{}      // closed when it has ended
	kick    chan struct{}      // holds one value: a job has met an engine that is away
	swept   chan error         // gets what the first sweep could not remove
	used    func()             // is told that the engine is used; nil: nobody is
}

// newContainers makes nothing yet. uuid names what is made on the engine, so that
// a later run of the same runner finds what this one left there; "" is not looked
// for.
func newContainers(cfg *config.Config, uuid string, labels label.List, log *slog.Logger) *containers {
	c := &containers{
		images: imagesOf(labels), log: log, required: cfg.Container.RequireDocker, only: onlyContainers(labels),
		keeps: uuid != "", kick: make(chan struct{}, 1), swept: make(chan error, 1),
	}
	c.watch = &engineWatch{ask: c.ask, changed: func() {}, log: log}
	if wasmOnly(cfg) { // nothing is asked of an engine, whatever the labels are
		c.images, c.only, c.required = nil, false, false
		c.provider = func() (*container.Provider, error) { return nil, noContainers }
		return c
	}
	c.provider = sync.OnceValues(func() (*container.Provider, error) {
		o := containerOptions(&cfg.Container, uuid, log)
		o.Process = c.process
		p, err := container.New(o)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.opened = p
		return p, nil
	})
	return c
}

// imagesOf are the images of the labels, each once.
func imagesOf(labels label.List) (images []string) {
	for _, l := range labels {
		if l.Scheme == label.Docker && !slices.Contains(images, l.Arg) {
			images = append(images, l.Arg)
		}
	}
	return images
}

// onlyContainers reports whether every label needs the container engine.
func onlyContainers(labels label.List) bool {
	return len(labels) > 0 && !slices.ContainsFunc(labels, func(l label.Label) bool { return l.Scheme != label.Docker })
}

// containerOptions are the configuration's.
func containerOptions(c *config.Container, uuid string, log *slog.Logger) container.Options {
	return container.Options{
		Host: c.DockerHost, Timeout: max(c.DockerTimeout, 1), // 0 would be the default
		Network: c.Network, Flags: c.Options, Privileged: c.Privileged,
		CPUs: c.CPUs, Memory: c.Memory, PIDs: c.PIDs, Runtime: c.Runtime,
		ValidVolumes: c.ValidVolumes, Pull: container.Pull(c.Pull), DockerConfig: c.DockerConfig,
		BindWorkdir: c.BindWorkdir, WorkdirParent: c.WorkdirParent,
		HealthTimeout: c.ServiceReadyTimeout, Standby: c.Standby, Runner: uuid,
		Helper: helperbin.Bytes, HelperArgs: []string{helperbin.Argument}, Log: log,
	}
}

// Open implements sandbox.Provider.
func (c *containers) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	p, err := c.provider()
	if err != nil {
		return nil, err
	}
	c.begin(p)
	box, err := p.Open(ctx, spec)
	if err != nil && c.watch.look(ctx, 0) != "" && ctx.Err() == nil {
		// The job was the first to meet an engine that has gone away: it gets the
		// time to come back that it would have got a moment later.
		box, err = c.openAgain(ctx, p, spec)
		select {
		case c.kick <- struct{}{}:
		default:
		}
	}
	return box, err
}

// OpenContainers implements sandbox.ContainerOpener. An engine that never answers is
// not looked for again: a runner without docker:// labels needs none.
func (c *containers) OpenContainers(ctx context.Context, s sandbox.Sandbox, spec sandbox.Spec) (sandbox.HostContainers, error) {
	p, err := c.provider()
	if err != nil {
		return nil, err
	}
	if err := p.Reach(ctx, spec.Log); err != nil {
		return nil, observe.Typed("engine_unreachable", err)
	}
	c.begin(p)
	return p.OpenContainers(ctx, s, spec)
}

// empty removes what containers' users have left in the folder of a host job. An
// engine that this runner has never used has nothing to do with it.
func (c *containers) empty(ctx context.Context, folder string) error {
	c.mu.Lock()
	p := c.opened
	c.mu.Unlock()
	if p == nil && !c.past {
		return nil
	}
	p, err := c.provider()
	if err != nil {
		return err
	}
	return p.Empty(ctx, folder)
}

// openAgain waits for an engine that went away while a job's sandbox was made. What
// had been made of it has the names of what will be.
func (c *containers) openAgain(ctx context.Context, p *container.Provider, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := p.Reach(ctx, spec.Log); err != nil {
		return nil, observe.Typed("engine_unreachable", err)
	}
	if _, err := p.Sweep(ctx); err != nil {
		c.log.Warn("remove what a job's sandbox had got before the container engine went away", "job", spec.ID, "error", err)
	}
	return p.Open(ctx, spec)
}

// needed reports whether the runner cannot do all it should without the engine.
func (c *containers) needed() bool { return len(c.images) > 0 || c.required }

// ask asks the engine whether it is there.
func (c *containers) ask(ctx context.Context) error {
	p, err := c.provider()
	if err != nil {
		return err
	}
	return p.Look(ctx)
}

// look says why the engine that the labels need cannot be used, now; "" that it can,
// or that none needs it.
func (c *containers) look(ctx context.Context) string {
	if !c.needed() {
		return ""
	}
	return c.watch.look(ctx, lookFresh)
}

// away is look by what was seen last.
func (c *containers) away() string {
	if !c.needed() {
		return ""
	}
	return c.watch.reason()
}

// start makes the container sandbox of a runner that has docker:// labels, or that
// requires an engine. A runner that can do nothing without the engine waits for it
// and gives up with an error; another one goes on, and away says why its docker://
// labels cannot be served. It is called before the first Open.
func (c *containers) start(ctx context.Context) error {
	if !c.needed() {
		return nil
	}
	p, err := c.provider()
	if err != nil {
		return err
	}
	if c.required || c.only {
		if err := p.Reach(ctx, c.waiting); err != nil {
			return err
		}
	}
	c.watch.look(ctx, 0)
	c.begin(p)
	return nil
}

// join is start for a runner that serves already: it waits for nothing.
func (c *containers) join(ctx context.Context) {
	if !c.needed() {
		return
	}
	c.watch.look(ctx, lookFresh)
	if p, err := c.provider(); err == nil {
		c.begin(p)
	}
}

// begin begins, once, to keep the runner's things on the engine in order until
// close: what dead processes left is removed, now and every sweepEvery, and
// containers are kept ready.
func (c *containers) begin(p *container.Provider) {
	if !c.keeps {
		return
	}
	c.keeping.Do(func() {
		if c.used != nil {
			c.used()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.retired {
			return
		}
		var ctx context.Context
		ctx, c.stop = context.WithCancel(context.Background())
		c.kept = make(chan struct{})
		go func() {
			defer close(c.kept)
			c.keep(ctx, p)
		}()
	})
}

// sweep begins to remove what a process before this one has left on the engine, if
// it may have (it is known to have used it, or this one will). What it returns gets,
// once, what could not be removed. It is called once at most.
func (c *containers) sweep(used bool) <-chan error {
	none := make(chan error, 1)
	if !used && !c.needed() {
		none <- nil
		return none
	}
	p, err := c.provider()
	if err != nil {
		c.log.Warn("what a process before this one left on the container engine cannot be removed", "error", err)
		none <- err
		return none
	}
	c.begin(p)
	return c.swept
}

func (c *containers) waiting(line string) { c.log.Info(line) }

// sweepEvery is how often a runner looks for what nobody removed; againAfter is when
// it looks for the second time, since the engine may still be making what a dead
// runner has asked for in its last moment. It is also how soon after a sweep that
// failed.
const (
	sweepEvery = 10 * time.Minute
	againAfter = 15 * time.Second
)

// keep keeps a runner's things on the engine in order until ctx ends, and looks for
// the engine while it is away.
func (c *containers) keep(ctx context.Context, p *container.Provider) {
	var due time.Time // when the next sweep is
	warm := sync.OnceFunc(func() {
		if c.needed() {
			p.KeepNetwork()
		}
		for _, image := range c.images {
			p.Warm(image)
		}
	})
	for again := true; ctx.Err() == nil; {
		wait := lookAway
		if c.watch.look(ctx, 0) == "" && ctx.Err() == nil {
			warm()
			if !time.Now().Before(due) {
				due = time.Now().Add(againAfter)
				if all, resists := c.sweepOnce(ctx, p); all {
					select {
					case c.swept <- resists:
					default: // nobody asks for the sweeps after the first
					}
					if !again {
						due = time.Now().Add(sweepEvery)
					}
					again = false
				}
			}
			wait = time.Until(due)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-c.kick:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// sweepOnce removes what dead processes have left, and reports whether all was removed
// that can be, and what resists. That is no reason to take no jobs, nor to wait for it.
func (c *containers) sweepOnce(ctx context.Context, p *container.Provider) (all bool, _ error) {
	n, err := p.Sweep(ctx)
	if n > 0 {
		c.log.Info("what a dead runner or job left on the container engine is removed", "things", n)
	}
	_, resists := errors.AsType[*container.LeftoverError](err)
	if err != nil && ctx.Err() == nil {
		again := againAfter
		if resists {
			again = sweepEvery
		}
		c.log.Warn("not all that a dead runner or job left on the container engine could be removed; it is tried again", "again_in", again, "error", err)
	}
	return err == nil || resists && ctx.Err() == nil, err
}

// closeTime bounds how long the end may take.
const closeTime = 30 * time.Second

// retire ends what is kept ready, and in order: a generation after this one does
// that. Jobs go on.
func (c *containers) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired = true
	c.endKeeping()
	if c.opened == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := c.opened.Cool(ctx); err != nil {
		c.log.Warn("end the containers that were kept ready", "error", err)
	}
}

// endKeeping ends keep, where it runs; mu is held.
func (c *containers) endKeeping() {
	if c.stop != nil {
		c.stop()
		<-c.kept
	}
}

// close ends what is kept ready. No job may be running.
func (c *containers) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endKeeping()
	if c.opened == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := c.opened.Close(ctx); err != nil {
		c.log.Warn("end the container sandbox", "error", fmt.Errorf("%w; what is left is removed at the next start", err))
	}
}
