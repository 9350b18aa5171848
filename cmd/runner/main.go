// Command runner takes jobs from a Gitea server and runs them, with OpenTelemetry
// metrics, traces and logs of all that it does.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"otelrunner/sandbox/container/helperbin"
	"otelrunner/sandbox/wasm/worker"
)

// program is what the commands have of the process, so that tests can run them
// without one.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer
	environ        []string
	signals        func() (<-chan os.Signal, func()) // subscribe to interrupts; the function ends it
}

func main() {
	// The same program is the first process of jobs' containers, if it was built
	// without a smaller one.
	if code, asked := helperbin.Main(os.Args); asked {
		os.Exit(code)
	}
	if len(os.Args) > 1 && os.Args[1] == worker.Argument {
		os.Exit(worker.Main()) // a process of the WASM sandbox
	}
	p := &program{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		environ: os.Environ(), signals: interrupts,
	}
	os.Exit(p.run(os.Args))
}

// run runs one command line and returns the exit code.
func (p *program) run(args []string) int {
	app := p.app()
	args, err := reorder(app, args)
	if err == nil {
		err = app.Run(args)
	}
	var silent *silentError
	if err != nil && !errors.As(err, &silent) {
		fmt.Fprintf(p.stderr, "%s: %v\n", app.Name, err)
	}
	return exitCode(err)
}

func (p *program) app() *cli.App {
	app := &cli.App{
		Name:  "runner",
		Usage: "run the jobs of Gitea Actions on this machine",
		UsageText: "runner register --instance https://gitea.example.org --token TOKEN   (once)\n" +
			"runner serve                                                     (take jobs)\n" +
			"runner exec .gitea/workflows/test.yml                            (try a workflow, no server)\n" +
			"runner COMMAND --help",
		Description: "register tells a Gitea server about this machine and keeps the credentials in a file;\n" +
			"serve then takes jobs until it is told to stop.",
		HideVersion:          true,
		EnableBashCompletion: true,
		HideHelpCommand:      true,
		// A secret or an input may contain commas.
		DisableSliceFlagSeparator: true,
		Flags:                     append(commonFlags(), &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}),
		Commands: []*cli.Command{
			p.registerCommand(),
			p.serveCommand(),
			p.drainCommand(),
			p.execCommand(),
			p.configCommand(),
			p.exprCommand(),
			p.simulateCommand(),
			p.wasmCommand(),
			p.completionCommand(),
			p.versionCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return p.printVersion()
			}
			return group(c)
		},
		OnUsageError:   onUsageError,
		ExitErrHandler: func(*cli.Context, error) {}, // run prints, main exits
		Writer:         p.stdout,
		ErrWriter:      p.stderr,
		Reader:         p.stdin,
	}
	finish(app.Commands)
	return app
}

// finish gives every command the flags and the handling of errors that all have.
func finish(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelpCommand = true
		c.OnUsageError = onUsageError
		c.Flags = append(c.Flags, commonFlags()...)
		if len(c.Subcommands) > 0 {
			c.Action = group
			finish(c.Subcommands)
		}
	}
}

// group is the action of what only has commands below it: help, or an error for
// a word that is none of them.
func group(c *cli.Context) error {
	if word := c.Args().First(); word != "" {
		return unknownCommand(c, word)
	}
	if c.Command.Name == c.App.Name || c.Command.Name == "" {
		return cli.ShowAppHelp(c)
	}
	return cli.ShowSubcommandHelp(c)
}
