package cache

import (
	"testing"

	"otelrunner/runner/task"

	"github.com/google/go-cmp/cmp"
)

type object = map[string]any

// TestScope: what each kind of event reads and writes.
func TestScope(t *testing.T) {
	t.Parallel()
	repository := object{"id": 7.0, "default_branch": "main"}
	request := object{"repository": repository, "number": 3.0, "pull_request": object{"number": 3.0}}
	const main, pull = "refs/heads/main", "refs/pull/3"
	for name, c := range map[string]struct {
		context object
		write   string
		read    []string
	}{
		"a push to the default branch": {object{"ref": main, "event_name": "push"}, main, []string{main}},
		"a push to a branch":           {object{"ref": "refs/heads/feat", "event_name": "push"}, "refs/heads/feat", []string{"refs/heads/feat", main}},
		"a tag":                        {object{"ref": "refs/tags/v1", "event_name": "push"}, "refs/tags/v1", []string{"refs/tags/v1", main}},
		"a pull request":               {object{"ref": "refs/pull/3/head", "event_name": "pull_request", "base_ref": "next", "event": request}, pull, []string{pull, "refs/heads/next", main}},
		"its merge ref":                {object{"ref": "refs/pull/3/merge", "event_name": "pull_request", "base_ref": "main", "event": request}, pull, []string{pull, main}},
		"pull_request_target":          {object{"ref": main, "event_name": "pull_request_target", "base_ref": "main", "event": request}, pull, []string{pull, main}},
		"one that was merged":          {object{"ref": main, "event_name": "pull_request", "event": request}, pull, []string{pull, main}},
		"a workflow that it calls":     {object{"ref": main, "event_name": "workflow_call", "event": request}, pull, []string{pull, main}},
		"a workflow of its ref alone":  {object{"ref": "refs/pull/3/head", "event_name": "workflow_call"}, pull, []string{pull, main}},
		"a comment on it": {object{"ref": main, "event_name": "issue_comment", "event": object{"repository": repository, "is_pull": true, "issue": object{"number": 3.0}}},
			pull, []string{pull, main}},
		"a comment on an issue": {object{"ref": main, "event_name": "issue_comment", "event": object{"repository": repository, "is_pull": false, "pull_request": nil, "issue": object{"number": 3.0}}},
			main, []string{main}},
		"a pull request without a number": {object{"ref": main, "event_name": "pull_request_review", "base_ref": "main"}, "", []string{main}},
		"a number that is none":           {object{"ref": main, "event_name": "pull_request", "event": object{"repository": repository, "number": -0.5}}, "", []string{main}},
		"no ref":                          {object{}, "", []string{main}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			context := object{"repository": "octo/demo", "event": object{"repository": repository}}
			for k, v := range c.context {
				context[k] = v
			}
			got, ok := ScopeOf("https://git.example.com", &task.Task{Context: context})
			want := Scope{"https://git.example.com", "octo/demo#7", c.write, c.read}
			if d := cmp.Diff(want, got); d != "" || !ok {
				t.Errorf("%v (-want +got):\n%s", ok, d)
			}
		})
	}
	if _, ok := ScopeOf("", &task.Task{Context: object{"ref": main}}); ok {
		t.Error("a job without a repository has a cache")
	}
}

// TestPoisoning: what a pull request's job saves is read in that pull request alone,
// and jobs of other repositories, servers and branches see nothing of each other.
func TestPoisoning(t *testing.T) {
	t.Parallel()
	store := openStore(t, testOptions(t))
	context := func(server, repository, ref, event string) *client {
		c := object{"repository": repository, "ref": ref, "event_name": event, "base_ref": "", "event": object{"repository": object{"default_branch": "main"}}}
		if event == "pull_request" {
			c["base_ref"] = "next"
		}
		scope, ok := ScopeOf(server, &task.Task{Context: c})
		if !ok {
			t.Fatal("no scope")
		}
		_, door := openDoor(t, store, scope)
		return door
	}
	const here = "https://git.example.com"
	evil := context(here, "octo/demo", "refs/pull/3/head", "pull_request")
	evil.save("deps", "v", "poison")
	others := map[string]*client{
		"the default branch":   context(here, "octo/demo", "refs/heads/main", "push"),
		"the base branch":      context(here, "octo/demo", "refs/heads/next", "push"),
		"another branch":       context(here, "octo/demo", "refs/heads/feat", "push"),
		"another pull request": context(here, "octo/demo", "refs/pull/4/head", "pull_request"),
		"another repository":   context(here, "octo/other", "refs/pull/3/head", "pull_request"),
		"another server":       context("https://git.example.org", "octo/demo", "refs/pull/3/head", "pull_request"),
	}
	for name, c := range others {
		for _, keys := range []string{"deps", "d"} {
			if got := c.content(keys, "v"); got != "" {
				t.Errorf("%s reads %q", name, got)
			}
		}
	}
	for _, name := range []string{"the default branch", "the base branch", "another branch"} {
		others[name].save("deps", "v", name)
	}
	if got := evil.content("deps", "v"); got != "poison" {
		t.Errorf("the pull request reads %q", got)
	}
	later := context(here, "octo/demo", "refs/pull/5/head", "pull_request")
	if got := later.content("deps", "v"); got != "the base branch" {
		t.Errorf("another pull request reads %q, want its base branch's", got)
	}
	if status, _ := others["the default branch"].reserve("deps", "v", 1); status != 409 {
		t.Errorf("an entry can be replaced: %d", status)
	}
}
