package job

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"otelrunner/runner/action"
	"otelrunner/runner/checkout"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
	"otelrunner/sandbox"
)

// builtIn is the kind of an action that the runner does itself.
const builtIn action.Using = "built-in"

// checkoutName is the action that is built in where Node.js cannot run, at whatever
// server and version a workflow names it.
const checkoutName = "actions/checkout"

// isBuiltIn reports whether a reference names an action that the runner does itself
// in this job's sandbox; nothing is fetched for it.
func (j *jobRun) isBuiltIn(ref action.Reference) bool {
	if ref.Kind != action.Remote || ref.Path != "" || !strings.EqualFold(ref.Name, checkoutName) || j.scheme != label.Wasm {
		return false
	}
	_, ok := j.sandbox.(sandbox.FileKeeper)
	return ok
}

// notBuiltIn are the `uses:` values that have to be fetched.
func (j *jobRun) notBuiltIn(uses []string) (left []string) {
	for _, text := range uses {
		if ref, err := j.parseUses(text); err != nil || !j.isBuiltIn(ref) {
			left = append(left, text)
		}
	}
	return left
}

// checkoutInputs are the inputs that the action has, with their defaults; those
// that change nothing here say so when they are given another value.
var checkoutInputs = []struct{ name, value, ignored string }{
	{name: "repository", value: "${{ github.repository }}"},
	{name: "ref"},
	{name: "token", value: "${{ github.token }}"},
	{name: "path"},
	{name: "clean", value: "true"},
	{name: "fetch-depth", value: "1"},
	{name: "fetch-tags", value: "false"},
	{name: "submodules", value: "false"},
	{name: "persist-credentials", value: "true"},
	{name: "github-server-url"},
	{name: "show-progress", value: "true"},
	{name: "set-safe-directory", value: "true"},
	{name: "ssh-key", ignored: "repositories are fetched over https, with the token"},
	{name: "ssh-known-hosts", ignored: "repositories are fetched over https"},
	{name: "ssh-strict", value: "true", ignored: "repositories are fetched over https"},
	{name: "ssh-user", value: "git", ignored: "repositories are fetched over https"},
	{name: "filter", ignored: "all objects of the commits are fetched"},
	{name: "sparse-checkout", ignored: "all files are checked out"},
	{name: "sparse-checkout-cone-mode", value: "true", ignored: "all files are checked out"},
	{name: "lfs", value: "false", ignored: "the files of Git LFS stay pointers"},
}

// checkoutAction is the action that is built in.
func (j *jobRun) checkoutAction(ref action.Reference) *loaded {
	meta := &action.Metadata{
		File: ref.String(), Name: "Checkout",
		Runs: action.Runs{Using: builtIn, Env: workflow.Vars{}},
	}
	for _, in := range checkoutInputs {
		meta.Inputs = append(meta.Inputs, action.Input{Name: in.name, Default: in.value, HasDefault: in.value != ""})
	}
	return &loaded{ref: ref, meta: meta}
}

// checkOut does what actions/checkout does.
func (j *jobRun) checkOut(r *stepRun, u *use) done {
	res, err := j.runCheckout(r, u)
	if err != nil {
		if r.life.soft.Err() != nil {
			return done{outcome: j.ended(r)}
		}
		j.rows.errorf("%s", sentence(err))
		return done{outcome: r.invalid(err)}
	}
	return done{outcome: task.Success, outputs: []pair{{"ref", res.Ref}, {"commit", res.Commit}}}
}

func (j *jobRun) runCheckout(r *stepRun, u *use) (checkout.Result, error) {
	cloner, ok := j.opts.Actions.(checkout.Cloner)
	if !ok {
		return checkout.Result{}, errors.New("this runner fetches no repositories")
	}
	for _, in := range checkoutInputs {
		if given := u.inputs[in.name]; in.ignored != "" && given != "" && !strings.EqualFold(given, in.value) {
			j.rows.warnf("The input %s of the built-in %s has no effect: %s.", in.name, checkoutName, in.ignored)
		}
	}
	o := checkout.Options{
		Cloner: cloner, Files: j.sandbox.(sandbox.FileKeeper).Files(), //nolint:forcetypeassert // isBuiltIn has asked
		Workspace: j.info.Workspace, Path: u.inputs["path"],
		Log: func(line string) { j.rows.printf("%s", line) },
	}
	if err := j.checkoutOptions(&o, u.inputs); err != nil {
		return checkout.Result{}, err
	}
	if token := o.Clone.Token; token != "" {
		j.hide(token)
		j.hide(checkout.Credentials(token))
	}
	return checkout.Run(r.life.soft, o)
}

// checkoutOptions reads the inputs.
func (j *jobRun) checkoutOptions(o *checkout.Options, in map[string]string) (err error) {
	server := strings.TrimRight(expr.Text(j.github["server_url"]), "/")
	instance := server
	if s := strings.TrimRight(in["github-server-url"], "/"); s != "" {
		instance = s
	}
	own := j.task.String("repository")
	repository := strings.Trim(in["repository"], "/ ")
	owner, name, ok := strings.Cut(repository, "/")
	if !ok || owner == "" || name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("the input repository is %q: expected owner/name", repository)
	}
	o.Clone = action.CloneOptions{URL: instance + "/" + repository, Token: strings.TrimSpace(in["token"]), Instance: instance, Ref: strings.TrimSpace(in["ref"])}
	if o.Clone.Ref == "" && instance == server && strings.EqualFold(repository, own) {
		// What the job is about, also if the branch has moved on since.
		o.Clone.Ref, o.Clone.Commit = expr.Text(j.github["ref"]), expr.Text(j.github["sha"])
	}
	if o.Clone.Depth, err = strconv.Atoi(strings.TrimSpace(in["fetch-depth"])); err != nil || o.Clone.Depth < 0 {
		return fmt.Errorf("the input fetch-depth is %q: expected how many commits are fetched, or 0 for all", in["fetch-depth"])
	}
	switch text := strings.ToLower(strings.TrimSpace(in["submodules"])); text {
	case "recursive":
		o.Submodules = checkout.AllSubmodules
	case "true":
		o.Submodules = checkout.DirectSubmodules
	case "false", "":
	default:
		return fmt.Errorf("the input submodules is %q: expected true, false or recursive", in["submodules"])
	}
	for name, to := range map[string]*bool{"clean": &o.Clean, "persist-credentials": &o.Persist, "fetch-tags": &o.Clone.Tags} {
		*to = strings.EqualFold(strings.TrimSpace(in[name]), "true")
	}
	return nil
}
