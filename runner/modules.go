package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"otelrunner/runner/action/wasmmodule"
	"otelrunner/runner/config"
	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/netgate"
)

// NewModuleSandbox makes the WASM sandbox of a terminal's command: without a shell
// and a spare worker, with the configuration's limits where limits has none. Its
// Close has to be called.
func NewModuleSandbox(cfg *config.Config, limits wasm.Limits, log slog.Handler) (*wasm.Provider, error) {
	return wasm.New(moduleOptions(cfg, limits, wasm.NewTurns(cfg.Sandbox.Compiles), slog.New(log)))
}

func moduleOptions(cfg *config.Config, limits wasm.Limits, turns *wasm.Turns, log *slog.Logger) wasm.Options {
	return wasm.Options{
		Turns: turns,
		Root:  sandboxDir(cfg), CompiledSize: int64(cfg.Sandbox.CompiledSize), Limits: limits.Or(ModuleLimits(cfg)), NoSpare: true,
		Deterministic: cfg.Sandbox.Deterministic, Network: networkOf(cfg, log), Log: log,
	}
}

// networkOf is what makes the requests of modules; nil is no network.
func networkOf(cfg *config.Config, log *slog.Logger) wasm.Network {
	if len(cfg.Sandbox.NetworkAllow) == 0 {
		return nil
	}
	gate, err := netgate.New(cfg.Sandbox.NetworkAllow, netgate.Options{})
	if err != nil { // the configuration was checked: nobody gets what was not understood
		log.Error("the WASM sandbox has no network: sandbox.network_allow cannot be read", "error", err)
		return nil
	}
	return gate
}

// ModuleLimits are the configuration's limits of the WASM sandbox.
func ModuleLimits(cfg *config.Config) wasm.Limits { return wasmLimits(&cfg.Sandbox) }

// moduleRunner runs the modules of jobs that are not in the WASM sandbox. It makes
// nothing before the first one.
type moduleRunner struct {
	env      map[string]string // for every step
	log      *slog.Logger
	provider func() (*wasm.Provider, error)

	mu     sync.Mutex
	opened *wasm.Provider
}

var _ sandbox.ModuleRunner = (*moduleRunner)(nil)

// newModuleRunner makes nothing yet. change, which may be nil, alters the options.
func newModuleRunner(cfg *config.Config, env map[string]string, turns *wasm.Turns, change func(*wasm.Options), log *slog.Logger) *moduleRunner {
	m := &moduleRunner{env: maps.Clone(cfg.Runner.Envs), log: log}
	if m.env == nil {
		m.env = map[string]string{}
	}
	maps.Copy(m.env, env)
	m.provider = sync.OnceValues(func() (*wasm.Provider, error) {
		o := moduleOptions(cfg, wasm.Limits{}, turns, log)
		if change != nil {
			change(&o)
			o.Toolbox = nil
		}
		p, err := wasm.New(o)
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.opened = p
		return p, nil
	})
	return m
}

// retire does nothing: nothing is kept ready.
func (m *moduleRunner) retire() {}

// close ends it. No job may be running.
func (m *moduleRunner) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opened == nil {
		return
	}
	if err := m.opened.Close(); err != nil {
		m.log.Warn("end the WASM sandbox of modules", "error", err)
	}
}

// RunModule implements sandbox.ModuleRunner: a sandbox for one command.
func (m *moduleRunner) RunModule(ctx context.Context, s sandbox.Sandbox, c *sandbox.Command) (res sandbox.Result, err error) {
	res.ExitCode = -1
	shared, ok := s.(sandbox.Sharer)
	if !ok {
		return res, fmt.Errorf("the sandbox of this job (%s) cannot share its workspace with a WebAssembly module: run the job on a label of the kind name:wasm: %w", s.Info().Kind, sandbox.ErrUnsupported)
	}
	p, err := m.provider()
	if err != nil {
		return res, err
	}
	folders, release, err := shared.Share(ctx)
	if err != nil {
		return res, fmt.Errorf("share the workspace with a WebAssembly module: %w", err)
	}
	defer func() {
		if e := release(context.WithoutCancel(ctx)); e != nil {
			err = errors.Join(err, fmt.Errorf("bring back what the WebAssembly module has changed in the workspace: %w", e))
		}
	}()
	spec := sandbox.Spec{ID: s.Info().ID, Repository: "module/own", Env: m.env, Log: tellTo(c)}
	box, err := p.OpenMounts(ctx, spec, folders)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, box.Close(context.WithoutCancel(ctx))) }()
	info := s.Info()
	inside := *c
	if inside.Path = nil; !path.IsAbs(inside.Dir) {
		inside.Dir = path.Join(info.Workspace, inside.Dir)
	}
	if inside.Args = slices.Clone(c.Args); !path.IsAbs(c.Args[0]) {
		inside.Args[0] = path.Join(info.Workspace, c.Args[0])
	}
	return box.Run(ctx, &inside)
}

// tellTo writes what the sandbox says among a command's own words.
func tellTo(c *sandbox.Command) func(string) {
	return func(line string) {
		if c.Stderr != nil {
			_, _ = fmt.Fprintln(c.Stderr, line)
		}
	}
}

// newModules makes what fetches modules.
func newModules(cfg *config.Config, transport http.RoundTripper, log *slog.Logger) (*wasmmodule.Fetcher, error) {
	return wasmmodule.New(wasmmodule.Options{
		Dir: filepath.Join(actionsDir(cfg), "modules"), MaxModule: int64(cfg.Sandbox.ModuleSize), Transport: transport, Log: log,
		Credentials: container.Credentials(cfg.Container.DockerConfig),
	})
}
