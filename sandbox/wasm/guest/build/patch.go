package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The files that are added to the interpreter's copy; ours, like every word
// that an edit puts in.
var (
	//go:embed patch/stdin.go.txt
	stdinFile string
	//go:embed patch/extra.go.txt
	extraFile string
	//go:embed patch/calls.go.txt
	callsFile string
	//go:embed patch/traps.go.txt
	trapsFile string
	//go:embed patch/vars.go.txt
	varsFile string
	//go:embed patch/expand.go.txt
	expandFile string
)

// An edit replaces one place of one file of the interpreter. The anchor must be
// there exactly times (0: once), so that an edit can never silently miss what it
// was written for when the module's version changes.
type edit struct {
	file   string
	anchor string
	with   string
	times  int
	why    string
}

// edits are what the interpreter needs to run without processes, and where it
// differs from bash in what scripts of CI jobs do every day.
var edits = []edit{
	{file: "runner.go", why: "a pipe's writer dies when its reader has gone",
		anchor: "r2.stdout = pw\n", with: "ctx2, pw2 := pipeSide(ctx, pw)\nr2.stdout = pw2\n"},
	{file: "runner.go", anchor: "r2.stderr = pw\n", with: "r2.stderr = pw2\n"},
	{file: "runner.go", anchor: "r2.stmt(ctx, cm.X)\n", with: "r2.stmt(ctx2, cm.X)\nr2.settle(ctx, ctx2)\n"},
	{file: "runner.go", why: "the last command of a pipe runs in a subshell",
		anchor: "r.stmt(ctx, cm.Y)\n\t\t\tpr.Close()", with: "right := r.lastOfPipe(ctx, cm.Y)\npr.Close()"},
	{file: "api.go", why: "set -e stays off inside conditions, in subshells too; they inherit descriptors, traps excepted",
		anchor: "origStdout: r.origStdout, // used", with: "noErrExit: r.noErrExit, fds: r.fds, inFunc: r.inFunc, calls: r.calls, pipe: r.pipe,\norigStdout: r.origStdout, // used"},
	{file: "api.go", why: "descriptors from 3 on",
		anchor: "keepRedirs bool\n", with: "keepRedirs bool\nfds fdTable\ncalls *frame\npipe []uint8\n"},
	{file: "runner.go", anchor: "oldIn, oldOut, oldErr := r.stdin", with: "oldFds := r.fds\noldIn, oldOut, oldErr := r.stdin"},
	{file: "runner.go", anchor: "r.stdin, r.stdout, r.stderr = oldIn", with: "r.fds = oldFds\nr.stdin, r.stdout, r.stderr = oldIn"},
	{file: "runner.go", anchor: `return nil, fmt.Errorf("unsupported redirect fd: %v", rd.N.Value)`,
		with: "return r.redirFd(ctx, rd, r.literal(rd.Word))"},
	{file: "runner.go", times: 2, anchor: `return nil, fmt.Errorf("unhandled %v arg: %q", rd.Op, arg)`,
		with: "return r.redirFd(ctx, rd, arg)"},
	{file: "runner.go", times: 2, anchor: `return nil, fmt.Errorf("unhandled redirect op: %v", rd.Op)`,
		with: "return r.redirFd(ctx, rd, arg)"},
	{file: "runner.go", why: "a here-document may be for a descriptor from 3 on",
		anchor: "if rd.Op == syntax.Hdoc || rd.Op == syntax.DashHdoc {", with: "if (rd.N == nil || rd.N.Value == \"0\") && (rd.Op == syntax.Hdoc || rd.Op == syntax.DashHdoc) {"},
	{file: "runner.go", why: "bash runs $( ) without -e unless inherit_errexit is set",
		anchor: "r2.stdout = w\n", with: "r2.stdout = w\nr2.opts[optErrExit] = false\n"},
	{file: "runner.go", why: "process substitution in memory",
		anchor: "os.OpenFile(path, os.O_WRONLY, 0)", with: "r2.openFifo(ctx, path, os.O_WRONLY)"},
	{file: "runner.go", anchor: "os.OpenFile(path, os.O_RDONLY, 0)", with: "r2.openFifo(ctx, path, os.O_RDONLY|os.O_EXCL)"},
	{file: "runner.go", anchor: "return os.OpenFile(path, flags, mode)", with: "return r.openFifo(ctx, path, flags)"},
	{file: "runner.go", times: 2, anchor: "os.Remove(path)\n", with: "\n"},
	{file: "builtin.go", why: "command -v and type know the toolbox",
		times: 3, anchor: "LookPathDir(r.Dir, r.writeEnv, arg)", with: "r.lookPath(arg)"},
	{file: "runner.go", why: "kill ends background jobs",
		anchor: "go func() {\n\t\t\tr2.Run(ctx, &st2)", with: "go func() {\nr2.Run(ctx, &st2)\nr2.settleSignal(ctx)"},
	{file: "runner.go", times: 1, anchor: "bg := bgProc{\n\t\t\tdone: make(chan struct{}),\n\t\t\texit: new(exitStatus),\n\t\t}\n\t\tr.bgProcs",
		with: "bg := bgProc{done: make(chan struct{}), exit: new(exitStatus)}\nctx := r.background(ctx, &bg)\nr.bgProcs"},
	{file: "api.go", anchor: "exit *exitStatus\n}", with: "exit *exitStatus\nend context.CancelCauseFunc\n}"},
	{file: "runner.go", why: "PIPESTATUS",
		anchor: "wg.Wait()\n\t\t\tr.stdin = oldIn\n", with: "wg.Wait()\nr.stdin = oldIn\nr.pipe = slices.Concat(r2.statuses(cm.X), right)\n"},
	{file: "runner.go", anchor: "r.cmd(ctx, st.Cmd)\n\t}\n", with: "r.cmd(ctx, st.Cmd)\n}\nr.endCommand(st.Cmd)\n"},
	{file: "runner.go", why: "FUNCNAME, FUNCNEST, and an end of endless recursion",
		anchor: "if body := r.Funcs[name]; body != nil {\n\t\t// stack", with: "if body := r.Funcs[name]; body != nil {\nif !r.enter(name, true) {\nreturn\n}\ndefer r.leave()\n// stack"},
	{file: "builtin.go", anchor: "r.stmts(ctx, file.Stmts)\n\t\texit = r.exit\n\tcase \"source\"",
		with: "if !r.enter(\"\", false) {\nreturn r.exit\n}\nr.stmts(ctx, file.Stmts)\nr.leave()\nexit = r.exit\ncase \"source\""},
	{file: "builtin.go", anchor: "// Keep the current versions of some fields we might modify.\n", with: "if !r.enter(\"source\", false) {\nreturn r.exit\n}\ndefer r.leave()\n"},
	{file: "vars.go", anchor: "case \"DIRSTACK\":", with: "case \"PIPESTATUS\":\nvr = r.pipeStatus()\ncase \"FUNCNAME\":\nvr = r.funcName()\ncase \"DIRSTACK\":"},
	{file: "runner.go", why: "traps: exit in them, those of subshells, set -E, RETURN",
		anchor: "func (r *Runner) trapCallback(", with: "func (r *Runner) interpTrapCallback("},
	{file: "runner.go", anchor: "if !r.handlingTrap && (r.exit.returning || r.exit.exiting) {", with: "if r.exit.returning || r.exit.exiting {"},
	{file: "runner.go", times: 5, anchor: "r2.exit.exiting = false // subshells don't exit the parent shell", with: "r2.endSubshell(ctx)"},
	{file: "runner.go", anchor: "r.stmt(ctx, body)\n", with: "r.stmt(ctx, body)\nr.returned(ctx)\n"},
	{file: "api.go", anchor: "r.trapCallback(ctx, r.callbackExit, \"exit\")", with: "r.exitTrap(ctx)"},
	{file: "api.go", anchor: "callbackErr  string\n", with: "callbackErr  string\ntraps map[string]string // but EXIT and ERR\nerrTrace bool\nbeforeTrap exitStatus\n"},
	{file: "api.go", anchor: "r2.alias = maps.Clone(r.alias)\n", with: "r2.alias = maps.Clone(r.alias)\nr2.errTrace = r.errTrace\nif r.errTrace {\nr2.callbackErr = r.callbackErr\n}\n"},
	{file: "api.go", anchor: "usedNew:  r.usedNew,\n\t}\n", with: "usedNew: r.usedNew, errTrace: r.errTrace,\n}\n"},
	{file: "builtin.go", anchor: "case 0:\n\t\t\texit = r.lastExit\n\t\tcase 1:\n\t\t\tn, err := strconv.Atoi(args[0])\n\t\t\tif err != nil {\n\t\t\t\treturn failf(2, \"invalid exit",
		with: "case 0:\n\t\t\texit = r.exitCode()\n\t\tcase 1:\n\t\t\tn, err := strconv.Atoi(args[0])\n\t\t\tif err != nil {\n\t\t\t\treturn failf(2, \"invalid exit"},
	{file: "vars.go", why: "no process ids: $$ is 1, as for the first process of a container",
		anchor: "strconv.Itoa(os.Getpid())", with: "\"1\""},
	{file: "runner.go", why: "time writes to standard error",
		times: 3, anchor: "r.outf(format, ", with: "r.errf(format, "},
	{file: "runner.go", anchor: "r.outf(\"\\n\")\n\t\t}\n\t\treal", with: "r.errf(\"\\n\")\n}\nreal"},
	{file: "../expand/arith.go", why: "elements of arrays that an expression changes",
		anchor: "name := expr.X.(*syntax.Word).Lit()\n\t\t\told := atoi(cfg.envGet(name))\n", with: "name := expr.X\nold, err := cfg.arithGet(name)\nif err != nil {\nreturn 0, err\n}\n"},
	{file: "../expand/arith.go", anchor: "name := b.X.(*syntax.Word).Lit()\n\tval := atoi(cfg.envGet(name))\n", with: "name := b.X\nval, err := cfg.arithGet(name)\nif err != nil {\nreturn 0, err\n}\n"},
	{file: "../expand/arith.go", times: 2, anchor: "cfg.envSet(name, ", with: "cfg.arithSet(name, "},
	{file: "vars.go", why: "m[k]+=v, m+=([k]=v), declare -i, -l and -u",
		anchor: "func (r *Runner) assignVal(", with: "func (r *Runner) interpAssignVal("},
	{file: "vars.go", anchor: "valType = \"-a\" // indexed", with: "valType = arrayType(prev)"},
	{file: "vars.go", anchor: "// TODO\n\t\treturn name, prev\n\t}\n\t// The base", with: "if prev.Map = maps.Clone(prev.Map); prev.Map == nil {\nprev.Map = map[string]string{}\n}\nprev.Kind = expand.Associative\nmaps.Copy(prev.Map, amap)\nreturn name, prev\n}\n// The base"},
	{file: "vars.go", anchor: "prev.List[0] += s\n", with: "prev.List = slices.Clone(prev.List)\nprev.List[0] += s\n"},
	{file: "runner.go", anchor: "case \"-x\", \"-r\":\n", with: "case \"-x\", \"-r\", \"-i\", \"-l\", \"-u\":\n"},
	{file: "runner.go", anchor: "vr := r.lookupVar(name)\n\t\t\tif as.Naked {", with: "r.attribute(name, modes)\nvr := r.lookupVar(name)\nif as.Naked {"},
	{file: "runner.go", why: "a local variable begins without a value",
		anchor: "if valType == \"-A\" {\n\t\t\t\t\tvr.Kind = expand.Associative\n\t\t\t\t} else {\n\t\t\t\t\tvr.Kind = expand.KeepValue\n\t\t\t\t}",
		with:   "if vr = r.declared(name, vr, local, global, valType); valType == \"-A\" {\nvr.Kind = expand.Associative\n}"},
	{file: "api.go", anchor: "r2.errTrace = r.errTrace\n", with: "r2.errTrace, r2.attrs = r.errTrace, r.attrs\n"},
	{file: "api.go", anchor: "errTrace bool\n", with: "errTrace bool\nattrs map[string]string // of variables\n"},
	{file: "../expand/expand.go", why: "${list[@]:-word} and ${list[@]+word}",
		anchor: "if elems, star, ok := cfg.listElems(pe); ok {\n", with: "if elems, star, ok := cfg.listElems(pe); ok {\nif fields, done, err := cfg.defaultElems(pe, elems); done && !star {\nreturn fields, err\n}\n"},
	{file: "../expand/expand.go", anchor: "if nodeLit(pe.Index) == \"@\" && !cfg.Env.Get(name).IsSet() {\n", with: "if nodeLit(pe.Index) == \"@\" && !cfg.Env.Get(name).IsSet() {\nif fields, done, err := cfg.defaultElems(pe, nil); done {\nreturn fields, err\n}\n"},
	{file: "../expand/expand.go", why: "!(pattern) and hidden files",
		anchor: "internal.ExtendedPatternMatcher(part, mode)", with: "cfg.globMatcher(part, mode)"},
	{file: "../expand/expand.go", anchor: "\"mvdan.cc/sh/v3/internal\"\n", with: "\n"},
	{file: "../expand/param.go", why: "${v/#a/b} and ${v/%a/b}",
		anchor: "locs := findAllIndex(orig, elem, n)", with: "locs := replaceAt(orig, elem, n)"},
	{file: "../expand/param.go", why: "${#map[@]}",
		anchor: "n := len(elems)\n", with: "n := len(elems)\nif vr.Kind == Associative {\nn = len(vr.Map)\n}\n"},
}

// patch turns the folder of the interpreter's sources into what the guest is
// built with.
func patch(dir string) error {
	for _, gone := range []string{"stdin_os.go", "stdin_js.go"} {
		if err := os.Remove(filepath.Join(dir, gone)); err != nil {
			return err
		}
	}
	// mkfifo is ours; every other line of the file stays as it is.
	for _, file := range []string{"os_unix.go", "os_notunix.go"} {
		if err := replace(filepath.Join(dir, file), "func mkfifo(", "func systemMkfifo(", 1); err != nil {
			return err
		}
	}
	for _, e := range edits {
		if err := replace(filepath.Join(dir, e.file), e.anchor, e.with, max(1, e.times)); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{"otelrunner_stdin.go": stdinFile, "otelrunner_extra.go": extraFile, "otelrunner_calls.go": callsFile, "otelrunner_traps.go": trapsFile, "otelrunner_vars.go": varsFile, "../expand/otelrunner.go": expandFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func replace(path, anchor, with string, times int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(data), anchor); n != times {
		return fmt.Errorf("patch %s: %q is there %d times, not %d: the module's version has changed; mend edits in patch.go", path, anchor, n, times)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := os.Chmod(path, info.Mode()|0o200); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(data), anchor, with)), 0o644)
}
