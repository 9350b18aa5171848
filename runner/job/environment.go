package job

import (
	"cmp"
	"maps"
	"strings"

	"otelrunner/runner/workflow/expr"
)

// githubVariables are the GITHUB_* variables that say what the github context
// says at the key of the same name in lower case (docs: "Variables reference").
// They are set also where the server gives nothing, as on GitHub.
var githubVariables = []string{
	"ACTOR", "API_URL", "BASE_REF", "EVENT_NAME", "EVENT_PATH", "GRAPHQL_URL", "HEAD_REF", "JOB",
	"REF", "REF_NAME", "REF_PROTECTED", "REF_TYPE", "REPOSITORY", "REPOSITORY_OWNER",
	"RETENTION_DAYS", "RUN_ATTEMPT", "RUN_ID", "RUN_NUMBER", "SERVER_URL", "SHA",
	"TRIGGERING_ACTOR", "WORKFLOW", "WORKSPACE",
}

// optionalVariables are set where the server gives their values.
var optionalVariables = []string{
	"ACTOR_ID", "REPOSITORY_ID", "REPOSITORY_OWNER_ID", "WORKFLOW_REF", "WORKFLOW_SHA",
}

// defaultVariables returns the variables that every step of the job has. A
// workflow cannot change them.
func (j *jobRun) defaultVariables() map[string]string {
	env := map[string]string{
		"GITHUB_ACTIONS":     "true",
		"GITEA_ACTIONS":      "true",
		"RUNNER_NAME":        j.opts.Name,
		"RUNNER_OS":          runnerOS(j.info.OS),
		"RUNNER_ARCH":        runnerArch(j.info.Arch),
		"RUNNER_TEMP":        j.info.Temp,
		"RUNNER_TOOL_CACHE":  j.info.ToolCache,
		"RUNNER_WORKSPACE":   j.parent(j.info.Workspace),
		"RUNNER_ENVIRONMENT": "self-hosted",
	}
	if j.opts.Version != "" {
		env["GITEA_ACTIONS_RUNNER_VERSION"] = j.opts.Version
	}
	if j.rows.debug {
		env["RUNNER_DEBUG"] = "1"
	}
	for _, name := range githubVariables {
		env["GITHUB_"+name] = expr.Text(j.github[strings.ToLower(name)])
	}
	for _, name := range optionalVariables {
		if text := expr.Text(j.github[strings.ToLower(name)]); text != "" {
			env["GITHUB_"+name] = text
		}
	}
	maps.Copy(env, j.runtimeVariables())
	return env
}

// runtimeVariables are what actions reach the server's artifacts with.
func (j *jobRun) runtimeVariables() map[string]string {
	server := cmp.Or(j.opts.Instance, strings.TrimSuffix(expr.Text(j.github["server_url"]), "/"))
	token := expr.Text(j.github["gitea_runtime_token"])
	if server == "" || token == "" {
		return nil
	}
	return map[string]string{
		"ACTIONS_RUNTIME_URL":   server + "/api/actions_pipeline/",
		"ACTIONS_RESULTS_URL":   server,
		"ACTIONS_RUNTIME_TOKEN": token,
	}
}

// environment returns the variables of one program: the workflow's, the
// steps' around it and its own, under what the runner sets.
func (j *jobRun) environment(env map[string]string, action actionContext, own map[string]string) map[string]string {
	all := make(map[string]string, len(env)+len(j.defaults)+len(own)+8)
	all["CI"] = "true"
	maps.Copy(all, env)
	maps.Copy(all, j.defaults)
	all["GITHUB_ACTION"] = action.name
	all["GITHUB_ACTION_REPOSITORY"] = action.repository
	all["GITHUB_ACTION_REF"] = action.ref
	if action.path != "" {
		all["GITHUB_ACTION_PATH"] = action.path
	}
	maps.Copy(all, own)
	return all
}

// refusedEnv returns why GITHUB_ENV may not set a name, or "". Node.js runs
// whatever NODE_OPTIONS names, in every action after it; the runner's own
// variables would be overwritten by the runner anyway.
func (j *jobRun) refusedEnv(name string) string {
	upper := strings.ToUpper(name)
	switch _, own := j.defaults[upper]; {
	case upper == "NODE_OPTIONS":
		return "it could make every later action run other code"
	case own, strings.HasPrefix(upper, "GITHUB_ACTION_"), upper == "GITHUB_ACTION",
		upper == "GITHUB_ENV", upper == "GITHUB_PATH", upper == "GITHUB_OUTPUT",
		upper == "GITHUB_STATE", upper == "GITHUB_STEP_SUMMARY":
		return "the runner sets it"
	}
	return ""
}
