package cache

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"otelrunner/runner/task"
)

// Scope is what one job reads and writes. The rules are GitHub's ("Restrictions for
// accessing a cache"): it reads what was saved for its own ref, for the branch that
// its pull request would go into, and for the default branch, and writes for its own
// ref only. A job that a pull request has caused, by whichever event, has the pull
// request as its ref: what it saves is never read outside of it.
type Scope struct {
	Server     string // the address of the Gitea server; "" without one
	Repository string
	// Write is the ref for which the job saves; "" is none.
	Write string
	// Read are the refs in whose caches it looks, the first first.
	Read []string
}

// ScopeOf is the scope of a task of server. ok is false where its repository is not
// known: then it has no cache.
func ScopeOf(server string, t *task.Task) (s Scope, ok bool) {
	event, _ := t.Context["event"].(map[string]any)
	repository, _ := event["repository"].(map[string]any)
	s = Scope{Server: server, Repository: t.String("repository"), Write: t.String("ref")}
	if s.Repository == "" {
		return s, false
	}
	// One that was made anew under an old name is another one.
	if id := number(repository["id"]); id != "" {
		s.Repository += "#" + id
	}
	if n, of := pullRequest(t, event); of {
		s.Write = ""
		if n != "" {
			s.Write = "refs/pull/" + n
		}
	}
	for _, ref := range []string{s.Write, branch(t.String("base_ref")), branch(text(repository["default_branch"]))} {
		if ref != "" && !slices.Contains(s.Read, ref) {
			s.Read = append(s.Read, ref)
		}
	}
	return s, true
}

// pullRequest reports whether a task is there because of a pull request, and that
// one's number, if the server tells it. The event decides and not only the ref, which
// may be a branch's (pull_request_target, a comment, a merge).
func pullRequest(t *task.Task, event map[string]any) (n string, of bool) {
	request, inEvent := event["pull_request"].(map[string]any)
	issue, _ := event["issue"].(map[string]any)
	comment, _ := event["is_pull"].(bool)
	rest, inRef := strings.CutPrefix(t.String("ref"), "refs/pull/")
	if !inEvent && !comment && !inRef && !strings.HasPrefix(t.String("event_name"), "pull_request") {
		return "", false
	}
	if inRef {
		n, _, _ = strings.Cut(rest, "/")
		return n, true
	}
	for _, v := range []any{event["number"], request["number"], issue["number"]} {
		if n == "" {
			n = number(v)
		}
	}
	return n, true
}

// number is a positive whole number as text, or "".
func number(v any) string {
	f, _ := v.(float64)
	if f <= 0 || f != math.Trunc(f) || f > 1<<53 {
		return ""
	}
	return strconv.FormatInt(int64(f), 10)
}

func branch(name string) string {
	if name == "" || strings.HasPrefix(name, "refs/") {
		return name
	}
	return "refs/heads/" + name
}

func text(v any) string {
	s, _ := v.(string)
	return s
}
