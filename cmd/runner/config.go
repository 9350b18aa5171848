package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"otelrunner/runner/config"

	"github.com/urfave/cli/v2"
)

func (p *program) configCommand() *cli.Command {
	return &cli.Command{
		Name:  "config",
		Usage: "write, show or check the configuration",
		Subcommands: []*cli.Command{
			{
				Name:  "init",
				Usage: "write a commented configuration file with all defaults",
				Description: "Writes to the standard output, or to FILE, which must not exist yet.\n" +
					"Every key is optional, so only what is changed needs to be kept.",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `FILE`"},
					&cli.BoolFlag{Name: "force", Usage: "replace FILE", DisableDefaultText: true},
				},
				Action: p.configInit,
			},
			{
				Name:  "show",
				Usage: "print the effective configuration, secrets blanked",
				Description: "Defaults, file and environment taken together. A comment behind a value says where it\n" +
					"comes from.",
				Action: p.configShow,
			},
			{
				Name:        "validate",
				Usage:       "say what is wrong with a configuration file",
				ArgsUsage:   "[FILE]",
				Description: "Checks FILE, or the file of --config. Exit code 0: it can be used; 2: it cannot.",
				Action:      p.configValidate,
			},
		},
	}
}

func (p *program) configInit(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	file := c.String("output")
	if file == "" {
		return config.WriteDefault(p.stdout)
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if c.Bool("force") {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, mode, 0o600) // it may come to hold secrets
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the configuration: %s exists; --force replaces it", file)
	}
	if err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	if err := errors.Join(config.WriteDefault(f), f.Close()); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	fmt.Fprintf(p.stderr, "wrote %s; use it with `runner serve -c %s`\n", file, file)
	return nil
}

func (p *program) configShow(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	loaded, err := p.loadConfig(c)
	if err != nil {
		return err
	}
	p.printWarnings(loaded)
	return loaded.Show(p.stdout)
}

func (p *program) configValidate(c *cli.Context) error {
	if c.Args().Len() > 1 {
		return usagef("config validate takes one file, found %d", c.Args().Len())
	}
	file := c.Args().First()
	if file == "" {
		file = p.configFile(c)
	}
	loaded, err := config.Load(file, p.environ)
	if err != nil {
		return err
	}
	p.printWarnings(loaded)
	if file == "" {
		file = "the configuration (no file: defaults and environment)"
	}
	fmt.Fprintf(p.stdout, "%s can be used, %s\n", file, count(len(loaded.Warnings), "warning"))
	return nil
}

func (p *program) printWarnings(l *config.Loaded) {
	for _, w := range l.Warnings {
		fmt.Fprintf(p.stderr, "warning: %s\n", w)
	}
}

// count is "no warnings", "1 warning", "2 warnings".
func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
