package runner

import (
	"context"
	"fmt"
	"strings"

	"otelrunner/runner/config"

	"github.com/docker/go-units"
)

// What the parts of a generation are made from: one whose key is the same serves the
// next generation too.
type (
	containersKey struct {
		container config.Container
		images    []string
	}
	wasmsKey struct {
		sandbox config.Sandbox
		wanted  bool
	}
	modulesKey struct {
		sandbox config.Sandbox
		envs    map[string]string
	}
)

// generation makes what serves jobs under cfg, with what of old can go on. It is
// given to generations.put, or to drop.
func (s *service) generation(ctx context.Context, l *live, cfg *config.Config, old *generation) (_ *generation, err error) {
	g := &generation{terms: terms{cfg: cfg}}
	defer func() {
		if err != nil {
			l.drop(g)
		}
	}()
	if g.labels, err = servedLabels(cfg, s.reg); err != nil {
		return nil, err
	}
	if wasmOnly(cfg) {
		if err := checkWasmOnly(cfg, g.labels, s.log); err != nil {
			return nil, err
		}
	}
	g.docker, _ = share(g, old, containersKey{cfg.Container, imagesOf(g.labels)}, func() *containers {
		c := newContainers(cfg, s.reg.UUID, g.labels, s.log)
		c.process, c.watch.changed, c.used = l.process, l.engineChanged, s.usesContainers
		c.past = s.journal != nil && s.journal.Marked(usedContainers)
		return c
	})
	var fresh bool
	limits := cfg.Sandbox
	limits.Compiles = 0 // is set in what all generations share
	g.wasms, fresh = share(g, old, wasmsKey{limits, wantsWasm(cfg, g.labels)}, func() *wasms { return newWasms(cfg, g.labels, s.turns, s.wasm, s.log) })
	g.modules, _ = share(g, old, modulesKey{limits, cfg.Runner.Envs}, func() *moduleRunner { return newModuleRunner(cfg, nil, s.turns, s.wasm, s.log) })
	if old != nil { // the first generation's begin with the runner, which waits for them
		g.docker.join(ctx)
		if fresh {
			if err := g.wasms.start(ctx); err != nil {
				return nil, err
			}
		}
	}
	if g.engine, err = s.engine(ctx, cfg, g.labels, g.docker, g.wasms, g.modules, g.resisted); err != nil {
		return nil, err
	}
	g.secrets = append(runnerSecrets(cfg, s.Environ), s.reg.Token)
	if g.telemetry = s.telemetry(cfg); old != nil {
		g.telemetry.roots = old.telemetry.roots
	}
	if old != nil && old.copies != nil && old.cfg.Log.Job.Dir == cfg.Log.Job.Dir {
		g.copies = old.copies
		return g, nil
	}
	g.copies, err = openJobLogs(&cfg.Log.Job, s.log)
	return g, err
}

// usesContainers notes that this runner has used the container engine.
func (s *service) usesContainers() {
	if s.journal == nil {
		return
	}
	if err := s.journal.Mark(usedContainers); err != nil {
		s.log.Warn("journal", "error", err)
	}
}

// follow takes new configurations until ctx ends.
func (s *service) follow(ctx context.Context, stop *shutdown, l *live) {
	for {
		select {
		case next := <-s.Reloads:
			s.notify.reloading()
			s.reload(ctx, stop, l, next)
			s.notify.ready(serving(s.reg.Name, int(s.running.Load()), l.now().cfg.Runner.Capacity))
		case <-ctx.Done():
			return
		}
	}
}

// reload takes what can change from a new configuration. Jobs that run keep what
// they began with. What is wrong leaves all as it was.
func (s *service) reload(ctx context.Context, stop *shutdown, l *live, next *config.Config) {
	old := l.now()
	cfg, taken, left := config.Reload(old.cfg, next)
	if len(left) > 0 {
		s.log.Warn("reload: these keys need a restart of the runner, and are as they were: " + strings.Join(left, ", "))
	}
	if len(taken) == 0 {
		s.log.Info("reload: nothing has changed")
		return
	}
	g, err := s.generation(ctx, l, cfg, old)
	if err == nil {
		if err = s.apply(stop, l, g); err != nil {
			l.drop(g)
		}
	}
	if err != nil {
		s.log.Error("reload: the new configuration is not used; the old one stays", "error", err)
		return
	}
	l.put(g)
	l.engineChanged() // the labels may be others
	if s.Reloaded != nil {
		s.Reloaded(cfg)
	}
	s.log.Info("reload: done", "changed", strings.Join(taken, ", "))
}

// apply sets what is not of a generation's own. Its error leaves all as it was.
func (s *service) apply(stop *shutdown, l *live, g *generation) error {
	cfg := g.cfg
	size, err := units.RAMInBytes(cfg.Journal.MaxSize)
	if err != nil {
		return fmt.Errorf("journal.max_size: %w", err)
	}
	if g.copies != nil {
		if err := g.copies.set(&cfg.Log.Job); err != nil {
			return err
		}
	}
	if err := l.admission.set(cfg, s.roomy(cfg)); err != nil {
		return err
	}
	if s.journal != nil {
		s.journal.SetLimits(size, journalKeep(cfg))
	}
	s.turns.Set(cfg.Sandbox.Compiles)
	stop.setTimeout(cfg.Runner.ShutdownTimeout)
	s.readiness.SetGrace(readinessGrace(cfg))
	s.in.SetCapacity(cfg.Runner.Capacity)
	l.poller.SetFetchTimeout(cfg.Runner.FetchTimeout)
	l.poller.Set(cfg.Runner.Capacity, cfg.Runner.FetchInterval, cfg.Runner.FetchIntervalMax)
	return nil
}
