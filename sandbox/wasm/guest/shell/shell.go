// Package shell is the toolbox's bash: mvdan.cc/sh's interpreter with its effects
// (commands, files, look-ups) given by this package instead of by an operating
// system. Commands are the toolbox's own, shell scripts, and *.wasm modules,
// which the host runs.
package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"otelrunner/sandbox/wasm/guest/tool"
)

// Spawner runs a WebAssembly module as a child, to its end.
type Spawner interface {
	// Spawn returns the child's exit status. An error means that it never
	// started; its text is for the step's log.
	Spawn(ctx context.Context, path string, args []string, s tool.Streams) (int, error)
}

// Shell runs scripts and commands. It is safe for concurrent use.
type Shell struct {
	tools map[string]*tool.Tool
	list  []*tool.Tool
	spawn Spawner
	fifos *fifos
}

// New returns a shell with the given commands. spawn may be nil where the host
// cannot start modules.
func New(tools []*tool.Tool, spawn Spawner) *Shell {
	sh := &Shell{tools: map[string]*tool.Tool{}, spawn: spawn, fifos: newFifos()}
	sh.list = slices.Concat(tools, sh.own())
	slices.SortFunc(sh.list, func(a, b *tool.Tool) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range sh.list {
		for _, name := range append([]string{t.Name}, t.Aliases...) {
			sh.tools[name] = t
		}
	}
	return sh
}

// Tools lists the commands, sorted by name.
func (sh *Shell) Tools() []*tool.Tool { return sh.list }

// Main runs args as the process's one command and waits for what it left in
// process substitutions.
func (sh *Shell) Main(ctx context.Context, args []string, s tool.Streams) int {
	args = slices.Clone(args)
	args[0] = strings.TrimSuffix(filepath.Base(args[0]), ".wasm")
	if args[0] == "toolbox" || args[0] == "guest" { // so go run names it
		if args = args[1:]; len(args) == 0 {
			args = []string{"help"}
		}
	}
	status := sh.Exec(ctx, args, s)
	sh.fifos.wait()
	return status
}

// maxNesting is how many commands may run one another (a script that runs a
// script, xargs that runs env …). Where a kernel would run out of processes, this
// shell would run out of its stack.
const maxNesting = 200

type nestingKey struct{}

// Exec runs a command by name: what PATH finds first, else the toolbox's.
func (sh *Shell) Exec(ctx context.Context, args []string, s tool.Streams) int {
	name := args[0]
	depth, _ := ctx.Value(nestingKey{}).(int)
	if depth >= maxNesting {
		fmt.Fprintf(s.Stderr, "%s: %d commands run inside one another, which is the most that this shell can\n", name, maxNesting)
		return 126
	}
	ctx = context.WithValue(ctx, nestingKey{}, depth+1)
	path, t := sh.find(name, s.Dir, pathOf(s.Env))
	switch {
	case t != nil:
		return tool.Run(ctx, t, args, s, sh, sh.fifos)
	case path == "":
		if strings.Contains(name, "/") {
			fmt.Fprintf(s.Stderr, "%s: No such file or directory\n", name)
			return 127
		}
		fmt.Fprintf(s.Stderr, "%s: command not found. This job's shell runs in a WASM sandbox; it has %s, and any *.wasm on PATH\n", name, strings.Join(sh.names(), " "))
		return 127
	}
	return sh.execFile(ctx, path, args, s)
}

func pathOf(env []string) string {
	c := tool.Call{Env: env}
	return c.Getenv("PATH")
}

func (sh *Shell) names() []string {
	names := make([]string, 0, len(sh.list))
	for _, t := range sh.list {
		names = append(names, t.Name)
	}
	return names
}

// systemDirs are where a script may expect the toolbox's commands by full path.
var systemDirs = []string{"/bin", "/usr/bin"}

// otherSystemDirs hold programs of another machine, if anything; only native tests
// see them filled.
var otherSystemDirs = []string{"/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"}

// find gives either a toolbox command or the path of a program, or neither.
func (sh *Shell) find(name, dir, path string) (string, *tool.Tool) {
	if strings.Contains(name, "/") {
		full := absolute(dir, name)
		if t := sh.virtual(full); t != nil {
			return "", t
		}
		if _, err := os.Stat(full); err != nil {
			return "", nil
		}
		return full, nil
	}
	for _, d := range filepath.SplitList(path) {
		d = absolute(dir, d)
		if slices.Contains(systemDirs, d) {
			if t := sh.tools[name]; t != nil {
				return "", t
			}
			continue
		}
		if slices.Contains(otherSystemDirs, d) {
			continue
		}
		for _, file := range []string{name, name + ".wasm"} {
			full := filepath.Join(d, file)
			if runnable(full) {
				return full, nil
			}
		}
	}
	return "", sh.tools[name]
}

// virtual is the toolbox command at a path like /usr/bin/env, or nil.
func (sh *Shell) virtual(path string) *tool.Tool {
	dir, name := filepath.Split(path)
	if !slices.Contains(systemDirs, filepath.Clean(dir)) {
		return nil
	}
	return sh.tools[name]
}

// LookPath is find for the commands that look for others (which).
func (sh *Shell) LookPath(name string, c *tool.Call) (string, bool) {
	path, t := sh.find(name, c.Dir, c.Getenv("PATH"))
	if t != nil {
		if strings.Contains(name, "/") {
			return name, true
		}
		return "/bin/" + name, true
	}
	return path, path != "" && runnable(path)
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// runnable reports whether a file is something that execFile runs. A sandbox's
// file system has no permission to execute, so the content decides.
func runnable(path string) bool {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return false
	}
	return sniff(path) != plainFile
}

type fileKind int

const (
	plainFile fileKind = iota
	wasmFile
	scriptFile
)

func sniff(path string) fileKind {
	f, err := os.Open(path)
	if err != nil {
		return plainFile
	}
	defer f.Close()
	var head [4]byte
	n, _ := io.ReadFull(f, head[:])
	switch {
	case string(head[:n]) == "\x00asm":
		return wasmFile
	case strings.HasPrefix(string(head[:n]), "#!"):
		return scriptFile
	}
	return plainFile
}

// execFile runs a module, or a script by its interpreter, or, as shells do, any
// other text as a shell script.
func (sh *Shell) execFile(ctx context.Context, path string, args []string, s tool.Streams) int {
	info, err := os.Stat(path)
	if err != nil {
		fmt.Fprintf(s.Stderr, "%s: %s\n", args[0], tool.Reason(err))
		return 127
	}
	if info.IsDir() {
		fmt.Fprintf(s.Stderr, "%s: Is a directory\n", args[0])
		return 126
	}
	if sniff(path) == wasmFile {
		if sh.spawn == nil {
			fmt.Fprintf(s.Stderr, "%s: this host cannot start WebAssembly modules\n", args[0])
			return 126
		}
		status, err := sh.spawn.Spawn(ctx, path, args, s)
		if err != nil {
			fmt.Fprintf(s.Stderr, "%s: %v\n", args[0], err)
			return 126
		}
		return status
	}
	if executable(info) {
		return sh.execScript(ctx, path, args, s)
	}
	fmt.Fprintf(s.Stderr, "%s: Permission denied\n", args[0])
	return 126
}

func (sh *Shell) execScript(ctx context.Context, path string, args []string, s tool.Streams) int {
	data, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintf(s.Stderr, "%s: %s\n", args[0], tool.Reason(err))
		return 126
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if strings.Contains(line, "\x00") {
		fmt.Fprintf(s.Stderr, "%s: this is no WebAssembly module and no script; programs of other machines do not run in this sandbox\n", args[0])
		return 126
	}
	interpreter := []string{"sh"}
	if rest, ok := strings.CutPrefix(line, "#!"); ok {
		program, arg, hasArg := strings.Cut(strings.TrimSpace(rest), " ")
		interpreter = []string{program}
		if filepath.Base(program) == "env" && hasArg {
			arg = strings.TrimPrefix(strings.TrimSpace(arg), "-S ")
			interpreter = strings.Fields(arg)
			hasArg = false
		}
		if hasArg {
			interpreter = append(interpreter, strings.TrimSpace(arg))
		}
		if found, t := sh.find(interpreter[0], s.Dir, pathOf(s.Env)); found == "" && t == nil {
			fmt.Fprintf(s.Stderr, "%s: its interpreter %s is not in this sandbox\n", args[0], interpreter[0])
			return 127
		}
	}
	return sh.Exec(ctx, slices.Concat(interpreter, []string{path}, args[1:]), s)
}

// invocation is a shell's command line, understood.
type invocation struct {
	options  []string // for set
	errTrace bool     // set -E
	command  bool     // -c
	stdin    bool     // -s
	args     []string
}

func parseInvocation(args []string) (invocation, error) {
	var inv invocation
	for len(args) > 0 {
		arg := args[0]
		if arg == "--" || arg == "-" {
			args = args[1:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' && arg[0] != '+' {
			break
		}
		args = args[1:]
		if strings.HasPrefix(arg, "--") {
			switch arg {
			case "--noprofile", "--norc", "--posix", "--login", "--noediting":
				continue
			}
			return inv, fmt.Errorf("%s: invalid option", arg)
		}
		for _, f := range arg[1:] {
			switch f {
			case 'c':
				inv.command = true
			case 's':
				inv.stdin = true
			case 'E':
				inv.errTrace = arg[0] == '-'
			case 'l', 'i', 'B', 'h', 'T', 'p', 'm':
			case 'o', 'O':
				if len(args) == 0 {
					return inv, fmt.Errorf("-%c: option requires an argument", f)
				}
				if f == 'o' && args[0] == "errtrace" {
					inv.errTrace = arg[0] == '-'
				} else if f == 'o' && !ignoredOption(args[0]) {
					inv.options = append(inv.options, arg[:1]+"o", args[0])
				}
				args = args[1:]
			default:
				inv.options = append(inv.options, arg[:1]+string(f))
			}
		}
	}
	inv.args = args
	if inv.command && len(args) == 0 {
		return inv, errors.New("-c: option requires an argument")
	}
	return inv, nil
}

// runShell is the command sh or bash.
func (sh *Shell) runShell(c *tool.Call) int {
	inv, err := parseInvocation(c.Args)
	if err != nil {
		c.Errorf("%v", err)
		return 2
	}
	name, params := c.Name, inv.args
	var script io.Reader
	file := "" // that is the script
	switch {
	case inv.command:
		script = strings.NewReader(params[0])
		if params = params[1:]; len(params) > 0 {
			name, params = params[0], params[1:]
		}
	case inv.stdin || len(params) == 0:
		script = c.Stdin
	default:
		name, params = params[0], params[1:]
		path := name
		if _, err := os.Stat(c.Path(name)); err != nil && !strings.Contains(name, "/") {
			if found, _ := sh.find(name, c.Dir, c.Getenv("PATH")); found != "" {
				path = found
			}
		}
		f, err := c.Open(path)
		if err != nil {
			c.FileError(name, err)
			if errors.Is(err, os.ErrNotExist) {
				return 127
			}
			return 126
		}
		defer f.Close()
		script, file = f, name
	}
	return sh.runScript(c, source{text: script, name: name, file: file}, inv, params)
}

// source is a script's text; name is its $0, and file what BASH_SOURCE says, which
// is "" where the script is no file.
type source struct {
	text       io.Reader
	name, file string
}

// runScript runs a script with an invocation's options and the given parameters.
func (sh *Shell) runScript(c *tool.Call, script source, inv invocation, params []string) int {
	ctx, shellName, s := c.Context, c.Name, c.Streams()
	tree, err := syntax.NewParser().Parse(script.text, script.name)
	if err != nil {
		fmt.Fprintf(s.Stderr, "%s: %v\n", shellName, err)
		return 2
	}
	r, err := interp.New(
		interp.Env(environment(s.Env, script.file)),
		interp.Dir(s.Dir),
		interp.StdIO(s.Stdin, s.Stdout, s.Stderr),
		interp.Params(slices.Concat(inv.options, []string{"--"}, params)...),
		withErrTrace(inv.errTrace),
		interp.CallHandler(sh.callHandler),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return sh.execHandler }),
		interp.OpenHandler(sh.openHandler),
		interp.StatHandler(sh.statHandler),
		interp.AccessHandler(sh.accessHandler),
	)
	if err != nil {
		fmt.Fprintf(s.Stderr, "%s: %v\n", shellName, err)
		return 2
	}
	err = r.Run(ctx, tree)
	var status interp.ExitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case ctx.Err() != nil:
		return 143
	}
	fmt.Fprintf(s.Stderr, "%s: %v\n", shellName, err)
	return 1
}

// environment is the exported variables and those of the shell itself. script is
// the file that runs, "" where it is none.
func environment(env []string, script string) expand.Environ {
	own := map[string]string{
		"BASH_VERSION": "5.2.0(1)-toolbox", "BASH": "/bin/bash",
		"HOSTNAME": "wasm", "OSTYPE": "wasi", "MACHTYPE": "wasm32-wasip1", "HOSTTYPE": "wasm32",
		"OPTERR": "1", "SHLVL": "1",
	}
	if script != "" {
		own["BASH_SOURCE"] = script
	}
	return shellEnv{expand.ListEnviron(env...), own}
}

type shellEnv struct {
	expand.Environ
	own map[string]string
}

func (e shellEnv) Each(f func(string, expand.Variable) bool) {
	for name, value := range e.own {
		if !e.Environ.Get(name).IsSet() && !f(name, expand.Variable{Set: true, Kind: expand.String, Str: value}) {
			return
		}
	}
	e.Environ.Each(f)
}

func (e shellEnv) Get(name string) expand.Variable {
	if v := e.Environ.Get(name); v.IsSet() {
		return v
	}
	if v, ok := e.own[name]; ok {
		return expand.Variable{Set: true, Kind: expand.String, Str: v}
	}
	return expand.Variable{}
}
