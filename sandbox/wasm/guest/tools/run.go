package tools

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"otelrunner/sandbox/wasm/guest/tool"
)

func runTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "env", Usage: "[-i] [-u NAME] [-C DIR] [NAME=VALUE]... [COMMAND [ARG]...]", Short: "run a command in a changed environment, or write it", Posix: true, Run: env, Options: []tool.Option{
			{Short: 'i', Long: "ignore-environment", Help: "start with an empty one"}, {Short: 'u', Long: "unset", Arg: "NAME", Help: "without NAME"}, {Short: 'C', Long: "chdir", Arg: "DIR", Help: "in DIR"}, {Short: '0', Long: "null", Help: "lines end with NUL"}, {Short: 'S', Long: "split-string", Arg: "TEXT", Help: "split TEXT into arguments"},
		}},
		{Name: "printenv", Usage: "[-0] [NAME]...", Short: "write the environment", Run: printenv, Options: []tool.Option{{Short: '0', Long: "null", Help: "lines end with NUL"}}},
		{Name: "xargs", Usage: "[OPTION]... [COMMAND [ARG]...]", Short: "run a command with arguments from the input", Posix: true, Run: xargs, Options: []tool.Option{
			{Short: 'n', Long: "max-args", Arg: "N", Help: "at most N arguments a run"}, {Short: 'L', Long: "max-lines", Arg: "N", Help: "at most N lines a run"}, {Short: 'I', Long: "replace", Arg: "TEXT", Help: "a run a line, which replaces TEXT"}, {Short: '0', Long: "null", Help: "items end with NUL"},
			{Short: 'd', Long: "delimiter", Arg: "C", Help: "what separates items"}, {Short: 'r', Long: "no-run-if-empty", Help: "no run without items"}, {Short: 't', Long: "verbose", Help: "say what is run"}, {Short: 'P', Long: "max-procs", Arg: "N", Help: "accepted: one after the other"}, {Short: 'a', Long: "arg-file", Arg: "FILE", Help: "items from FILE"}, {Short: 's', Arg: "N", Help: "accepted"}, {Short: 'x', Help: "accepted"},
		}},
		{Name: "timeout", Usage: "[-k DURATION] [-s SIGNAL] DURATION COMMAND [ARG]...", Short: "end a command after a time", Posix: true, Run: timeout, Options: []tool.Option{
			{Short: 'k', Long: "kill-after", Arg: "DURATION", Help: "accepted"}, {Short: 's', Long: "signal", Arg: "SIGNAL", Help: "accepted"}, {Long: "preserve-status", Help: "the command's own status"}, {Long: "foreground", Help: "accepted"}, {Short: 'v', Long: "verbose", Help: "accepted"},
		}},
		{Name: "sleep", Usage: "DURATION...", Short: "wait", Run: sleep},
		{Name: "nice", Aliases: []string{"nohup", "setsid", "stdbuf", "ionice", "chronic"}, Usage: "[OPTION]... COMMAND [ARG]...", Short: "run a command", Raw: true, Run: passThrough, Notes: []string{"Options are ignored: there is nothing for them to change."}},
		{Name: "time", Usage: "COMMAND [ARG]...", Short: "run a command and say how long it took", Raw: true, Run: timeCommand},
		{Name: "which", Usage: "[-a] NAME...", Short: "the paths of commands", Run: which, Options: []tool.Option{{Short: 'a', Help: "accepted"}, {Short: 's', Help: "only the exit status"}}},
	}
}

func withEnv(list []string, name, value string) []string {
	return append(without(list, name), name+"="+value)
}

func without(list []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(e string) bool { return strings.HasPrefix(e, name+"=") })
}

func env(c *tool.Call) int {
	list := c.Env
	if c.Has("i") {
		list = nil
	}
	for _, name := range c.Values("u") {
		list = without(list, name)
	}
	args := c.Args
	if len(args) > 0 && args[0] == "-" {
		list, args = nil, args[1:]
	}
	if c.Has("S") {
		args = append(strings.Fields(c.Value("S")), args...)
	}
	for len(args) > 0 {
		name, value, ok := strings.Cut(args[0], "=")
		if !ok {
			break
		}
		list, args = withEnv(list, name, value), args[1:]
	}
	if len(args) == 0 {
		for _, e := range list {
			c.Out.WriteString(e)
			if c.Has("0") {
				c.Out.WriteByte(0)
			} else {
				c.Out.WriteByte('\n')
			}
		}
		return 0
	}
	s := c.Streams()
	s.Env = list
	if c.Has("C") {
		s.Dir = c.Path(c.Value("C"))
	}
	return c.Host.Exec(c.Context, args, s)
}

func printenv(c *tool.Call) int {
	if len(c.Args) == 0 {
		return env(c)
	}
	status := 0
	for _, name := range c.Args {
		v, ok := c.LookupEnv(name)
		if !ok {
			status = 1
			continue
		}
		c.Out.WriteString(v + "\n")
	}
	return status
}

// xargsItems splits input as xargs does: at blanks, with quotes and backslashes.
func xargsItems(text string, lines bool) ([]string, error) {
	var items []string
	var b strings.Builder
	started := false
	var quote rune
	escaped := false
	for _, r := range text {
		switch {
		case escaped:
			b.WriteRune(r)
			escaped = false
		case quote != 0:
			switch r {
			case quote:
				quote = 0
			case '\n':
				return nil, fmt.Errorf("unmatched %c quote; by default quotes are special to xargs unless you use the -0 option", quote)
			default:
				b.WriteRune(r)
			}
		case r == '\\':
			escaped, started = true, true
		case r == '"' || r == '\'':
			quote, started = r, true
		case r == '\n' || !lines && (r == ' ' || r == '\t'):
			if started {
				items = append(items, b.String())
			}
			b.Reset()
			started = false
		case lines && !started && (r == ' ' || r == '\t'):
		default:
			b.WriteRune(r)
			started = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("unmatched %c quote", quote)
	}
	if started {
		items = append(items, b.String())
	}
	return items, nil
}

func xargs(c *tool.Call) int {
	in := c.Stdin
	if c.Has("a") {
		f, err := c.Open(c.Value("a"))
		if err != nil {
			c.FileError(c.Value("a"), err)
			return 1
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return c.Fail("%v", err)
	}
	var items []string
	switch c.Last("0", "d", "I", "L") {
	case "0":
		items = strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	case "d":
		d := strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(c.Value("d"))
		items = strings.Split(strings.TrimSuffix(string(data), d), d)
	default:
		if items, err = xargsItems(string(data), c.Has("I")); err != nil {
			return c.Fail("%v", err)
		}
	}
	if len(data) == 0 {
		items = nil
	}
	command := c.Args
	if len(command) == 0 {
		command = []string{"echo"}
	}
	run := func(args []string) int {
		if c.Has("t") {
			fmt.Fprintln(c.Stderr, strings.Join(args, " "))
		}
		s := c.Streams()
		s.Stdin = strings.NewReader("")
		return c.Host.Exec(c.Context, args, s)
	}
	status := 0
	note := func(st int) bool {
		switch {
		case st == 0:
		case st == 255:
			status = 124
			return false
		case st == 126 || st == 127:
			status = st
			return false
		default:
			status = 123
		}
		return c.Context.Err() == nil
	}
	if c.Has("I") {
		for _, item := range items {
			args := make([]string, len(command))
			for i, a := range command {
				args[i] = strings.ReplaceAll(a, c.Value("I"), item)
			}
			if !note(run(args)) {
				break
			}
		}
		return status
	}
	if len(items) == 0 && !c.Has("r") {
		note(run(command))
		return status
	}
	n := 5000
	if c.Has("n") {
		n = max(1, atoi(c, "n", n))
	}
	if c.Has("L") {
		n = max(1, atoi(c, "L", n))
		items = nil
		for line := range strings.SplitSeq(strings.TrimSuffix(string(data), "\n"), "\n") {
			if line != "" {
				items = append(items, line)
			}
		}
	}
	for chunk := range slices.Chunk(items, n) {
		if c.Has("L") {
			var words []string
			for _, l := range chunk {
				words = append(words, strings.Fields(l)...)
			}
			chunk = words
		}
		if !note(run(slices.Concat(command, chunk))) {
			break
		}
	}
	return status
}

func duration(s string) (time.Duration, error) {
	unit := time.Second
	switch {
	case strings.HasSuffix(s, "s"):
		s = s[:len(s)-1]
	case strings.HasSuffix(s, "m"):
		s, unit = s[:len(s)-1], time.Minute
	case strings.HasSuffix(s, "h"):
		s, unit = s[:len(s)-1], time.Hour
	case strings.HasSuffix(s, "d"):
		s, unit = s[:len(s)-1], 24*time.Hour
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f != f {
		return 0, fmt.Errorf("invalid time interval '%s'", s)
	}
	return time.Duration(min(f*float64(unit), 1<<62)), nil
}

// gate passes writes on until it is shut: a command that outlives its timeout
// must not write into what follows.
type gate struct {
	mu   sync.Mutex
	w    io.Writer
	shut bool
}

func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return 0, io.ErrClosedPipe
	}
	return g.w.Write(p)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
}

func timeout(c *tool.Call) int {
	if len(c.Args) < 2 {
		c.Errorf("a duration and a command are needed")
		return 125
	}
	d, err := duration(c.Args[0])
	if err != nil {
		c.Errorf("%v", err)
		return 125
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	s := c.Streams()
	out, errs := &gate{w: s.Stdout}, &gate{w: s.Stderr}
	s.Stdout, s.Stderr = out, errs
	done := make(chan int, 1)
	go func() { done <- c.Host.Exec(ctx, c.Args[1:], s) }()
	var expired <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case status := <-done:
		return status
	case <-expired:
		cancel()
	}
	// What heeds the context ends now; what does not is left behind, mute.
	status := 143
	select {
	case status = <-done:
	case <-time.After(50 * time.Millisecond):
	}
	out.close()
	errs.close()
	if c.Has("preserve-status") {
		return status
	}
	return 124
}

func sleep(c *tool.Call) int {
	if len(c.Args) == 0 {
		return c.Fail("missing operand")
	}
	var total time.Duration
	for _, a := range c.Args {
		if a == "infinity" || a == "inf" {
			a = "100000d"
		}
		d, err := duration(a)
		if err != nil {
			return c.Fail("%v", err)
		}
		total += d
	}
	timer := time.NewTimer(total)
	defer timer.Stop()
	select {
	case <-timer.C:
		return 0
	case <-c.Context.Done():
		return 143
	}
}

func passThrough(c *tool.Call) int {
	args := c.Args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		if (args[0] == "-n" || args[0] == "-c" || args[0] == "-o" || args[0] == "-e") && len(args) > 1 && c.Name != "nohup" {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return c.Fail("missing operand")
	}
	return c.Host.Exec(c.Context, args, c.Streams())
}

func timeCommand(c *tool.Call) int {
	args := c.Args
	for len(args) > 0 && (args[0] == "-p" || args[0] == "-v") {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0
	}
	start := time.Now()
	status := c.Host.Exec(c.Context, args, c.Streams())
	fmt.Fprintf(c.Stderr, "real %.2f\nuser 0.00\nsys 0.00\n", time.Since(start).Seconds())
	return status
}

func which(c *tool.Call) int {
	status := 0
	for _, name := range c.Args {
		path, ok := c.Host.LookPath(name, c)
		if !ok {
			status = 1
			continue
		}
		if !c.Has("s") {
			c.Out.WriteString(path + "\n")
		}
	}
	return status
}
