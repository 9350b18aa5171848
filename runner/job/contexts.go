package job

import (
	"context"
	"maps"
	"strings"

	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// githubContext returns the github context of a task, as expressions see it
// before there is a sandbox. The server's address has no slash at its end, which
// workflows rely on.
func githubContext(t *task.Task) map[string]any {
	g := maps.Clone(t.Context)
	if g == nil {
		g = map[string]any{}
	}
	for _, key := range []string{"server_url", "api_url", "graphql_url"} {
		if s, ok := g[key].(string); ok {
			g[key] = strings.TrimRight(s, "/")
		}
	}
	return g
}

// needsContext returns the needs context of a task.
func needsContext(t *task.Task) map[string]any {
	needs := make(map[string]any, len(t.Needs))
	for id, n := range t.Needs {
		needs[id] = map[string]any{"result": string(n.Result), "outputs": n.Outputs}
	}
	return needs
}

// runnerContext returns the runner context.
func (j *jobRun) runnerContext() map[string]any {
	r := map[string]any{
		"name":        j.opts.Name,
		"os":          runnerOS(j.info.OS),
		"arch":        runnerArch(j.info.Arch),
		"temp":        j.info.Temp,
		"tool_cache":  j.info.ToolCache,
		"workspace":   j.parent(j.info.Workspace),
		"environment": "self-hosted",
	}
	if j.rows.debug {
		r["debug"] = "1"
	}
	return r
}

// runnerOS gives RUNNER_OS for Go's name of a system.
func runnerOS(goos string) string {
	switch goos {
	case "windows":
		return "Windows"
	case "darwin":
		return "macOS"
	case "wasip1":
		return "WASI"
	}
	return "Linux"
}

// runnerArch gives RUNNER_ARCH for Go's name of an architecture.
func runnerArch(goarch string) string {
	switch goarch {
	case "amd64":
		return "X64"
	case "386":
		return "X86"
	case "arm64":
		return "ARM64"
	case "arm":
		return "ARM"
	}
	return strings.ToUpper(goarch)
}

// jobContext returns the job context, its keys in the order in which GitHub prints
// them.
func (j *jobRun) jobContext() *expr.Object {
	status := task.Success
	if j.scope != nil {
		status = j.scope.status()
	}
	c := expr.NewObject("status", string(status))
	if id := j.info.JobContainer; id.ID != "" || id.Network != "" {
		c.Set("container", expr.NewObject("network", id.Network, "id", id.ID))
	}
	if len(j.info.ServiceInfo) > 0 { // GitHub has no job.services without any
		services := expr.NewObject()
		for _, name := range sortedKeys(j.info.ServiceInfo) {
			s := j.info.ServiceInfo[name]
			services.Set(name, expr.NewObject("id", s.ID, "ports", s.Ports, "network", s.Network))
		}
		c.Set("services", services)
	}
	return c
}

// values returns all contexts for a step of a scope. env is the env context. An
// action's steps see no secrets but those that they are given.
func (j *jobRun) values(s *scope, action actionContext, env map[string]string) map[string]any {
	github := maps.Clone(j.github)
	github["action"] = action.name
	github["action_path"] = action.path
	github["action_ref"] = action.ref
	github["action_repository"] = action.repository
	github["action_status"] = string(s.status())
	for i, f := range commandFiles {
		github[f.context] = j.commandFile(i, j.programs+1) // of the program that runs next
	}
	values := maps.Clone(j.base)
	values["github"], values["gitea"] = github, github
	values["job"] = j.jobContext()
	values["steps"] = s.steps
	values["env"] = j.envContext(env)
	if s.path != "" {
		values["inputs"] = s.inputs
		values["secrets"] = nil
	}
	return values
}

// envContext finds names as the system's environment does.
func (j *jobRun) envContext(env map[string]string) any {
	if j.info.OS == "windows" {
		return env
	}
	return expr.CaseSensitive(env)
}

// exprs returns what the expressions at one key may use, with the status of s.
// Those of an action see no secrets.
func (j *jobRun) exprs(ctx context.Context, s *scope, values map[string]any, key string) *expr.Context {
	if strings.HasPrefix(key, "action.") {
		values = withoutSecrets(values)
	}
	return &expr.Context{
		Values:    values,
		Allow:     workflow.Availability(key),
		Success:   func() bool { return s.status() == task.Success },
		Failure:   func() bool { return s.status() == task.Failure },
		Cancelled: func() bool { return j.life.stopped() },
		HashFiles: func(patterns []string) (string, error) { return j.hashFiles(ctx, patterns) },
	}
}

// hashFiles is the function of that name: its first argument may be a flag.
func (j *jobRun) hashFiles(ctx context.Context, patterns []string) (string, error) {
	follow := false
	if len(patterns) > 0 && patterns[0] == "--follow-symbolic-links" {
		follow, patterns = true, patterns[1:]
	}
	return j.sandbox.HashFiles(ctx, j.info.Workspace, patterns, follow)
}

func withoutSecrets(values map[string]any) map[string]any {
	values = maps.Clone(values)
	values["secrets"] = nil
	return values
}
