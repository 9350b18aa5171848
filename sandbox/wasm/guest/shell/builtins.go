package shell

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"otelrunner/sandbox/wasm/guest/tool"
)

type builtin func(ctx context.Context, hc interp.HandlerContext, args []string) int

// builtin gives the commands that callHandler has put in place of the
// interpreter's.
func (sh *Shell) builtin(name string) builtin {
	name, ok := strings.CutPrefix(name, ownPrefix)
	if !ok {
		return nil
	}
	switch name {
	case "printf":
		return runPrintf
	case "read":
		return runRead
	case "kill":
		return runKill
	case "trap":
		return setTraps
	case "umask":
		return func(_ context.Context, hc interp.HandlerContext, args []string) int {
			if len(args) == 1 {
				fmt.Fprintln(hc.Stdout, "0022")
			}
			return 0
		}
	case "ulimit":
		return func(_ context.Context, hc interp.HandlerContext, _ []string) int {
			fmt.Fprintln(hc.Stderr, "ulimit: the limits of a WASM sandbox are set by the workflow and the runner's operator, not by the shell")
			return 1
		}
	case "help":
		return func(ctx context.Context, hc interp.HandlerContext, args []string) int {
			return sh.Exec(ctx, slices.Concat([]string{"help"}, args[1:]), streams(hc))
		}
	}
	return nil
}

func runPrintf(_ context.Context, hc interp.HandlerContext, args []string) int {
	args = args[1:]
	variable := ""
	if len(args) > 1 && args[0] == "-v" {
		variable, args = args[1], args[2:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(hc.Stderr, "printf: usage: printf [-v var] format [arguments]")
		return 2
	}
	out, complaints := printf(args[0], args[1:])
	for _, c := range complaints {
		fmt.Fprintln(hc.Stderr, "printf:", c)
	}
	if variable != "" {
		if !syntax.ValidName(variable) {
			fmt.Fprintf(hc.Stderr, "printf: `%s': not a valid identifier\n", variable)
			return 2
		}
		setVar(hc, variable, expand.Variable{Set: true, Kind: expand.String, Str: out})
	} else if _, err := io.WriteString(hc.Stdout, out); err != nil {
		return tool.ExitBroken
	}
	if len(complaints) > 0 {
		return 1
	}
	return 0
}

// needsOwnRead reports whether a call of read uses more than -r -s -a -p.
func needsOwnRead(args []string) bool {
	for _, a := range args {
		if a == "--" || len(a) < 2 || a[0] != '-' {
			return false
		}
		if strings.ContainsAny(a[1:], "dnNtuie") {
			return true
		}
		if strings.HasSuffix(a, "p") || strings.HasSuffix(a, "a") {
			return strings.Contains(strings.Join(args, " "), " -")
		}
	}
	return false
}

type readOptions struct {
	raw, exact bool
	array      string
	delim      byte
	count      int
	timeout    time.Duration
	fd         string
	names      []string
}

func parseRead(args []string) (readOptions, error) {
	o := readOptions{delim: '\n', count: -1, timeout: -1, fd: "0"}
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
	flags:
		for i := 1; i < len(arg); i++ {
			f := arg[i]
			if strings.IndexByte("rse", f) >= 0 {
				o.raw = o.raw || f == 'r'
				continue
			}
			if strings.IndexByte("adnNtupi", f) < 0 {
				return o, fmt.Errorf("-%c: invalid option", f)
			}
			value := arg[i+1:]
			if value == "" {
				if len(args) == 0 {
					return o, fmt.Errorf("-%c: option requires an argument", f)
				}
				value, args = args[0], args[1:]
			}
			var err error
			switch f {
			case 'a':
				o.array = value
			case 'd':
				o.delim = 0
				if value != "" {
					o.delim = value[0]
				}
			case 'n', 'N':
				o.count, err = strconv.Atoi(value)
				o.exact = f == 'N'
			case 't':
				var seconds float64
				seconds, err = strconv.ParseFloat(value, 64)
				o.timeout = time.Duration(seconds * float64(time.Second))
			case 'u':
				o.fd = value
			}
			if err != nil {
				return o, fmt.Errorf("%s: invalid number", value)
			}
			break flags
		}
	}
	o.names = args
	for _, n := range slices.Concat(o.names, []string{o.array}) {
		if n != "" && !syntax.ValidName(n) {
			return o, fmt.Errorf("`%s': not a valid identifier", n)
		}
	}
	return o, nil
}

func runRead(_ context.Context, hc interp.HandlerContext, args []string) int {
	o, err := parseRead(args[1:])
	if err != nil {
		fmt.Fprintln(hc.Stderr, "read:", err)
		return 2
	}
	in := hc.Stdin
	if o.fd != "0" {
		f, _ := descriptor(hc, o.fd)
		r, ok := f.(io.Reader)
		if !ok {
			fmt.Fprintf(hc.Stderr, "read: %s: invalid file descriptor: Bad file descriptor\n", o.fd)
			return 1
		}
		in = r
	}
	if in == nil {
		return 1
	}
	if d, ok := in.(interface{ SetReadDeadline(time.Time) error }); ok && o.timeout >= 0 {
		timer := time.AfterFunc(o.timeout, func() { _ = d.SetReadDeadline(time.Now()) })
		defer func() {
			timer.Stop()
			_ = d.SetReadDeadline(time.Time{})
		}()
	}
	line, err := readUntil(in, o)
	assign(hc, o, line)
	switch {
	case err == nil:
		return 0
	case os.IsTimeout(err):
		return 142
	}
	return 1
}

// readUntil reads byte by byte: what follows the line is for the next reader.
func readUntil(in io.Reader, o readOptions) (string, error) {
	var line []byte
	var b [1]byte
	escaped := false
	chars := 0
	for o.count < 0 || chars < o.count {
		n, err := in.Read(b[:])
		if n == 0 && err != nil {
			return string(line), err
		}
		if n == 0 {
			continue
		}
		c := b[0]
		switch {
		case escaped && c == '\n' && !o.raw:
			line = line[:len(line)-1]
			escaped = false
			continue
		case c == o.delim && !escaped && !o.exact:
			return string(line), nil
		case c == 0 && o.delim != 0:
			continue
		}
		escaped = !o.raw && c == '\\' && !escaped
		line = append(line, c)
		if c&0xc0 != 0x80 && !escaped {
			chars++
		}
	}
	return string(line), nil
}

func assign(hc interp.HandlerContext, o readOptions, line string) {
	cfg := &expand.Config{Env: hc.Env}
	text := func(s string) expand.Variable { return expand.Variable{Set: true, Kind: expand.String, Str: s} }
	switch {
	case o.array != "":
		setVar(hc, o.array, expand.Variable{Set: true, Kind: expand.Indexed, List: expand.ReadFields(cfg, line, -1, o.raw)})
	case len(o.names) == 0:
		setVar(hc, "REPLY", text(unescape(line, o.raw)))
	case o.exact:
		setVar(hc, o.names[0], text(unescape(line, o.raw)))
	default:
		values := expand.ReadFields(cfg, line, len(o.names), o.raw)
		for i, name := range o.names {
			v := ""
			if i < len(values) {
				v = values[i]
			}
			setVar(hc, name, text(v))
		}
	}
}

func unescape(s string, raw bool) string {
	if raw || !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
