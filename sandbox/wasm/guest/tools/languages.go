package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/benhoyt/goawk/interp"
	"github.com/benhoyt/goawk/parser"
	"github.com/itchyny/gojq"

	"otelrunner/sandbox/wasm/guest/tool"
)

func languageTools() []*tool.Tool {
	return []*tool.Tool{
		{Name: "awk", Aliases: []string{"gawk", "mawk", "nawk"}, Usage: "[-F FS] [-v VAR=VALUE]... {PROGRAM | -f FILE} [FILE]...", Short: "process lines by a program", Posix: true, Run: runAwk,
			Options: []tool.Option{{Short: 'F', Long: "field-separator", Arg: "FS", Help: "what separates fields"}, {Short: 'v', Long: "assign", Arg: "VAR=VALUE", Help: "set a variable"}, {Short: 'f', Long: "file", Arg: "FILE", Help: "the program is in FILE"}, {Long: "csv", Help: "input is CSV"}},
			Notes:   []string{"POSIX awk; regular expressions are RE2's; no system(), no pipes, no gawk functions beyond POSIX; it does not see process substitutions."}},
		{Name: "jq", Usage: "[OPTION]... FILTER [FILE]...", Short: "process JSON", Raw: true, Run: runJq,
			Notes: []string{"Options: -r -j -a -c -n -e -s -S -R -M -C --tab --indent N --arg K V --argjson K V --slurpfile K F --rawfile K F --args --jsonargs -f FILE. The language is gojq's: jq 1.7 with integers of any size."}},
	}
}

func runAwk(c *tool.Call) int {
	files := c.Args
	var program string
	if names := c.Values("f"); len(names) > 0 {
		var all []string
		for _, name := range names {
			f, err := c.Open(name)
			if err != nil {
				c.FileError(name, err)
				return 2
			}
			data, _ := io.ReadAll(f)
			f.Close()
			all = append(all, string(data))
		}
		program = strings.Join(all, "\n")
	} else {
		if len(files) == 0 {
			c.Errorf("a program is needed")
			return 2
		}
		program, files = files[0], files[1:]
	}
	prog, err := parser.ParseProgram([]byte(program), nil)
	if err != nil {
		c.Errorf("%v", err)
		return 2
	}
	config := &interp.Config{
		Stdin: c.Stdin, Output: c.Out, Error: c.Stderr, Argv0: c.Name, NoExec: true,
		Environ: []string{},
	}
	for _, e := range c.Env {
		k, v, _ := strings.Cut(e, "=")
		config.Environ = append(config.Environ, k, v)
	}
	if c.Has("csv") {
		config.InputMode = interp.CSVMode
	}
	if c.Has("F") {
		fs := c.Value("F")
		if fs == "t" {
			fs = "\t"
		}
		config.Vars = append(config.Vars, "FS", fs)
	}
	for _, v := range c.Values("v") {
		name, value, ok := strings.Cut(v, "=")
		if !ok {
			c.Errorf("`%s' argument to `-v' not in `var=value' form", v)
			return 2
		}
		config.Vars = append(config.Vars, name, value)
	}
	// The interpreter opens files by itself, relative to the process's
	// directory. Nothing else in this process depends on that.
	if err := os.Chdir(c.Dir); err != nil {
		c.FileError(c.Dir, err)
		return 2
	}
	config.Args = files
	status, err := interp.ExecProgram(prog, config)
	if err != nil {
		c.Errorf("%v", err)
		return 2
	}
	return status
}

type jqOptions struct {
	raw, join, ascii, compact, nullInput, exitStatus, slurp, sortKeys, rawInput, tab bool
	indent                                                                           int
	names                                                                            []string
	values                                                                           []any
	positional                                                                       []any
	filter                                                                           string
	hasFilter                                                                        bool
	files                                                                            []string
}

func parseJq(c *tool.Call) (o jqOptions, err error) {
	o.indent = 2
	args := c.Args
	take := func(n int, name string) ([]string, error) {
		if len(args) < n {
			return nil, fmt.Errorf("%s takes %d arguments", name, n)
		}
		v := args[:n]
		args = args[n:]
		return v, nil
	}
	rest := "" // --args or --jsonargs
	read := func(name string) ([]byte, error) {
		f, err := c.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", name, tool.Reason(err))
		}
		defer f.Close()
		return io.ReadAll(f)
	}
	options := true
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		if a == "--" && options {
			options = false
			continue
		}
		if !options || len(a) < 2 || a[0] != '-' {
			switch {
			case !o.hasFilter:
				o.filter, o.hasFilter = a, true
			case rest == "--args":
				o.positional = append(o.positional, a)
			case rest == "--jsonargs":
				v, err := decodeJSON([]byte(a))
				if err != nil {
					return o, fmt.Errorf("invalid JSON text passed to --jsonargs: %s", a)
				}
				o.positional = append(o.positional, v)
			default:
				o.files = append(o.files, a)
			}
			continue
		}
		if strings.HasPrefix(a, "--") {
			var v []string
			switch a {
			case "--raw-output":
				o.raw = true
			case "--join-output":
				o.raw, o.join = true, true
			case "--ascii-output":
				o.ascii = true
			case "--compact-output":
				o.compact = true
			case "--null-input":
				o.nullInput = true
			case "--exit-status":
				o.exitStatus = true
			case "--slurp":
				o.slurp = true
			case "--sort-keys":
				o.sortKeys = true
			case "--raw-input":
				o.rawInput = true
			case "--tab":
				o.tab = true
			case "--monochrome-output", "--color-output", "--unbuffered":
			case "--args", "--jsonargs":
				rest = a
			case "--indent":
				if v, err = take(1, a); err != nil {
					return o, err
				}
				if _, err := fmt.Sscan(v[0], &o.indent); err != nil || o.indent < 0 || o.indent > 9 {
					return o, errors.New("--indent takes a number from 0 to 9")
				}
			case "--from-file":
				if v, err = take(1, a); err != nil {
					return o, err
				}
				data, err := read(v[0])
				if err != nil {
					return o, err
				}
				o.filter, o.hasFilter = string(data), true
			case "--arg", "--argjson", "--slurpfile", "--rawfile":
				if v, err = take(2, a); err != nil {
					return o, err
				}
				value, err := jqVariable(a, v[1], read)
				if err != nil {
					return o, err
				}
				o.names = append(o.names, "$"+v[0])
				o.values = append(o.values, value)
			default:
				return o, fmt.Errorf("unknown option: %s", a)
			}
			continue
		}
		for _, f := range a[1:] {
			switch f {
			case 'r':
				o.raw = true
			case 'j':
				o.raw, o.join = true, true
			case 'a':
				o.ascii = true
			case 'c':
				o.compact = true
			case 'n':
				o.nullInput = true
			case 'e':
				o.exitStatus = true
			case 's':
				o.slurp = true
			case 'S':
				o.sortKeys = true
			case 'R':
				o.rawInput = true
			case 'M', 'C':
			case 'f':
				v, err := take(1, "-f")
				if err != nil {
					return o, err
				}
				data, err := read(v[0])
				if err != nil {
					return o, err
				}
				o.filter, o.hasFilter = string(data), true
			default:
				return o, fmt.Errorf("unknown option: -%c", f)
			}
		}
	}
	if !o.hasFilter {
		return o, errors.New("a filter is needed")
	}
	return o, nil
}

func jqVariable(kind, value string, read func(string) ([]byte, error)) (any, error) {
	switch kind {
	case "--arg":
		return value, nil
	case "--argjson":
		v, err := decodeJSON([]byte(value))
		if err != nil {
			return nil, fmt.Errorf("invalid JSON text passed to --argjson: %s", value)
		}
		return v, nil
	}
	data, err := read(value)
	if err != nil {
		return nil, err
	}
	if kind == "--rawfile" {
		return string(data), nil
	}
	all := []any{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		var v any
		switch err := d.Decode(&v); err {
		case nil:
			all = append(all, v)
		case io.EOF:
			return all, nil
		default:
			return nil, fmt.Errorf("%s: %w", value, err)
		}
	}
}

func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return v, nil
}

// jqInputs iterates over the inputs; it is gojq's input function too.
type jqInputs struct {
	next func() (any, bool)
}

func (i jqInputs) Next() (any, bool) { return i.next() }

func jqReader(c *tool.Call, o jqOptions) (jqInputs, *bool) {
	failed := new(bool)
	var readers []io.Reader
	for _, name := range o.files {
		f, err := c.Open(name)
		if err != nil {
			c.Errorf("error: Could not open %s: %s", name, tool.Reason(err))
			*failed = true
			continue
		}
		readers = append(readers, f)
	}
	if len(o.files) == 0 {
		readers = []io.Reader{c.Stdin}
	}
	all := io.MultiReader(readers...)
	if o.rawInput {
		if o.slurp {
			data, _ := io.ReadAll(all)
			return once(string(data)), failed
		}
		var lines []string
		read := false
		return jqInputs{func() (any, bool) {
			if !read {
				lines, _ = readLines(all, '\n')
				read = true
			}
			if len(lines) == 0 {
				return nil, false
			}
			l := lines[0]
			lines = lines[1:]
			return l, true
		}}, failed
	}
	d := json.NewDecoder(all)
	d.UseNumber()
	ended := false
	in := jqInputs{func() (any, bool) {
		var v any
		if ended {
			return nil, false
		}
		if err := d.Decode(&v); err != nil {
			ended = true
			if err == io.EOF {
				return nil, false
			}
			return fmt.Errorf("parse error: %w", err), true
		}
		return v, true
	}}
	if !o.slurp {
		return in, failed
	}
	list := []any{}
	for {
		v, ok := in.next()
		if !ok {
			return once(list), failed
		}
		if err, bad := v.(error); bad {
			return once(err), failed
		}
		list = append(list, v)
	}
}

func once(v any) jqInputs {
	done := false
	return jqInputs{func() (any, bool) {
		if done {
			return nil, false
		}
		done = true
		return v, true
	}}
}

func runJq(c *tool.Call) int {
	o, err := parseJq(c)
	if err != nil {
		c.Errorf("%v", err)
		return 2
	}
	query, err := gojq.Parse(o.filter)
	if err != nil {
		c.Errorf("error: %v in the filter %s", err, o.filter)
		return 3
	}
	inputs, failed := jqReader(c, o)
	named := map[string]any{}
	for i, n := range o.names {
		named[n[1:]] = o.values[i]
	}
	names := append(o.names, "$ARGS")
	positional := o.positional
	if positional == nil {
		positional = []any{}
	}
	values := append(o.values, map[string]any{"named": named, "positional": positional})
	code, err := gojq.Compile(query, gojq.WithVariables(names), gojq.WithInputIter(inputs), gojq.WithEnvironLoader(func() []string { return c.Env }))
	if err != nil {
		c.Errorf("error: %v", err)
		return 3
	}
	status := 0
	if *failed {
		status = 2
	}
	lastFalse, any1 := false, false
	for {
		var v any
		if !o.nullInput {
			var ok bool
			if v, ok = inputs.Next(); !ok {
				break
			}
			if err, bad := v.(error); bad {
				c.Errorf("%v", err)
				return 2
			}
		}
		iter := code.RunWithContext(c.Context, v, values...)
		for {
			v, ok := iter.Next()
			if !ok {
				break
			}
			if err, bad := v.(error); bad {
				var halt *gojq.HaltError
				if errors.As(err, &halt) {
					if v := halt.Value(); v != nil {
						if s, ok := v.(string); ok {
							io.WriteString(c.Stderr, s)
						} else {
							data, _ := gojq.Marshal(v)
							c.Stderr.Write(append(data, '\n'))
						}
					}
					return halt.ExitCode()
				}
				c.Errorf("error: %v", err)
				status = 5
				break
			}
			any1 = true
			lastFalse = v == nil || v == false
			if err := o.write(c, v); err != nil {
				c.Errorf("error: %v", err)
				return 5
			}
		}
		if o.nullInput {
			break
		}
	}
	if status == 0 && o.exitStatus {
		if !any1 {
			return 4
		}
		if lastFalse {
			return 1
		}
	}
	return status
}

func (o jqOptions) write(c *tool.Call, v any) error {
	if s, ok := v.(string); ok && o.raw {
		c.Out.WriteString(s)
	} else {
		data, err := gojq.Marshal(v)
		if err != nil {
			return err
		}
		if o.ascii {
			data = escapeNonASCII(data)
		}
		if o.compact || o.indent == 0 && !o.tab {
			c.Out.Write(data)
		} else {
			indent := strings.Repeat(" ", o.indent)
			if o.tab {
				indent = "\t"
			}
			var b bytes.Buffer
			if err := json.Indent(&b, data, "", indent); err != nil {
				return err
			}
			c.Out.Write(b.Bytes())
		}
	}
	if !o.join {
		c.Out.WriteByte('\n')
	}
	return nil
}

func escapeNonASCII(data []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(data) {
		switch {
		case r < 128:
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}
