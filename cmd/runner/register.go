package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"otelrunner/runner"
	"otelrunner/runner/config"
	"otelrunner/runner/gitea"
	"otelrunner/runner/label"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// The environment of register, as act_runner's container image names it.
const (
	envInstance  = "GITEA_INSTANCE_URL"
	envToken     = "GITEA_RUNNER_REGISTRATION_TOKEN"
	envTokenFile = "GITEA_RUNNER_REGISTRATION_TOKEN_FILE"
	envName      = "GITEA_RUNNER_NAME"
	envLabels    = "GITEA_RUNNER_LABELS"
	envEphemeral = "GITEA_RUNNER_EPHEMERAL"
)

func (p *program) registerCommand() *cli.Command {
	return &cli.Command{
		Name:  "register",
		Usage: "make this machine known to a Gitea server",
		UsageText: "runner register --instance https://gitea.example.org --token TOKEN\n" +
			"runner register --instance … --token-file FILE --name big-one --labels linux:host,gpu:host",
		Description: "Asks for what is missing when it runs on a terminal. The token is shown by the server under\n" +
			"Settings, Actions, Runners, Create new Runner: of an instance, an organisation or a repository.\n" +
			"The credentials that the server gives in return are kept in the file of runner.file\n" +
			"(.runner), readable by its owner only. act_runner's file has the same format.\n\n" +
			"A label says which jobs are taken (runs-on: its name) and where they run:\n" +
			"   name:host             on this machine, as the user of the runner\n" +
			"   name:docker://image   in a container\n" +
			"   name:wasm             in a WebAssembly sandbox",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "instance", Usage: "`URL` of the server (or $" + envInstance + ")"},
			&cli.StringFlag{Name: "token", Usage: "registration `TOKEN` (or $" + envToken + ", which other users of the machine cannot see)"},
			&cli.StringFlag{Name: "token-file", Usage: "`FILE` that holds the token (or $" + envTokenFile + ")"},
			&cli.StringFlag{Name: "name", Usage: "`NAME` of the runner (or $" + envName + "; else the host's name)"},
			&cli.StringFlag{Name: "labels", Usage: "comma-separated `LABELS` (or $" + envLabels + "; else runner.labels, else " + strings.Join(runner.DefaultLabels(), ",") + ")"},
			&cli.BoolFlag{Name: "ephemeral", Usage: "the server forgets the runner after one job (or $" + envEphemeral + "=true)", DisableDefaultText: true},
			&cli.BoolFlag{Name: "no-interactive", Usage: "never ask; fail when something is missing", DisableDefaultText: true},
			&cli.BoolFlag{Name: "force", Usage: "replace an existing registration file", DisableDefaultText: true},
			&cli.BoolFlag{Name: "if-missing", Usage: "do nothing where there is a registration file already: for what runs before each start", DisableDefaultText: true},
		},
		Action: p.register,
	}
}

func (p *program) register(c *cli.Context) error {
	if err := noArguments(c); err != nil {
		return err
	}
	cfg, err := p.loadConfig(c)
	if err != nil {
		return err
	}
	p.printWarnings(cfg)
	file := cfg.Runner.File
	if c.Bool("force") && c.Bool("if-missing") {
		return usagef("register: --force replaces a registration and --if-missing keeps it: give one of them")
	}
	if _, err := os.Stat(file); err == nil && c.Bool("if-missing") {
		fmt.Fprintf(p.stdout, "%s exists: this runner is registered\n", file)
		return nil
	} else if err == nil && !c.Bool("force") {
		return fmt.Errorf("register: %s exists: this runner is registered; --force registers it anew", file)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("register: %w", err)
	}
	r, err := p.registration(c, cfg)
	if err != nil {
		return err
	}
	ctx, stop := p.interruptible(c.Context)
	defer stop()
	reg, err := runner.Register(ctx, *r)
	if err != nil {
		return err
	}
	if err := reg.Save(file); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "registered %q at %s with the labels %s; wrote %s\nnext: runner serve\n",
		reg.Name, config.Redact(reg.Address), strings.Join(reg.Labels, ", "), file)
	return nil
}

// registration gathers what is asked for, from flags, environment, configuration
// and, on a terminal, the user.
func (p *program) registration(c *cli.Context, cfg *config.Loaded) (*runner.Registration, error) {
	ask := p.newAsker(c.Bool("no-interactive"))
	r := &runner.Registration{
		Version: programVersion(),
		HTTP:    gitea.HTTPOptions{Insecure: cfg.Runner.Insecure, CAFile: cfg.Runner.CAFile},
	}
	var err error
	if r.Ephemeral, err = p.ephemeral(c); err != nil {
		return nil, err
	}
	if r.Instance, err = ask.text(p.given(c, "instance", envInstance), "URL of the Gitea server", "", "--instance or "+envInstance, checkInstance); err != nil {
		return nil, err
	}
	if r.Token, err = p.token(c, ask); err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "runner"
	}
	if r.Name, err = ask.text(p.given(c, "name", envName), "name of this runner", host, "", nil); err != nil {
		return nil, err
	}
	labels := p.given(c, "labels", envLabels)
	if labels == "" && len(cfg.Runner.Labels) > 0 {
		labels = strings.Join(cfg.Runner.Labels, ",")
	}
	if labels, err = ask.text(labels, "labels", strings.Join(runner.DefaultLabels(), ","), "", checkLabels); err != nil {
		return nil, err
	}
	r.Labels, err = label.ParseList(strings.Split(labels, ","))
	return r, err
}

func (p *program) ephemeral(c *cli.Context) (bool, error) {
	if c.Bool("ephemeral") {
		return true, nil
	}
	switch v := strings.ToLower(p.getenv(envEphemeral)); v {
	case "", "0", "false", "no":
		return false, nil
	case "1", "true", "yes":
		return true, nil
	default:
		return false, usagef("%s is %q, expected true or false", envEphemeral, v)
	}
}

// given is the value of a flag, else of a variable.
func (p *program) given(c *cli.Context, flag, env string) string {
	if c.IsSet(flag) {
		return strings.TrimSpace(c.String(flag))
	}
	return strings.TrimSpace(p.getenv(env))
}

// token finds the registration token; it is never shown.
func (p *program) token(c *cli.Context, ask *asker) (string, error) {
	if c.IsSet("token") && c.IsSet("token-file") {
		return "", usagef("give --token or --token-file, not both")
	}
	if c.IsSet("token-file") {
		return readToken(c.String("token-file"))
	}
	if token := p.given(c, "token", envToken); token != "" {
		return token, nil
	}
	if file := p.getenv(envTokenFile); file != "" {
		return readToken(file)
	}
	return ask.secret("registration token", "--token, --token-file or "+envToken)
}

func readToken(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the registration token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("read the registration token: %s is empty", file)
	}
	return token, nil
}

func checkInstance(s string) error {
	_, err := gitea.ParseInstance(s)
	return err
}

func checkLabels(s string) error {
	list, err := label.ParseList(strings.Split(s, ","))
	if err == nil && len(list) == 0 {
		err = errors.New("a runner without labels gets no jobs")
	}
	return err
}

// An asker asks for what is missing.
type asker struct {
	p     *program
	quiet bool // there is nobody to ask
	in    *bufio.Reader
}

func (p *program) newAsker(never bool) *asker {
	return &asker{p: p, quiet: never || p.stdin == nil || !term.IsTerminal(int(p.stdin.Fd())), in: bufio.NewReader(p.stdin)}
}

// text returns given when there is such a value; else what the user answers,
// where an empty answer is fallback; else fallback. how says how to give the
// value without being asked; it is "" where there is a fallback. A given value
// that check refuses is an error, an answer is asked for again.
func (a *asker) text(given, what, fallback, how string, check func(string) error) (string, error) {
	if check == nil {
		check = func(string) error { return nil }
	}
	if given != "" || a.quiet {
		if given == "" {
			given = fallback
		}
		if given == "" {
			return "", missing(what, how)
		}
		if err := check(given); err != nil {
			return "", &usageError{fmt.Errorf("%s: %w", what, err)}
		}
		return given, nil
	}
	for {
		answer, err := a.line(what, fallback)
		if err != nil {
			return "", err
		}
		if answer == "" {
			continue
		}
		if err := check(answer); err != nil {
			fmt.Fprintf(a.p.stderr, "  %v\n", err)
			continue
		}
		return answer, nil
	}
}

func (a *asker) line(what, fallback string) (string, error) {
	if fallback != "" {
		fmt.Fprintf(a.p.stderr, "%s [%s]: ", what, fallback)
	} else {
		fmt.Fprintf(a.p.stderr, "%s: ", what)
	}
	line, err := a.in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return fallback, nil
	}
	return line, nil
}

// secret asks without showing what is typed.
func (a *asker) secret(what, how string) (string, error) {
	if a.quiet {
		return "", missing(what, how)
	}
	for {
		answer, err := a.hidden(what + " (not shown): ")
		if err != nil {
			return "", fmt.Errorf("read the %s: %w", what, err)
		}
		if s := strings.TrimSpace(answer); s != "" {
			return s, nil
		}
	}
}

// hidden reads a line that is not shown. The terminal is in raw mode meanwhile: an
// interrupt is a key then, and ends the program only after the terminal shows
// again what is typed.
func (a *asker) hidden(prompt string) (answer string, err error) {
	fd := int(a.p.stdin.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, term.Restore(fd, before)) }()
	screen := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{a.p.stdin, a.p.stderr}, "")
	answer, err = screen.ReadPassword(prompt)
	if errors.Is(err, io.EOF) {
		fmt.Fprint(a.p.stderr, "\r\n")
		err = errors.New("interrupted")
	}
	return answer, err
}

func missing(what, how string) error {
	return usagef("register: the %s is missing: give %s", what, how)
}

// interruptible is a context that ends with the first interrupt.
func (p *program) interruptible(ctx context.Context) (context.Context, func()) {
	signals, end := p.signals()
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(); end() }
}
