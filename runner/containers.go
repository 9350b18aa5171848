package runner

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

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
	log      *slog.Logger
	provider func() (*container.Provider, error)

	mu     sync.Mutex
	opened *container.Provider

	keeps bool                // what is made is kept in order
	gate  func(reason string) // of the runner's readiness

	keeping sync.Once
	stop    context.CancelFunc // ends keep
	kept    chan struct{}      // closed when it has ended
	swept   chan struct{}      // closed after the first sweep
	used    func()             // is told that the engine is used; nil: nobody is
}

// newContainers makes nothing yet. uuid names what is made on the engine, so that
// a later run of the same runner finds what this one left there; "" is not looked
// for.
func newContainers(cfg *config.Config, uuid string, labels label.List, log *slog.Logger) *containers {
	c := &containers{
		log: log, required: cfg.Container.RequireDocker, only: len(labels) > 0,
		keeps: uuid != "", gate: func(string) {}, swept: make(chan struct{}),
	}
	for _, l := range labels {
		if l.Scheme != label.Docker {
			c.only = false
		} else if !slices.Contains(c.images, l.Arg) {
			c.images = append(c.images, l.Arg)
		}
	}
	if wasmOnly(cfg) { // nothing is asked of an engine, whatever the labels are
		c.images, c.only, c.required = nil, false, false
		c.provider = func() (*container.Provider, error) { return nil, noContainers }
		return c
	}
	c.provider = sync.OnceValues(func() (*container.Provider, error) {
		p, err := container.New(containerOptions(&cfg.Container, uuid, log))
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
	return p.Open(ctx, spec)
}

// start makes the container sandbox of a runner that has docker:// labels, or that
// requires an engine. A runner that can do nothing without the engine waits for it
// and gives up with an error; another one goes on, with a gate that says why it is
// not ready. It is called before the first Open.
func (c *containers) start(ctx context.Context, gate func(reason string)) error {
	if len(c.images) == 0 && !c.required {
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
	c.gate = gate
	c.begin(p)
	return nil
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
// it may have (it is known to have used it, or this one will), and returns the
// channel that is closed after that.
func (c *containers) sweep(used bool) <-chan struct{} {
	if used || len(c.images) > 0 || c.required {
		p, err := c.provider()
		if err == nil {
			c.begin(p)
			return c.swept
		}
		c.log.Warn("what a process before this one left on the container engine cannot be removed", "error", err)
	}
	none := make(chan struct{})
	close(none)
	return none
}

func (c *containers) waiting(line string) { c.log.Info(line) }

// sweepEvery is how often a runner looks for what nobody removed; againAfter is when
// it looks for the second time, since the engine may still be making what a dead
// runner has asked for in its last moment. It is also how
// soon after an engine was away.
const (
	sweepEvery = 10 * time.Minute
	againAfter = 15 * time.Second
)

// keep keeps a runner's things on the engine in order until ctx ends.
func (c *containers) keep(ctx context.Context, p *container.Provider) {
	away, warm, looked := false, false, false
	swept := sync.OnceFunc(func() { close(c.swept) })
	for wait := time.Duration(0); sleep(ctx, wait) == nil; {
		wait = sweepEvery
		err := p.Reach(ctx, c.waiting)
		if err == nil {
			var n int
			if n, err = p.Sweep(ctx); n > 0 {
				c.log.Info("what a dead runner or job left on the container engine is removed", "things", n)
			}
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = againAfter
			c.gate(err.Error())
			if !away {
				c.log.Warn("the jobs of docker:// labels fail until the container engine is back", "error", err)
			}
			away = true
			continue
		case away:
			c.log.Info("the container engine is back")
		}
		if away = false; !looked {
			looked, wait = true, againAfter
		}
		swept()
		c.gate("")
		if !warm {
			warm = true
			for _, image := range c.images {
				p.Warm(image)
			}
		}
	}
}

// closeTime bounds how long the end may take.
const closeTime = 30 * time.Second

// close ends what is kept ready. No job may be running.
func (c *containers) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop != nil {
		c.stop()
		<-c.kept
	}
	if c.opened == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	if err := c.opened.Close(ctx); err != nil {
		c.log.Warn("end the container sandbox", "error", fmt.Errorf("%w; what is left is removed at the next start", err))
	}
}
