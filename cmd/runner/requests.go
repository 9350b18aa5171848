package main

import (
	"log/slog"
	"sync"

	"otelrunner/runner"
	"otelrunner/runner/config"

	"github.com/urfave/cli/v2"
)

func (p *program) drainCommand() *cli.Command {
	return &cli.Command{
		Name:  "drain",
		Usage: "let the running runner finish its jobs and end",
		Description: "Asks the runner that serves with the same configuration on this machine (by SIGUSR1) to take\n" +
			"no more jobs, and waits until it has ended: for a service manager before it stops the runner.\n\n" +
			"Exit codes: 0 it has ended (or was told, with --no-wait); 1 it could not be told, or none runs.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-wait", Usage: "only tell it", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			cfg, err := p.loadConfig(c)
			if err != nil {
				return err
			}
			return runner.Drain(c.Context, &cfg.Config, !c.Bool("no-wait"))
		},
	}
}

// follow passes on what signals ask of a running runner, until end is called.
// Reloads are loaded with load; what it refuses is logged and goes no further.
func follow(load func() (*config.Loaded, error), level *slog.LevelVar, log *slog.Logger) (drains chan struct{}, reloads chan *config.Config, end func()) {
	drain, reload, unsubscribe := requests()
	drains, reloads = make(chan struct{}, 1), make(chan *config.Config)
	done := make(chan struct{})
	var following sync.WaitGroup
	following.Go(func() {
		for {
			select {
			case <-drain:
				select {
				case drains <- struct{}{}:
				default: // it drains already
				}
			case <-reload:
				pass(load, level, log, reloads, done)
			case <-done:
				return
			}
		}
	})
	return drains, reloads, func() { unsubscribe(); close(done); following.Wait() }
}

// pass loads the configuration anew and hands it on.
func pass(load func() (*config.Loaded, error), level *slog.LevelVar, log *slog.Logger, reloads chan<- *config.Config, done <-chan struct{}) {
	cfg, err := load()
	if err != nil {
		log.Error("reload: the new configuration is not used; the old one stays", "error", err)
		return
	}
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	select {
	case reloads <- &cfg.Config:
		level.Set(levels[cfg.Log.Level])
	case <-done:
	}
}
