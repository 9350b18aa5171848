package main

import (
	"errors"
	"fmt"
	"time"

	"otelrunner/runner"
	"otelrunner/sandbox/wasm"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"
)

func (p *program) wasmCommand() *cli.Command {
	return &cli.Command{
		Name:  "wasm",
		Usage: "run, inspect and compile WebAssembly modules",
		Description: "The sandbox of wasm labels and actions, from the terminal: for commands of WASI preview 1\n" +
			"(wasip1), as Go (GOOS=wasip1 GOARCH=wasm), Rust (wasm32-wasip1) and clang with wasi-libc make them.",
		Subcommands: []*cli.Command{
			{
				Name:      "run",
				Usage:     "run a module in the sandbox",
				ArgsUsage: "MODULE [-- ARGUMENT...]",
				Description: "The module runs in a process of its own that is jailed before it reads a byte of it. It\n" +
					"sees the folders of --dir, an empty one where it starts, /tmp, the variables of --env, its\n" +
					"standard streams, and nothing else: no network, no other file, no other variable.\n" +
					"It starts in the first folder of --dir, if there is one.\n\n" +
					"What ends it early (a limit, a folder that is not there) is told on the standard error, and\n" +
					"the exit code is 1; else it is the module's; 130 after an interrupt.",
				Flags: []cli.Flag{
					&cli.StringSliceFlag{Name: "dir", Usage: "let it see a folder: `HOST:GUEST[:ro]`; HOST alone is seen at the same path"},
					&cli.StringSliceFlag{Name: "env", Usage: "set an environment variable: `NAME=VALUE`, or NAME for the value that it has here"},
					&cli.DurationFlag{Name: "timeout", Usage: "end it after `DURATION` (30s, 5m)"},
					&cli.StringFlag{Name: "memory", Usage: "let it have at most `SIZE` of memory (64m, 2g)"},
					&cli.StringFlag{Name: "workdir", Usage: "start in `FOLDER`, as the module sees it"},
				},
				Action: p.wasmRun,
			},
			{
				Name:      "inspect",
				Usage:     "say what a module imports and asks for, and whether it would run",
				ArgsUsage: "MODULE",
				Description: "Reads the module and runs nothing of it. The exit code is 1 where it would not run; the\n" +
					"last line says why.",
				Action: p.wasmInspect,
			},
			{
				Name:      "compile",
				Usage:     "compile modules into the cache, before a job needs them",
				ArgsUsage: "MODULE...",
				Description: "The cache belongs to this user and this version of the runner. Compiling happens in a\n" +
					"process of its own, with limits.",
				Action: p.wasmCompile,
			},
		},
	}
}

// wasmProvider makes a sandbox without a shell; its Close removes what it made.
func (p *program) wasmProvider(c *cli.Context, limits wasm.Limits) (*wasm.Provider, error) {
	cfg, err := p.loadConfig(c)
	if err != nil {
		return nil, err
	}
	if !c.IsSet("log-level") {
		cfg.Log.Level = "warn"
	}
	return runner.NewModuleSandbox(&cfg.Config, limits, p.logHandler(cfg.Log))
}

func (p *program) wasmRun(c *cli.Context) error {
	if c.Args().Len() == 0 {
		return usagef("%s takes a module and its arguments, which follow -- (see `%s --help`)", helpName(c), helpName(c))
	}
	r := wasm.ModuleRun{
		File: c.Args().First(), Args: c.Args().Tail(), Dir: c.String("workdir"),
		Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr,
	}
	limits, err := moduleLimits(c)
	if err != nil {
		return err
	}
	if r.Env, err = p.pairs(c, "env", true); err != nil {
		return err
	}
	for _, text := range c.StringSlice("dir") {
		m, err := wasm.ParseMount(text)
		if err != nil {
			return usagef("--dir %s: %w", text, err)
		}
		r.Mounts = append(r.Mounts, m)
	}
	if r.Dir == "" && len(r.Mounts) > 0 {
		r.Dir = r.Mounts[0].Guest
	}
	sandbox, err := p.wasmProvider(c, limits)
	if err != nil {
		return err
	}
	ctx, end := p.interruptible(c.Context)
	code, err := sandbox.RunModule(ctx, r)
	interrupted := err != nil && ctx.Err() != nil
	end()
	err = errors.Join(err, sandbox.Close())
	switch {
	case interrupted:
		return &silentError{exitInterrupted}
	case err != nil:
		return err
	case code != 0:
		return &silentError{code}
	}
	return nil
}

// moduleLimits are those of the command line.
func moduleLimits(c *cli.Context) (l wasm.Limits, err error) {
	if c.IsSet("timeout") {
		if l.Wall = c.Duration("timeout"); l.Wall < time.Millisecond {
			return l, usagef("--timeout %v: expected a time above 0, like 30s", l.Wall)
		}
	}
	if text := c.String("memory"); text != "" {
		if l.Memory, err = units.RAMInBytes(text); err != nil || l.Memory < 1<<16 || l.Memory > 4<<30 {
			return l, usagef("--memory %s: expected a size from 64k to 4g, like 512m", text)
		}
	}
	return l, nil
}

func (p *program) wasmInspect(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return usagef("%s takes one module, found %d", helpName(c), c.Args().Len())
	}
	runs, err := p.inspect(c)
	if err == nil && !runs {
		err = &silentError{exitError} // the last line has said why
	}
	return err
}

func (p *program) inspect(c *cli.Context) (bool, error) {
	cfg, err := p.loadConfig(c)
	if err != nil {
		return false, err
	}
	return wasm.InspectModule(p.stdout, c.Args().First(), runner.ModuleLimits(&cfg.Config))
}

func (p *program) wasmCompile(c *cli.Context) (err error) {
	if c.Args().Len() == 0 {
		return usagef("%s takes one module or more (see `%s --help`)", helpName(c), helpName(c))
	}
	sandbox, err := p.wasmProvider(c, wasm.Limits{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sandbox.Close()) }()
	ctx, end := p.interruptible(c.Context)
	defer end()
	for _, file := range c.Args().Slice() {
		began := time.Now()
		if err := sandbox.CompileModule(ctx, file); err != nil {
			if ctx.Err() != nil {
				return &silentError{exitInterrupted}
			}
			return err
		}
		if _, err := fmt.Fprintf(p.stdout, "%s: compiled in %d ms\n", file, time.Since(began).Milliseconds()); err != nil {
			return err
		}
	}
	return nil
}
