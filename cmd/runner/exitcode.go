package main

import (
	"errors"
	"fmt"

	"otelrunner/otel"
	"otelrunner/runner"
	"otelrunner/runner/config"

	"github.com/urfave/cli/v2"
)

// The exit codes of all commands.
const (
	exitOK = 0
	// exitError: what was asked for could not be done. Of exec: the job failed.
	exitError = 1
	// exitUsage: the command line, the configuration, a workflow file or an
	// expression is wrong. Trying again is of no use.
	exitUsage = 2
	// exitUnregistered: serve has no usable registration, or the server does not
	// know this runner any more. A service manager should not restart it.
	exitUnregistered = 3
	// exitInterrupted: exec was stopped by an interrupt (128 + SIGINT).
	exitInterrupted = 130
)

// exitCode is the code for the error that a command ended with.
func exitCode(err error) int {
	var (
		usage  *usageError
		conf   *config.Error
		silent *silentError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &silent):
		return silent.code
	case errors.As(err, &usage), errors.As(err, &conf), errors.Is(err, config.ErrNoFile), errors.Is(err, runner.ErrWorkflow), errors.Is(err, runner.ErrSettings), errors.Is(err, otel.ErrSettings):
		return exitUsage
	case errors.Is(err, runner.ErrUnregistered):
		return exitUnregistered
	}
	return exitError
}

// usageError is a mistake on the command line.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func (e *usageError) Unwrap() error { return e.error }

// silentError ends the program with a code and without a message: all has been
// said.
type silentError struct{ code int }

func (e *silentError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// onUsageError is what the flag parser found wrong.
func onUsageError(c *cli.Context, err error, _ bool) error {
	return &usageError{fmt.Errorf("%w (see `%s --help`)", err, helpName(c))}
}

// unknownCommand is the error for a word that is no command.
func unknownCommand(c *cli.Context, word string) error {
	list := c.App.Commands
	if c.Command != nil && len(c.Command.Subcommands) > 0 {
		list = c.Command.Subcommands
	}
	var names []string
	for _, cmd := range list {
		if !cmd.Hidden {
			names = append(names, cmd.Names()...)
		}
	}
	if s := config.Suggest(word, names); s != "" {
		return usagef("%q is no command, did you mean %q? (see `%s --help`)", word, s, helpName(c))
	}
	return usagef("%q is no command (see `%s --help`)", word, helpName(c))
}

// helpName is the command as it was typed: "runner config".
func helpName(c *cli.Context) string {
	if c.Command != nil && c.Command.HelpName != "" {
		return c.Command.HelpName
	}
	return c.App.HelpName
}
