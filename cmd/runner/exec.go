package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"otelrunner/runner"
	"otelrunner/runner/config"
	"otelrunner/runner/label"
	"otelrunner/runner/task"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

func (p *program) execCommand() *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "run a workflow file here and now, with no server",
		ArgsUsage: "WORKFLOW.yml",
		Description: "Runs the jobs of the file in the order of their needs, each combination of a matrix for\n" +
			"itself, with the workflows of the repository that they call, and shows the log. Each job works\n" +
			"on a copy of the repository that the current folder belongs to (of the folder itself, if it\n" +
			"belongs to none), without what .gitignore names; the steps that would check it out are passed\n" +
			"over (see --checkout).\n\n" +
			"The github context is that of the repository's HEAD. An interrupt (Ctrl-C) cancels: always()\n" +
			"steps still run; a second one kills.\n\n" +
			"Exit codes: 0 all jobs succeeded or were skipped; 1 one failed; 2 the workflow or the command\n" +
			"line is wrong; 130 interrupted.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "job", Aliases: []string{"j"}, Usage: "run only the job `ID` and those that it needs"},
			&cli.StringSliceFlag{Name: "label", Usage: "where jobs of a label run: `NAME:SPEC`, for example ubuntu-latest:host"},
			&cli.StringFlag{Name: "event", Usage: "take the event (github.event) from the JSON `FILE`"},
			&cli.StringFlag{Name: "event-name", Usage: "`NAME` of the event, for example push"},
			&cli.StringSliceFlag{Name: "secret", Usage: "set a secret: `NAME=VALUE`, or NAME for the value of the environment variable NAME"},
			&cli.StringSliceFlag{Name: "var", Usage: "set a variable of the vars context: `NAME=VALUE`"},
			&cli.StringSliceFlag{Name: "input", Usage: "set an input: `NAME=VALUE`"},
			&cli.StringSliceFlag{Name: "env", Usage: "set an environment variable of every step: `NAME=VALUE`, or NAME as for secrets"},
			&cli.IntFlag{Name: "parallel", Value: 1, Usage: "run up to `N` jobs at the same time; each line of the log then begins with its job's name"},
			&cli.StringFlag{Name: "workdir", Usage: "let the jobs work on a copy of `FOLDER` instead"},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show each step's script, shell and environment, too", DisableDefaultText: true},
			&cli.BoolFlag{Name: "trace", Usage: "end with what took how long: the job's spans, with no backend", DisableDefaultText: true},
			&cli.StringFlag{Name: "trace-out", Usage: "write the spans to `FILE`, as OTLP in its JSON form"},
			&cli.BoolFlag{Name: "checkout", Usage: "begin with empty workspaces and run the workflow's checkout steps", DisableDefaultText: true},
		},
		Action: p.exec,
	}
}

func (p *program) exec(c *cli.Context) error {
	if c.Args().Len() != 1 {
		return usagef("exec takes one workflow file, found %d (see `%s --help`)", c.Args().Len(), helpName(c))
	}
	cfg, err := p.loadConfig(c)
	if err != nil {
		return err
	}
	if !c.IsSet("log-level") && p.getenv(config.EnvPrefix+"LOG_LEVEL") == "" {
		cfg.Log.Level = "warn" // the job's log is what is looked at
	}
	o := runner.ExecOptions{
		Config: &cfg.Config, Version: programVersion(), Environ: p.environ, Log: p.logHandler(cfg.Log),
		File: c.Args().First(), Dir: ".", Job: c.String("job"), EventName: c.String("event-name"),
		Checkout: c.Bool("checkout"), Verbose: c.Bool("verbose"), Trace: c.Bool("trace"), TraceOut: c.String("trace-out"), Out: p.stdout, Color: p.colors(), Width: p.width(),
	}
	if dir := c.String("workdir"); dir != "" {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return usagef("--workdir %s: there is no such folder", dir)
		}
		o.Dir, o.Exact = dir, true
	}
	if o.Parallel = c.Int("parallel"); o.Parallel < 1 {
		return usagef("--parallel %d: expected 1 or more", o.Parallel)
	}
	if err := p.execValues(c, &o); err != nil {
		return err
	}
	for _, w := range cfg.Warnings {
		logWarning(o.Log, w)
	}
	sendSDKErrors(o.Log)
	stops, end := p.stops()
	defer end()
	o.Stops = stops
	result, err := runner.Exec(c.Context, o)
	if err != nil {
		return err
	}
	return resultError(result)
}

// resultError is the exit code of a result; the log has said the rest.
func resultError(r task.Result) error {
	switch r {
	case task.Success, task.Skipped:
		return nil
	case task.Cancelled:
		return &silentError{exitInterrupted}
	}
	return &silentError{exitError}
}

// execValues reads the flags that set values.
func (p *program) execValues(c *cli.Context, o *runner.ExecOptions) (err error) {
	if o.Labels, err = label.ParseList(c.StringSlice("label")); err != nil {
		return &usageError{err}
	}
	for _, v := range []struct {
		flag    string
		to      *map[string]string
		fromEnv bool
	}{{"secret", &o.Secrets, true}, {"var", &o.Vars, false}, {"input", &o.Inputs, false}, {"env", &o.Env, true}} {
		if *v.to, err = p.pairs(c, v.flag, v.fromEnv); err != nil {
			return err
		}
	}
	if file := c.String("event"); file != "" {
		if o.Event, err = readEvent(file); err != nil {
			return err
		}
	}
	return nil
}

// pairs reads a flag that is given as NAME=VALUE any number of times. With
// fromEnv, NAME alone takes the value from the environment.
func (p *program) pairs(c *cli.Context, flag string, fromEnv bool) (map[string]string, error) {
	out := map[string]string{}
	for _, text := range c.StringSlice(flag) {
		name, value, ok := strings.Cut(text, "=")
		if !ok && fromEnv && name != "" {
			value, ok = p.lookupenv(name)
			if !ok {
				return nil, usagef("--%s %s: there is no environment variable %s; give --%s %s=VALUE", flag, name, name, flag, name)
			}
		}
		if !ok || name == "" {
			return nil, usagef("--%s: expected NAME=VALUE", flag) // the text may be a secret
		}
		out[name] = value
	}
	return out, nil
}

func readEvent(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("read the event: %w", err)
	}
	var event map[string]any
	if err := json.Unmarshal(data, &event); err != nil {
		return nil, usagef("read the event: %s is not a JSON object: %w", filepath.Base(file), err)
	}
	return event, nil
}

// colors reports whether the standard output shows colours: a terminal does,
// unless NO_COLOR (no-color.org) says otherwise.
func (p *program) colors() bool {
	out, ok := p.stdout.(*os.File)
	return ok && p.getenv("NO_COLOR") == "" && p.getenv("TERM") != "dumb" && term.IsTerminal(int(out.Fd()))
}

// width is that of the terminal that the standard output is; 0 where it is none.
func (p *program) width() int {
	out, ok := p.stdout.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(out.Fd()))
	if err != nil {
		return 0
	}
	return width
}
