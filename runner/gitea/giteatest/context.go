package giteatest

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // only to make ids that look like a server's
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// TaskOptions describe the task of a workflow's text; what is zero gets what a
// real server would send for a push to main.
type TaskOptions struct {
	// Labels are what the runner must carry; nil = the payload's runs-on, and
	// any runner if that cannot be read.
	Labels  []string
	Secrets map[string]string // beside GITHUB_TOKEN and GITEA_TOKEN
	Vars    map[string]string
	Needs   map[string]task.Need
	// Inputs make the event a workflow_dispatch, unless EventName says otherwise,
	// and come in event.inputs.
	Inputs    map[string]any
	EventName string         // "" = push
	Event     map[string]any // instead of the one that would be made
	Repo      string         // owner/name; "" = root1/demo
	Ref       string         // "" = refs/heads/main
	HeadRef   string         // of a pull request
	BaseRef   string         // of a pull request
	SHA       string
	Actor     string
	File      string // the workflow file's name; "" = test.yml
	RunID     int64  // 0 = the task's id
	JobID     int64  // 0 = the task's id
	RunNumber int64  // 0 = the run's id
	Attempt   int    // 0 = 1
	// ActionsURL is gitea_default_actions_url; "" = this server.
	ActionsURL string
	// Context entries replace or add to those of the github context.
	Context map[string]any
}

// AddWorkflow adds the task of a workflow with one job, with the context that a
// real server would send. It panics if a value of the options cannot be JSON.
func (s *Server) AddWorkflow(text string, o TaskOptions) int64 {
	job, labels := readJob([]byte(text))
	if o.Labels != nil {
		labels = o.Labels
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.nextID
	o.fill(id, s.url())
	token := fakeSHA("token", id)
	t := &runnerv1.Task{
		Id: id, WorkflowPayload: []byte(text), Context: mustStruct(o.context(id, job, s.url(), token, s.now())),
		Secrets: map[string]string{"GITHUB_TOKEN": token, "GITEA_TOKEN": token},
		Vars:    maps.Clone(o.Vars),
	}
	maps.Copy(t.Secrets, o.Secrets)
	for name, n := range o.Needs {
		if t.Needs == nil {
			t.Needs = map[string]*runnerv1.TaskNeed{}
		}
		t.Needs[name] = &runnerv1.TaskNeed{Result: gitea.ResultToWire(n.Result), Outputs: n.Outputs}
	}
	s.add(t, labels)
	return id
}

func (o *TaskOptions) fill(id int64, url string) {
	set := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	if o.Inputs != nil {
		set(&o.EventName, "workflow_dispatch")
	}
	set(&o.EventName, "push")
	set(&o.Repo, "root1/demo")
	set(&o.Ref, "refs/heads/main")
	set(&o.SHA, fakeSHA("commit", 1))
	set(&o.Actor, "root1")
	set(&o.File, "test.yml")
	set(&o.ActionsURL, url)
	if o.RunID == 0 {
		o.RunID = id
	}
	if o.JobID == 0 {
		o.JobID = id
	}
	if o.RunNumber == 0 {
		o.RunNumber = o.RunID
	}
	if o.Attempt == 0 {
		o.Attempt = 1
	}
}

func (o *TaskOptions) context(id int64, job, url, token string, now time.Time) map[string]any {
	owner, _, _ := strings.Cut(o.Repo, "/")
	refType, refName := splitRef(o.Ref)
	event := o.Event
	if event == nil {
		event = o.event(url, refName)
	}
	c := map[string]any{
		"action": "", "action_path": "", "action_ref": "", "action_repository": "", "action_status": "",
		"actor": o.Actor, "api_url": url + "/api/v1", "base_ref": o.BaseRef, "env": "",
		"event": event, "event_name": o.EventName, "event_path": "",
		"gitea_default_actions_url": o.ActionsURL,
		"gitea_runtime_token":       runtimeToken(id, o.RunID, o.JobID, now),
		"graphql_url":               "", "head_ref": o.HeadRef, "job": job, "path": "",
		"ref": o.Ref, "ref_name": refName, "ref_protected": false, "ref_type": refType,
		"repository": o.Repo, "repositoryUrl": url + "/" + o.Repo, "repository_owner": owner, "retention_days": "",
		"run_attempt": strconv.Itoa(o.Attempt), "run_id": strconv.FormatInt(o.RunID, 10), "run_number": strconv.FormatInt(o.RunNumber, 10),
		"secret_source": "Actions", "server_url": url + "/", "sha": o.SHA, "token": token,
		"triggering_actor": o.Actor, "workflow": o.File, "workspace": "",
	}
	maps.Copy(c, o.Context)
	return c
}

// splitRef gives what a server puts into ref_type and ref_name.
func splitRef(ref string) (typ, name string) {
	if b, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		return "branch", b
	}
	if t, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		return "tag", t
	}
	if p, ok := strings.CutPrefix(ref, "refs/pull/"); ok {
		return "", strings.TrimSuffix(p, "/head")
	}
	return "", ref
}

// event has the parts of a real event that workflows use.
func (o *TaskOptions) event(url, refName string) map[string]any {
	owner, name, _ := strings.Cut(o.Repo, "/")
	user := func(login string) map[string]any {
		return map[string]any{"id": 1, "login": login, "username": login, "email": login + "@noreply.localhost", "html_url": url + "/" + login}
	}
	e := map[string]any{
		"repository": map[string]any{
			"id": 1, "name": name, "full_name": o.Repo, "owner": user(owner), "private": false, "fork": false, "default_branch": "main",
			"html_url": url + "/" + o.Repo, "clone_url": url + "/" + o.Repo + ".git", "url": url + "/api/v1/repos/" + o.Repo,
		},
		"sender": user(o.Actor),
	}
	switch o.EventName {
	case "push":
		commit := map[string]any{
			"id": o.SHA, "message": "a commit\n", "url": url + "/" + o.Repo + "/commit/" + o.SHA, "timestamp": "2026-08-01T12:00:00Z",
			"author": map[string]any{"name": o.Actor, "email": "a@b.c", "username": o.Actor}, "added": []any{}, "modified": []any{"README.md"}, "removed": []any{},
		}
		maps.Copy(e, map[string]any{
			"ref": o.Ref, "before": fakeSHA("commit", 0), "after": o.SHA, "head_commit": commit, "commits": []any{commit},
			"total_commits": 1, "pusher": user(o.Actor), "compare_url": url + "/" + o.Repo + "/compare",
		})
	case "workflow_dispatch", "workflow_call":
		inputs := o.Inputs
		if inputs == nil {
			inputs = map[string]any{}
		}
		maps.Copy(e, map[string]any{"inputs": inputs, "ref": refName, "workflow": path.Base(o.File)})
	}
	return e
}

// runtimeToken is a well-formed JWT with the claims of a real one.
func runtimeToken(taskID, runID, jobID int64, now time.Time) string {
	claims, err := json.Marshal(map[string]any{
		"exp": now.Add(4 * time.Hour).Unix(), "nbf": now.Unix(), "scp": fmt.Sprintf("Actions.Results:%d:%d", runID, jobID),
		"TaskID": taskID, "RunID": runID, "JobID": jobID, "ac": `[{"Scope":"","Permission":2}]`,
	})
	if err != nil {
		panic("giteatest: " + err.Error())
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte("giteatest"))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// fakeSHA is 40 hexadecimal digits, always the same for the same arguments.
func fakeSHA(what string, n int64) string {
	sum := sha1.Sum(fmt.Appendf(nil, "giteatest %s %d", what, n)) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// mustStruct goes through JSON, so that any value that can be JSON may be given.
func mustStruct(m map[string]any) *structpb.Struct {
	data, err := json.Marshal(m)
	s := &structpb.Struct{}
	if err == nil {
		err = s.UnmarshalJSON(data)
	}
	if err != nil {
		panic("giteatest: the task's context: " + err.Error())
	}
	return s
}
