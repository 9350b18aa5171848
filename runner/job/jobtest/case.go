package jobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"otelrunner/runner/action/actiontest"
	"otelrunner/runner/task"

	"go.yaml.in/yaml/v4"
)

// Case is one workflow and what it comes to. The package comment says what the
// fields mean.
type Case struct {
	File     string                       `yaml:"-"`
	Name     string                       `yaml:"name"`
	OS       string                       `yaml:"os"`
	Needs    []string                     `yaml:"needs"`
	Workflow string                       `yaml:"workflow"`
	GitHub   map[string]any               `yaml:"github"`
	Secrets  map[string]string            `yaml:"secrets"`
	Vars     map[string]string            `yaml:"vars"`
	Jobs     map[string]map[string]any    `yaml:"jobs"`
	Files    map[string]string            `yaml:"files"`
	Repos    map[string]map[string]string `yaml:"repos"`
	Inputs   map[string]string            `yaml:"inputs"`
	Parallel int                          `yaml:"parallel"`
	Only     string                       `yaml:"only"`
	Want     Want                         `yaml:"want"`
}

// Want is what a case must come to.
type Want struct {
	Result  string            `yaml:"result"`
	Steps   []string          `yaml:"steps"`
	Outputs map[string]string `yaml:"outputs"`
	Summary map[int]string    `yaml:"summary"`
	Log     []string          `yaml:"log"`
	Absent  []string          `yaml:"absent"`
	Jobs    map[string]Want   `yaml:"jobs"`
	Error   string            `yaml:"error"`
}

// Outcome is what a case came to. Rows are masked, without times.
type Outcome struct {
	ID      string // of the job, where it is known
	Result  task.Result
	Steps   []task.Result
	Outputs map[string]string
	Summary map[int]string
	Rows    []string
}

// Load reads all cases of the files *.yml in a folder, in order.
func Load(dir fs.FS) ([]Case, error) {
	files, err := fs.Glob(dir, "*.yml")
	if err != nil {
		return nil, err
	}
	var all []Case
	seen := map[string]string{}
	for _, file := range files {
		cases, err := loadFile(dir, file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, c := range cases {
			if old, ok := seen[c.Name]; ok {
				return nil, fmt.Errorf("%s: the case %q is also in %s", file, c.Name, old)
			}
			seen[c.Name] = file
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no cases found")
	}
	return all, nil
}

func loadFile(dir fs.FS, file string) ([]Case, error) {
	data, err := fs.ReadFile(dir, file)
	if err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var cases []Case
	if err := dec.Decode(&cases); err != nil {
		return nil, err
	}
	for i := range cases {
		c := &cases[i]
		c.File = path.Base(file)
		if c.Name == "" || c.Workflow == "" || c.Want.Result == "" {
			return nil, fmt.Errorf("case %d (%q) needs a name, a workflow and want.result", i+1, c.Name)
		}
		for _, text := range slices.Concat(c.Want.Log, c.Want.Absent) {
			if _, err := matcher(text); err != nil {
				return nil, fmt.Errorf("case %q: %w", c.Name, err)
			}
		}
	}
	return cases, nil
}

// SkipUnless skips the test where the case cannot run.
func (c *Case) SkipUnless(t testing.TB) {
	t.Helper()
	if c.OS != "" && c.OS != runtime.GOOS {
		t.Skipf("runs on %s only", c.OS)
	}
	for _, program := range c.Needs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s", program)
		}
	}
}

// Serve serves the case's repositories of actions for the rest of the test and
// makes them what the task's actions are resolved against. Without any it does
// nothing.
func (c *Case) Serve(t testing.TB) {
	t.Helper()
	if len(c.Repos) == 0 {
		return
	}
	s := actiontest.NewServer()
	t.Cleanup(s.Close)
	for name, files := range c.Repos {
		repo, tag, ok := strings.Cut(name, "@")
		if !ok {
			t.Fatalf("repos: %q needs a tag, as in owner/name@v1", name)
		}
		r := s.Repo(repo)
		r.Tag(tag, r.Commit(actiontest.Text(files)))
	}
	c.GitHub = maps.Clone(c.GitHub)
	if c.GitHub == nil {
		c.GitHub = map[string]any{}
	}
	c.GitHub["gitea_default_actions_url"] = s.URL
}

// Task returns the case as a server would hand it out, with that id.
func (c *Case) Task(id int64) *task.Task {
	t := &task.Task{
		ID: id, Workflow: []byte(c.Workflow), Context: DefaultContext(),
		Secrets: map[string]string{"GITHUB_TOKEN": "job-token-1f2e3d", "GITEA_TOKEN": "job-token-1f2e3d"},
		Vars:    c.Vars,
		Needs:   map[string]task.Need{},
	}
	maps.Copy(t.Context, c.GitHub)
	maps.Copy(t.Secrets, c.Secrets)
	for id, job := range c.Jobs {
		n := task.Need{Outputs: map[string]string{}}
		n.Result = task.ParseResult(fmt.Sprint(job["result"]))
		if outputs, ok := job["outputs"].(map[string]any); ok {
			for name, value := range outputs {
				n.Outputs[name] = fmt.Sprint(value)
			}
		}
		t.Needs[id] = n
	}
	return t
}

// DefaultContext is the github context of cases that do not say otherwise.
func DefaultContext() map[string]any {
	return map[string]any{
		"actor": "octo", "triggering_actor": "octo", "repository": "octo/demo", "repository_owner": "octo",
		"event_name": "push", "event": map[string]any{"after": "abc"},
		"ref": "refs/heads/main", "ref_name": "main", "ref_type": "branch", "ref_protected": false,
		"base_ref": "", "head_ref": "", "retention_days": "",
		"run_id": "9", "run_number": "3", "run_attempt": "1",
		"sha":        "affdcbb7f6e9d2e9f27547499436b857b97d34df",
		"server_url": "http://127.0.0.1:3000/", "api_url": "http://127.0.0.1:3000/api/v1", "graphql_url": "",
		"workflow": "case.yml", "job": "t", "token": "job-token-1f2e3d",
		"gitea_runtime_token": "runtime-token-4a5b6c", "gitea_default_actions_url": "http://127.0.0.1:3000",
	}
}

// Check compares an outcome with what the case wants.
func (c *Case) Check(t testing.TB, got Outcome) {
	t.Helper()
	bad := false
	fail := func(format string, args ...any) {
		t.Helper()
		bad = true
		t.Errorf(format, args...)
	}
	if string(got.Result) != c.Want.Result {
		fail("result %s, want %s", got.Result, c.Want.Result)
	}
	if c.Want.Steps != nil {
		steps := make([]string, len(got.Steps))
		for i, s := range got.Steps {
			steps[i] = string(s)
		}
		if !slices.Equal(steps, c.Want.Steps) {
			fail("steps %q, want %q", steps, c.Want.Steps)
		}
	}
	if c.Want.Outputs != nil && !maps.Equal(got.Outputs, c.Want.Outputs) {
		fail("outputs %q, want %q", got.Outputs, c.Want.Outputs)
	}
	if c.Want.Summary != nil && !maps.Equal(got.Summary, c.Want.Summary) {
		fail("summaries %v, want %v", got.Summary, c.Want.Summary)
	}
	if missing, ok := firstMissing(got.Rows, c.Want.Log); !ok {
		fail("the log has no row %q (after those before it)", missing)
	}
	for _, text := range c.Want.Absent {
		m, _ := matcher(text)
		if i := slices.IndexFunc(got.Rows, m); i >= 0 {
			fail("the log has the row %q, which %q forbids", got.Rows[i], text)
		}
	}
	if bad {
		t.Logf("the log:\n%s", strings.Join(got.Rows, "\n"))
	}
}

// firstMissing looks for the wanted rows in order.
func firstMissing(rows, want []string) (string, bool) {
	for _, text := range want {
		m, err := matcher(text)
		if err != nil {
			return text, false
		}
		i := slices.IndexFunc(rows, m)
		if i < 0 {
			return text, false
		}
		rows = rows[i+1:]
	}
	return "", true
}

// matcher returns what recognises a row.
func matcher(text string) (func(row string) bool, error) {
	pattern, isPattern := strings.CutPrefix(text, "~")
	if !isPattern {
		return func(row string) bool { return row == text }, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return re.MatchString, nil
}
