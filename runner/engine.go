package runner

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"

	"otelrunner/runner/action"
	"otelrunner/runner/config"
	"otelrunner/runner/job"
	"otelrunner/runner/label"
	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
)

// engineOptions are what Serve and Exec build their engines from.
type engineOptions struct {
	cfg       *config.Config
	env       map[string]string // for every step, stronger than runner.envs
	labels    label.List
	name      string
	version   string
	instance  string // the server's address; "" where there is none
	environ   []string
	owner     map[string]string
	transport http.RoundTripper
	docker    sandbox.Provider                        // the container sandbox
	beside    besideHost                              // the containers of host jobs' actions
	wasm      sandbox.Provider                        // the WASM sandbox
	modules   sandbox.ModuleRunner                    // that of modules in other jobs
	caches    *caches                                 // nil: jobs have no cache
	onHost    func(sandbox.Provider) sandbox.Provider // stands before the host's; nil: nothing does
	instead   job.Instead                             // does the work of some actions; nil: nothing does
	resists   func(error)                             // is told what dead runners left and could not be removed; nil: nobody is
	log       *slog.Logger
}

// besideHost is what host jobs have of the container engine.
type besideHost interface {
	sandbox.ContainerOpener
	// empty is for host.Options.
	empty(ctx context.Context, folder string) error
}

func newEngine(ctx context.Context, o engineOptions) (*job.Runner, error) {
	onHost, err := hostSandbox(ctx, o)
	if err != nil {
		return nil, err
	}
	transport, trust, err := fetchTransport(o)
	if err != nil {
		return nil, err
	}
	actions, err := action.New(action.Options{Dir: actionsDir(o.cfg), Transport: transport, Log: o.log})
	if err != nil {
		return nil, err
	}
	modules, err := newModules(o.cfg, transport, o.log)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	maps.Copy(env, o.cfg.Runner.Envs)
	maps.Copy(env, o.env)
	var containers sandbox.ContainerOpener
	if o.cfg.Host.DockerActions {
		containers = o.beside
	}
	return job.New(job.Options{
		Name: o.name, Version: o.version, Instance: o.instance, Labels: o.labels,
		Providers: map[label.Scheme]sandbox.Provider{
			label.Host:   onHost,
			label.Docker: o.docker,
			label.Wasm:   o.wasm,
		},
		Actions: actions, Instead: o.instead, Modules: modules, ModuleRunner: o.modules, Containers: containers,
		RefuseEarly: wasmOnly(o.cfg), Trust: trust, Cache: o.caches.of(o.instance), CacheURL: o.caches.external(),
		Env: env, Owner: o.owner, NodePath: o.cfg.Runner.NodePath, Timeout: o.cfg.Runner.Timeout, Logger: o.log,
	}), nil
}

// hostSandbox is the host's, which the mode wasm-only does not make.
func hostSandbox(ctx context.Context, o engineOptions) (sandbox.Provider, error) {
	if wasmOnly(o.cfg) {
		return refusing{noHost}, nil
	}
	hosts, err := host.New(ctx, host.Options{Root: o.cfg.Host.WorkdirParent, Environ: o.environ, Empty: o.beside.empty, Log: o.log})
	if err != nil {
		return nil, fmt.Errorf("host sandbox: %w", err)
	}
	if err := hosts.Leftovers(); err != nil && o.resists != nil {
		o.resists(err)
	}
	if o.onHost != nil {
		return o.onHost(hosts), nil
	}
	return hosts, nil
}

// actionsDir is where fetched actions are kept.
func actionsDir(cfg *config.Config) string {
	if cfg.Runner.ActionsDir != "" {
		return cfg.Runner.ActionsDir
	}
	return filepath.Join(cacheDir(), "actions")
}
