package main

import (
	"log/slog"

	"otelrunner/runner"
	"otelrunner/runner/config"

	"github.com/urfave/cli/v2"
)

func (p *program) serveCommand() *cli.Command {
	return &cli.Command{
		Name:    "serve",
		Aliases: []string{"daemon"},
		Usage:   "take jobs from the server and run them, until told to stop",
		Description: "Needs the registration file that `runner register` writes.\n\n" +
			"SIGTERM or SIGINT: no more jobs are taken, running ones may go on for runner.shutdown_timeout,\n" +
			"are then cancelled (their always() steps run), and reported. Each further signal goes one\n" +
			"step further at once: cancel, kill, give up reporting.\n" +
			"SIGUSR1 (`runner drain`): no more jobs are taken, running ones finish, then it ends.\n" +
			"SIGHUP: the configuration is read again; what cannot change in a running process is named in the log.\n\n" +
			"Exit codes: 0 it was told to stop and nothing was left undone; 1 an error; 2 the configuration\n" +
			"is wrong; 3 the runner is not registered, or not any more.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "once", Usage: "run one job, then end (an ephemeral runner always does)", DisableDefaultText: true},
			&cli.BoolFlag{Name: wasmOnlyFlag, Usage: "run nothing but WebAssembly: no job on this machine itself, no container engine, no other program (sandbox.mode)", DisableDefaultText: true},
			&cli.BoolFlag{Name: allowWeakFlag, Usage: "with --" + wasmOnlyFlag + ", start also where the kernel has no Landlock (sandbox.allow_weak)", DisableDefaultText: true},
		},
		Action: p.serve,
	}
}

const (
	wasmOnlyFlag  = "wasm-only"
	allowWeakFlag = "allow-weak-sandbox"
)

func (p *program) serve(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	cfg, err := p.loadConfig(c)
	if err != nil {
		return err
	}
	level := &slog.LevelVar{}
	level.Set(levels[cfg.Log.Level])
	log := newLeveledHandler(p.stderr, cfg.Log.Format, level)
	sendSDKErrors(log)
	for _, w := range cfg.Warnings {
		logWarning(log, w)
	}
	stops, end := p.stops()
	defer end()
	drains, reloads, unfollow := follow(func() (*config.Loaded, error) { return p.loadConfig(c) }, slog.New(log))
	defer unfollow()
	return runner.Serve(c.Context, runner.ServeOptions{
		Config: &cfg.Config, Version: programVersion(), Once: c.Bool("once"),
		Environ: p.environ, Log: log, Stops: stops, Drains: drains, Reloads: reloads,
		Reloaded: func(cfg *config.Config) { level.Set(levels[cfg.Log.Level]) },
	})
}

// stops turns signals into requests to stop.
func (p *program) stops() (<-chan struct{}, func()) {
	signals, end := p.signals()
	stops, done, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		for {
			select {
			case <-signals:
			case <-done:
				return
			}
			select {
			case stops <- struct{}{}:
			case <-done:
				return
			}
		}
	}()
	return stops, func() { end(); close(done); <-gone }
}
