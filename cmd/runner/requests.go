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
// Reloads are loaded with load; what it refuses is logged and goes no further. A
// reload waits for the runner to take it, and gives way to a later one; it keeps
// nothing else waiting.
func follow(load func() (*config.Loaded, error), log *slog.Logger) (drains chan struct{}, reloads chan *config.Config, end func()) {
	drain, reload, unsubscribe := requests()
	drains, reloads = make(chan struct{}, 1), make(chan *config.Config, 1)
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
				if cfg := reloaded(load, log); cfg != nil {
					select {
					case <-reloads: // nobody has taken the one before
					default:
					}
					reloads <- cfg // has room: nobody else sends
				}
			case <-done:
				return
			}
		}
	})
	return drains, reloads, func() { unsubscribe(); close(done); following.Wait() }
}

// reloaded loads the configuration anew; nil if it is wrong.
func reloaded(load func() (*config.Loaded, error), log *slog.Logger) *config.Config {
	cfg, err := load()
	if err != nil {
		log.Error("reload: the new configuration is not used; the old one stays", "error", err)
		return nil
	}
	for _, w := range cfg.Warnings {
		log.Warn(w)
	}
	return &cfg.Config
}
