package main

import (
	"slices"
	"strings"

	"otelrunner/runner/config"

	"github.com/urfave/cli/v2"
)

const commonCategory = "Everywhere"

// commonFlags are accepted by every command, before and after it. The value is
// new at each call: the parser writes into flags.
func commonFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Aliases: []string{"c"}, Usage: "read the configuration `FILE` (or $" + config.ConfigEnv + "); without one, all defaults", Category: commonCategory},
		&cli.StringFlag{Name: "log-level", Usage: "`LEVEL` of the runner's own log: debug, info, warn or error", Category: commonCategory},
		&cli.StringFlag{Name: "log-format", Usage: "`FORMAT` of the runner's own log: text or json", Category: commonCategory},
	}
}

// completionFlag is what the library's completion adds to a command line.
const completionFlag = "--generate-bash-completion"

// reorder puts flags before arguments and after the names of commands, as the
// parser wants them: it stops at the first argument, and what stands before a
// command it looks up nowhere else. After "--" everything is an argument.
func reorder(app *cli.App, args []string) ([]string, error) {
	if len(args) == 0 || args[len(args)-1] == completionFlag {
		return args, nil
	}
	line := &commandLine{app: app, commands: app.Commands, path: args[:1:1]}
	for rest := args[1:]; len(rest) > 0; {
		taken, err := line.take(rest)
		if err != nil {
			return nil, err
		}
		rest = rest[taken:]
	}
	out := append(slices.Clone(line.path), line.flags...)
	if len(line.arguments) > 0 {
		out = append(append(out, "--"), line.arguments...)
	}
	return out, nil
}

// commandLine is a command line taken apart.
type commandLine struct {
	app      *cli.App
	command  *cli.Command   // nil is the program itself
	commands []*cli.Command // those below it

	path, flags, arguments []string
	onlyArguments          bool
}

// take takes the first word, or the first two when the second is the value of a
// flag, and returns how many.
func (l *commandLine) take(words []string) (int, error) {
	word := words[0]
	switch {
	case l.onlyArguments || !isFlag(word):
		l.word(word)
		return 1, nil
	case word == "--":
		l.onlyArguments = true
		return 1, nil
	}
	name, _, hasValue := strings.Cut(strings.TrimLeft(word, "-"), "=")
	flag := l.find(name)
	if flag == nil {
		return 0, l.unknown(word, name)
	}
	l.flags = append(l.flags, word)
	if hasValue || isBool(flag) {
		return 1, nil
	}
	if len(words) < 2 {
		return 0, usagef("flag %s needs a value", word)
	}
	l.flags = append(l.flags, words[1])
	return 2, nil
}

// word takes the name of a command, or an argument.
func (l *commandLine) word(word string) {
	if !l.onlyArguments && len(l.arguments) == 0 {
		for _, c := range l.commands {
			if c.HasName(word) {
				l.command, l.commands = c, c.Subcommands
				l.path = append(l.path, word)
				return
			}
		}
	}
	l.arguments = append(l.arguments, word)
}

// known are the flags that may stand here. Those of the program itself are only
// known before a command is, but for the common ones, which all have.
func (l *commandLine) known() []cli.Flag {
	help := &cli.BoolFlag{Name: "help", Aliases: []string{"h"}}
	if l.command == nil {
		return append(slices.Clone(l.app.Flags), help)
	}
	return append(slices.Clone(l.command.Flags), help)
}

func (l *commandLine) find(name string) cli.Flag {
	for _, f := range l.known() {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func (l *commandLine) unknown(word, name string) error {
	where := strings.Join(append([]string{l.app.Name}, l.path[1:]...), " ")
	var names []string
	for _, f := range l.known() {
		names = append(names, f.Names()[0])
	}
	if s := config.Suggest(name, names); s != "" {
		return usagef("%s has no flag %s, did you mean --%s? (see `%s --help`)", where, word, s, where)
	}
	return usagef("%s has no flag %s (see `%s --help`)", where, word, where)
}

// isFlag reports whether a word is one. Flags have names that begin with a small
// letter: a lone "-" is none, nor are -1, -.5, -Infinity and "- 1", which are
// expressions.
func isFlag(word string) bool {
	name, dashed := strings.CutPrefix(word, "-")
	name = strings.TrimPrefix(name, "-")
	return word == "--" || dashed && name != "" && name[0] >= 'a' && name[0] <= 'z'
}

func isBool(f cli.Flag) bool {
	_, ok := f.(*cli.BoolFlag)
	return ok
}

// loadConfig loads the configuration that the common flags and the environment
// name.
func (p *program) loadConfig(c *cli.Context) (*config.Loaded, error) {
	var overrides []config.Override
	for _, flag := range []string{"log-level", "log-format"} {
		if c.IsSet(flag) {
			key := strings.Replace(flag, "-", ".", 1)
			overrides = append(overrides, config.Override{Key: key, Value: c.String(flag), From: "--" + flag})
		}
	}
	for flag, o := range map[string]config.Override{
		wasmOnlyFlag: {Key: "sandbox.mode", Value: config.WASMOnly}, allowWeakFlag: {Key: "sandbox.allow_weak", Value: "true"},
	} {
		if c.Bool(flag) {
			o.From = "--" + flag
			overrides = append(overrides, o)
		}
	}
	return config.Load(p.configFile(c), p.environ, overrides...)
}

// configFile is the file that the flag or the environment names, or "".
func (p *program) configFile(c *cli.Context) string {
	if c.IsSet("config") {
		return c.String("config")
	}
	return p.getenv(config.ConfigEnv)
}

// getenv is the value of an environment variable, the last where it comes twice.
func (p *program) getenv(name string) string {
	value, _ := p.lookupenv(name)
	return value
}

func (p *program) lookupenv(name string) (value string, found bool) {
	for _, entry := range p.environ {
		if n, v, ok := strings.Cut(entry, "="); ok && n == name {
			value, found = v, true
		}
	}
	return value, found
}

// noArguments is the error for arguments where none are taken.
func noArguments(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes no arguments, found %q (see `%s --help`)", helpName(c), c.Args().First(), helpName(c))
	}
	return nil
}
