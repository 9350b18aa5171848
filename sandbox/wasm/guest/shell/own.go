package shell

import (
	"strings"

	"otelrunner/sandbox/wasm/guest/tool"
)

// own are the commands that are the shell itself: the shells, and its builtins
// for those who call them by name (xargs, env, find -exec).
func (sh *Shell) own() []*tool.Tool {
	builtin := func(name, usage, short string) *tool.Tool {
		return &tool.Tool{Name: name, Usage: usage, Short: short, Raw: true, Run: func(c *tool.Call) int {
			return sh.runBuiltin(c, name)
		}}
	}
	return []*tool.Tool{
		{
			Name: "bash", Aliases: []string{"sh", "dash", "ash"}, Usage: "[-eux] [-o OPTION] [-c COMMANDS | FILE] [ARG]...", Raw: true,
			Short: "run a script in bash's language",
			Notes: []string{
				"Every command of a pipeline and every background job runs in one process.",
				"Traps: EXIT, ERR and RETURN, and of what the shell sends itself. Signals: kill ends this shell ($$) and its own background jobs.",
				"Functions, evals and sourced files may be nested 1000 deep, commands that run commands 200. No job control, no coprocesses, no noclobber, no BASH_LINENO.",
			},
			Run: sh.runShell,
		},
		builtin("echo", "[-neE] [STRING]...", "write its arguments"),
		builtin("printf", "FORMAT [ARGUMENT]...", "write its arguments by a format"),
		builtin("test", "EXPRESSION", "check files, strings and numbers"),
		builtin("[", "EXPRESSION ]", "check files, strings and numbers"),
		builtin("pwd", "[-P]", "write the working directory"),
		builtin("true", "", "do nothing, successfully"),
		builtin("false", "", "do nothing, unsuccessfully"),
		{Name: "help", Usage: "[COMMAND]", Short: "list the commands, or describe one", Raw: true, Run: sh.runHelp},
	}
}

// runBuiltin runs a builtin in a shell of its own.
func (sh *Shell) runBuiltin(c *tool.Call, name string) int {
	return sh.runScript(c, source{text: strings.NewReader(name + ` "$@"`), name: name}, invocation{}, c.Args)
}

func (sh *Shell) runHelp(c *tool.Call) int {
	if len(c.Args) == 1 && c.Args[0] == "--markdown" {
		c.Out.WriteString(tool.Table(sh.list))
		return 0
	}
	if len(c.Args) == 0 {
		c.Out.WriteString("Commands of this sandbox's toolbox; COMMAND --help describes one. Any *.wasm on PATH is a command too.\n\n")
		for _, t := range sh.list {
			names := append([]string{t.Name}, t.Aliases...)
			c.Out.WriteString("  " + strings.Join(names, ", ") + strings.Repeat(" ", max(1, 24-len(strings.Join(names, ", ")))) + t.Short + "\n")
		}
		return 0
	}
	status := 0
	for _, name := range c.Args {
		t := sh.tools[name]
		if t == nil {
			c.Errorf("no help topics match `%s'", name)
			status = 1
			continue
		}
		c.Out.WriteString(t.Help())
	}
	return status
}
