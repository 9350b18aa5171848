package gitea_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"otelrunner/runner/gitea"

	"github.com/google/go-cmp/cmp"
)

const registrationText = `{
  "WARNING": "somebody else's words",
  "id": 7,
  "uuid": "u-u",
  "name": "n",
  "token": "t0k3n",
  "address": "https://gitea.example.org",
  "labels": [
    "a:host",
    "b:docker://image:1"
  ],
  "ephemeral": true,
  "future": {
    "x": [
      1
    ]
  }
}
`

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".runner")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRegistrationIsKept(t *testing.T) {
	path := write(t, registrationText, 0o600)
	r, warnings, err := gitea.LoadRegistration(path)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", err, warnings)
	}
	if r.ID != 7 || r.UUID != "u-u" || r.Name != "n" || r.Token != "t0k3n" || r.Address != "https://gitea.example.org" || !r.Ephemeral {
		t.Errorf("%+v", r)
	}
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if d := cmp.Diff(registrationText, string(data)); err != nil || d != "" {
		t.Errorf("%v, rewritten (-before +after):\n%s", err, d)
	}
}

func TestSaveRegistration(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "real")
	link := filepath.Join(dir, ".runner")
	if err := os.WriteFile(target, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		link = target
	} else if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	r := &gitea.Registration{ID: 1, UUID: "u", Token: "t", Address: "http://h"}
	if err := r.Save(link); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(target)
	if err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%v, mode %v", err, info.Mode())
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 2 {
		t.Errorf("something was left behind: %v", entries)
	}
	got, _, err := gitea.LoadRegistration(link)
	if err != nil || got.UUID != "u" {
		t.Fatalf("%+v, %v", got, err)
	}
	var fields map[string]any
	data, _ := os.ReadFile(target)
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"WARNING", "id", "uuid", "name", "token", "address", "labels", "ephemeral"} {
		if _, ok := fields[name]; !ok {
			t.Errorf("the file has no %s", name)
		}
	}
	if _, ok := fields["labels"].([]any); !ok || len(fields) != 8 {
		t.Errorf("fields %v", fields)
	}
	if err := r.Save(filepath.Join(dir, "missing", "x")); err == nil || !strings.Contains(err.Error(), "write the registration file") {
		t.Errorf("%v", err)
	}
}

func TestBadRegistrations(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {" \n", "it is empty"},
		"cut off":       {"{\n  \"id\": 1,\n", "line 3"},
		"a typo":        {"{\n  \"id\": 1,\n  uuid: 2}", "line 3, column 3: it is not JSON"},
		"wrong type":    {"{\"id\": 1,\n\"uuid\": 5}", "line 2, column 9: uuid must be a string, not number"},
		"wrong list":    {`{"labels": "a"}`, "labels must be a list"},
		"no object":     {"[1]", "must hold an object, not array"},
		"lacks fields":  {`{"id": 1, "token": "secret-token"}`, "it lacks uuid, address"},
		"no address":    {`{"uuid": "u", "token": "secret-token", "address": "git.example.org"}`, "its address is unusable: instance \"git.example.org\": it does not begin with http://"},
		"what to do":    {`{}`, "run `runner register`"},
		"trailing text": {registrationText + "x", "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, c.text, 0o600)
			_, _, err := gitea.LoadRegistration(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret-token") {
				t.Errorf("%v", err)
			}
		})
	}
	_, _, err := gitea.LoadRegistration(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "run `runner register` first") {
		t.Errorf("%v", err)
	}
	if runtime.GOOS != "windows" {
		_, warnings, err := gitea.LoadRegistration(write(t, registrationText, 0o644))
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "chmod 600") {
			t.Errorf("%v, %v", err, warnings)
		}
	}
}
