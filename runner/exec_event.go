package runner

import (
	"maps"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// github is the github context of a job, with the keys that a server sends.
func (p *execPlan) github(f *flow, jobID string) map[string]any {
	r := p.repo
	event := p.event(f)
	owner, _, _ := strings.Cut(r.name, "/")
	g := map[string]any{
		"event_name": f.event, "event": event, "job": jobID, "workflow": p.workflowName(f),
		"ref": r.ref, "ref_name": r.refName(), "ref_type": r.refType(), "sha": r.sha, "ref_protected": false,
		"head_ref": eventText(event, "pull_request", "head", "ref"), "base_ref": eventText(event, "pull_request", "base", "ref"),
		"repository": r.name, "repository_owner": owner, "repositoryUrl": r.url(),
		"server_url": r.server, "api_url": r.server + "/api/v1", "graphql_url": "",
		"actor": r.actor, "triggering_actor": r.actor, "run_id": "1", "run_number": "1", "run_attempt": "1",
		"token": p.o.Secrets["GITHUB_TOKEN"], "gitea_default_actions_url": p.actionsURL(), "gitea_runtime_token": "",
		"secret_source": "Actions", "retention_days": "", "action": "", "action_path": "", "action_ref": "",
		"action_repository": "", "action_status": "", "env": "", "path": "", "event_path": "", "workspace": "",
	}
	if file := p.workflowPath(); file != "" {
		g["workflow_ref"], g["workflow_sha"] = r.name+"/"+file+"@"+r.ref, r.sha
	}
	for key, value := range p.o.seams.context {
		if f.by == nil || key != "event_name" && key != "event" { // a called workflow has its own
			g[key] = value
		}
	}
	return g
}

// event is the given one, or one that is made up from the repository's HEAD: what
// workflows ask for most often, in the server's words.
func (p *execPlan) event(f *flow) map[string]any {
	event := maps.Clone(p.o.Event)
	if event == nil {
		event = p.madeUp(f)
	}
	if f.given != nil {
		event["inputs"] = f.given
	}
	return event
}

func (p *execPlan) madeUp(f *flow) map[string]any {
	r := p.repo
	owner, name, _ := strings.Cut(r.name, "/")
	repository := map[string]any{
		"full_name": r.name, "name": name, "owner": map[string]any{"login": owner, "username": owner},
		"default_branch": r.defaultBranch, "html_url": r.url(), "clone_url": r.url() + ".git", "private": false, "fork": false,
	}
	user := map[string]any{"login": r.actor, "username": r.actor}
	event := map[string]any{"repository": repository, "sender": user}
	switch f.event {
	case "pull_request", "pull_request_target":
		side := func(ref, sha string) map[string]any {
			return map[string]any{"ref": ref, "label": ref, "sha": sha, "repo": repository}
		}
		event["action"], event["number"] = "opened", 1.0
		event["pull_request"] = map[string]any{
			"number": 1.0, "state": "open", "title": r.subject(), "body": "", "draft": false, "merged": false, "user": user, "labels": []any{},
			"head": side(r.refName(), r.sha), "base": side(r.defaultBranch, r.parent),
		}
	case "workflow_dispatch":
		event["ref"], event["workflow"] = r.ref, path.Base(filepath.ToSlash(f.file.name))
	case "schedule":
		event["schedule"] = "0 0 * * *"
	default:
		commit := r.commitEvent()
		event["ref"], event["before"], event["after"] = r.ref, r.parent, r.sha
		event["head_commit"], event["commits"], event["total_commits"] = commit, []any{commit}, 1.0
		event["compare_url"], event["pusher"] = r.url()+"/compare/"+r.parent+"..."+r.sha, user
		event["created"], event["deleted"], event["forced"] = false, false, false
	}
	return event
}

// commitEvent is HEAD's commit as an event has it.
func (r *repository) commitEvent() map[string]any {
	who := func(name, email string) map[string]any {
		return map[string]any{"name": name, "email": email, "username": r.actor}
	}
	c := r.commit
	if c == nil {
		return map[string]any{
			"id": r.sha, "message": "", "timestamp": time.Unix(0, 0).UTC().Format(time.RFC3339),
			"author": who(r.actor, ""), "committer": who(r.actor, ""), "url": r.url() + "/commit/" + r.sha,
		}
	}
	return map[string]any{
		"id": r.sha, "message": c.Message, "timestamp": c.Committer.When.Format(time.RFC3339), "url": r.url() + "/commit/" + r.sha,
		"author": who(c.Author.Name, c.Author.Email), "committer": who(c.Committer.Name, c.Committer.Email),
	}
}

// workflowPath is the file that Exec was given, by its path in the repository; ""
// where it is not in it.
func (p *execPlan) workflowPath() string {
	file, err := filepath.Abs(p.o.File)
	if err != nil {
		return ""
	}
	name, err := filepath.Rel(p.repo.root, file)
	if err != nil || !filepath.IsLocal(name) {
		return ""
	}
	return filepath.ToSlash(name)
}

// eventText is a text within an event, or "".
func eventText(event any, path ...string) string {
	for _, key := range path {
		m, ok := event.(map[string]any)
		if !ok {
			return ""
		}
		event = m[key]
	}
	s, _ := event.(string)
	return s
}
