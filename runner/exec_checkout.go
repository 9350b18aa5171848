package runner

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"otelrunner/runner/job"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

// checkouts does what a workflow's checkout steps would do, with a copy of the
// working directory in the place of the commit. A step that asks for another
// repository, or for another commit of this one, is left to the action itself.
type checkouts struct {
	repo *repository
	// put copies into a folder of a job's workspace.
	put func(ctx context.Context, s sandbox.Sandbox, dir string, log func(string)) error
}

var _ job.Instead = checkouts{}

// Takes knows the action by its name, wherever it is fetched from.
func (checkouts) Takes(uses string) bool {
	name, _, hasRef := strings.Cut(uses, "@")
	if !hasRef {
		return false // a mistake, which is to be told
	}
	return name == "actions/checkout" || strings.HasSuffix(name, "://github.com/actions/checkout") || strings.HasSuffix(name, "://gitea.com/actions/checkout")
}

// Do implements job.Instead. The workspace holds the copy already.
func (c checkouts) Do(ctx context.Context, s job.InsteadStep, log func(string)) (map[string]string, bool, error) {
	with := map[string]string{}
	for name, value := range s.With {
		with[strings.ToLower(name)] = strings.TrimSpace(value)
	}
	if !c.isThis(s.GitHub, with) {
		return nil, false, nil
	}
	outputs := map[string]string{"ref": c.repo.ref, "commit": c.repo.sha}
	dir := path.Clean(strings.ReplaceAll(with["path"], `\`, "/"))
	if dir == "." {
		log("The workspace is a copy of the working directory; --checkout fetches the commit instead.")
		return outputs, true, nil
	}
	workspace := s.Sandbox.Info().Workspace
	if path.IsAbs(dir) || s.Sandbox.Info().OS == "windows" && strings.Contains(dir, ":") {
		rest, inside := strings.CutPrefix(dir, strings.ReplaceAll(workspace, `\`, "/")+"/")
		if !inside {
			return nil, false, outside(with["path"], workspace)
		}
		dir = rest
	}
	if dir == ".." || strings.HasPrefix(dir, "../") {
		return nil, false, outside(with["path"], workspace)
	}
	separator := "/"
	if s.Sandbox.Info().OS == "windows" {
		separator = `\`
	}
	to := workspace + separator + strings.ReplaceAll(dir, "/", separator)
	if err := c.put(ctx, s.Sandbox, to, log); err != nil {
		return nil, false, err
	}
	log(fmt.Sprintf("%s is a copy of the working directory; --checkout fetches the commit instead.", with["path"]))
	return outputs, true, nil
}

func outside(dir, workspace string) error {
	return fmt.Errorf("path: %s is not in the workspace, %s", dir, workspace)
}

// isThis reports whether a step asks for the commit that the workspace is a copy
// of.
func (c checkouts) isThis(github map[string]any, with map[string]string) bool {
	is := func(given string, same ...string) bool {
		if given == "" {
			return true
		}
		for _, s := range same {
			if strings.EqualFold(given, s) {
				return true
			}
		}
		return false
	}
	text := func(key string) string { return expr.Text(github[key]) }
	return is(with["repository"], c.repo.name, text("repository")) &&
		is(with["ref"], c.repo.ref, c.repo.refName(), c.repo.sha, text("ref"), text("ref_name"), text("sha")) &&
		is(strings.TrimRight(with["github-server-url"], "/"), c.repo.server, text("server_url"))
}

// errNoCopy is for a sandbox of an unknown kind, which no job has.
var errNoCopy = errors.New("put a copy of the working directory into the workspace: this sandbox takes none")

// putInto copies into a folder of a sandbox of any kind.
func putInto(onHost filling, elsewhere sending) func(context.Context, sandbox.Sandbox, string, func(string)) error {
	return func(ctx context.Context, s sandbox.Sandbox, dir string, log func(string)) error {
		switch s.Info().Kind {
		case sandbox.Host:
			return onHost.put(ctx, s, dir, log)
		case sandbox.Docker, sandbox.WASM:
			return elsewhere.put(ctx, s, dir, log)
		}
		return errNoCopy
	}
}
