package main

import (
	"fmt"
	"os"
	"time"

	"otelrunner/runner/simulate"

	"github.com/urfave/cli/v2"
)

func (p *program) simulateCommand() *cli.Command {
	return &cli.Command{
		Name:  "simulate",
		Usage: "measure what a fleet of runners costs its server",
		Description: "Runs the fleet in this process against a server in this process, with the real polling and\n" +
			"reporting and with jobs that only write rows, in real time: working with the default settings and\n" +
			"with settings that halve the requests, each through an outage, and idle. Nothing is contacted;\n" +
			"journals are kept in a folder below TMPDIR, which is removed.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "runners", Usage: "`NUMBER` of runners", Value: 200},
			&cli.IntFlag{Name: "capacity", Usage: "`NUMBER` of jobs that each runs", Value: 3},
			&cli.Float64Flag{Name: "writing", Usage: "`SHARE` of the jobs that write a row a second, 0 to 1", Value: 0.7},
			&cli.DurationFlag{Name: "measure", Usage: "measure each for `DURATION`", Value: 30 * time.Second},
			&cli.DurationFlag{Name: "outage", Usage: "take the server away for `DURATION`", Value: 30 * time.Second},
			&cli.IntFlag{Name: "arrivals", Usage: "`NUMBER` of jobs that come to the idle fleet", Value: 100},
		},
		Action: p.simulate,
	}
}

func (p *program) simulate(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	s := simulate.Study{
		Runners: c.Int("runners"), Capacity: c.Int("capacity"), Writing: c.Float64("writing"),
		Warmup: 15 * time.Second, Measure: c.Duration("measure"), Outage: c.Duration("outage"), Arrivals: c.Int("arrivals"),
	}
	switch {
	case s.Runners < 1 || s.Runners > 10_000 || s.Capacity < 1 || s.Capacity > 1000:
		return usagef("--runners takes 1 to 10000 and --capacity 1 to 1000, found %d and %d", s.Runners, s.Capacity)
	case !(s.Writing >= 0 && s.Writing <= 1):
		return usagef("--writing is a share from 0 to 1, found %g", s.Writing)
	case s.Measure < time.Second || s.Outage < time.Second:
		return usagef("--measure and --outage are at least 1s, found %s and %s", s.Measure, s.Outage)
	case s.Arrivals < 1 || s.Arrivals > 100_000:
		return usagef("--arrivals takes 1 to 100000, found %d", s.Arrivals)
	}
	ctx, stop := p.interruptible(c.Context)
	defer stop()
	dir, err := os.MkdirTemp("", "otelrunner-simulate-")
	if err != nil {
		return fmt.Errorf("make a folder for the journals of the runners: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // it lies in the system's folder for such things
	s.Journal = dir
	report, err := s.Run(ctx, func(what string) { fmt.Fprintln(p.stderr, what) })
	if err != nil {
		if ctx.Err() != nil {
			return &silentError{exitInterrupted}
		}
		return err
	}
	return report.Write(p.stdout)
}
