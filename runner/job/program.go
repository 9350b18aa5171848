package job

import (
	"context"
	"fmt"
	"strings"

	"otelrunner/sandbox"
)

// program is one command that a step runs in the sandbox.
type program struct {
	args   []string
	dir    string // "" is the workspace
	env    map[string]string
	path   []string
	files  []sandbox.File
	remove []string

	// container is set where it runs in a container of its own; args are then
	// the arguments of the image's entrypoint, and nil leaves the image's.
	container *containerProgram

	// module says that the program is a WebAssembly module.
	module bool
}

// The command files: what a program writes and the runner reads when it has
// ended.
const (
	fileEnv = iota
	filePath
	fileOutput
	fileState
	fileSummary
)

var commandFiles = [...]struct{ variable, context, name string }{
	fileEnv:     {"GITHUB_ENV", "env", "set_env_"},
	filePath:    {"GITHUB_PATH", "path", "add_path_"},
	fileOutput:  {"GITHUB_OUTPUT", "output", "set_output_"},
	fileState:   {"GITHUB_STATE", "state", "save_state_"},
	fileSummary: {"GITHUB_STEP_SUMMARY", "step_summary", "step_summary_"},
}

// commandFile returns the path of a command file of the n-th program.
func (j *jobRun) commandFile(i, n int) string {
	return j.join(j.info.Temp, "_runner_file_commands", fmt.Sprintf("%s%d", commandFiles[i].name, n))
}

const (
	// maxSummary is GitHub's bound, and the server's.
	maxSummary = 1 << 20
	// maxCommandFile bounds what is read of a command file.
	maxCommandFile = 16 << 20
)

// run runs a program in l and gives its exit status and effects. Errors are
// those of sandbox.Sandbox's Run.
func (j *jobRun) run(l life, p program) (exit int, fx effects, err error) {
	j.programs++
	c := sandbox.Command{
		Args: p.args, Env: p.env, Path: p.path, Dir: p.dir, Files: p.files, Remove: p.remove,
		CollectLimit: maxCommandFile, Grace: j.opts.Grace,
	}
	var paths [len(commandFiles)]string
	for i, f := range commandFiles {
		paths[i] = j.commandFile(i, j.programs)
		c.Env[f.variable] = paths[i]
		c.Files = append(c.Files, sandbox.File{Path: paths[i], Mode: 0o666})
		c.Collect = append(c.Collect, paths[i])
		c.Remove = append(c.Remove, paths[i])
	}
	out := newOutput(j.rows, &j.state.matchers, j.matcherFile(l.hard, &p), unsecureCommands(p.env))
	c.Stdout, c.Stderr = out, out
	propagate(l.soft, c.Env)
	if !p.module { // it has no sockets
		offerEndpoint(j.endpoint, c.Env)
		j.offerCache(&p, c.Env)
	}
	res, err := j.start(l.soft, &p, &c)
	j.usage.CPU += res.Usage.CPU
	j.usage.PeakMemory = max(j.usage.PeakMemory, res.Usage.PeakMemory)
	out.close()
	j.tellDetails(res.Details)
	fx = out.effects
	j.readFiles(&fx, paths[:], res.Collected)
	return res.ExitCode, fx, err
}

// SandboxGroup is the title of the group in which the sandbox tells of a program
// that has ended.
const SandboxGroup = "Sandbox"

func (j *jobRun) tellDetails(details []string) {
	if len(details) == 0 {
		return
	}
	j.rows.group(SandboxGroup)
	for _, line := range details {
		j.rows.printf("%s", line)
	}
	j.rows.endGroup()
}

// start runs a command in the job's sandbox, or in a container or WASM sandbox of
// its own.
func (j *jobRun) start(ctx context.Context, p *program, c *sandbox.Command) (sandbox.Result, error) {
	in := p.container
	switch {
	case p.module && j.info.Kind != sandbox.WASM:
		return j.opts.ModuleRunner.RunModule(ctx, j.sandbox, c)
	case in == nil:
		return j.sandbox.Run(ctx, c)
	}
	return in.runner.RunContainer(ctx, &sandbox.ContainerCommand{Image: in.image, Entrypoint: in.entrypoint, Command: *c})
}

func unsecureCommands(env map[string]string) bool {
	return strings.EqualFold(env["ACTIONS_ALLOW_UNSECURE_COMMANDS"], "true")
}

// matcherFile reads a problem matcher's file, which a program names; a relative path
// starts at the workspace.
func (j *jobRun) matcherFile(ctx context.Context, p *program) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if p.container != nil && j.beside != nil {
			path = j.beside.Outside(path)
		}
		return j.sandbox.ReadFile(ctx, path, 1<<20)
	}
}

// readFiles adds what the command files say. A malformed one fails the step, and
// gives what it says before the line that is wrong, as with GitHub's runner.
func (j *jobRun) readFiles(fx *effects, paths []string, data map[string][]byte) {
	pairs := func(i int) []pair {
		list, err := parseEnvFile(data[paths[i]])
		if err != nil {
			j.rows.errorf("The file %s cannot be read: %v", commandFiles[i].variable, err)
			fx.failed = true
		}
		return list
	}
	fx.env = append(fx.env, pairs(fileEnv)...)
	fx.outputs = append(fx.outputs, pairs(fileOutput)...)
	fx.state = append(fx.state, pairs(fileState)...)
	fx.path = append(fx.path, parsePathFile(data[paths[filePath]])...)
	fx.summary = data[paths[fileSummary]]
	if n := len(fx.summary); n > maxSummary {
		j.rows.errorf("The file GITHUB_STEP_SUMMARY has %d KiB; a summary of more than %d KiB is not shown.", n>>10, maxSummary>>10)
		fx.summary = nil
	}
	kept := fx.env[:0]
	for _, p := range fx.env {
		if strings.ContainsRune(p.name+p.value, 0) {
			j.rows.errorf("The file GITHUB_ENV has a NUL byte in %s, which no environment can hold.", excerpt(p.name))
			fx.failed = true
			continue
		}
		if why := j.refusedEnv(p.name); why != "" {
			j.rows.warnf("The file GITHUB_ENV may not set %s: %s.", p.name, why)
			continue
		}
		kept = append(kept, p)
	}
	fx.env = kept
}

// sentence makes an error the beginning of a row. Names of keys and programs stay
// as they are spelled.
func sentence(err error) string {
	text := err.Error()
	for _, word := range []string{"the ", "an ", "a ", "no "} {
		if strings.HasPrefix(text, word) {
			return strings.ToUpper(text[:1]) + text[1:]
		}
	}
	return text
}
