package action_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"otelrunner/runner/action"
	"otelrunner/runner/action/actiontest"
)

// The token goes to the instance, and there only where it is needed.
func TestToken(t *testing.T) {
	instance, elsewhere := newServer(t), newServer(t)
	for _, s := range []*actiontest.Server{instance, elsewhere} {
		s.Action("o/public", map[string]string{"action.yml": nodeAction})
		s.Action("o/private", map[string]string{"action.yml": nodeAction})
		s.Repo("o/private").RequireToken("job-token")
	}
	dir := t.TempDir()
	options := action.JobOptions{
		Bases: action.Bases{Default: elsewhere.URL, Instance: instance.URL + "/"}, Token: "job-token", Scope: "o/r",
	}
	f := newFetcher(t, action.Options{Dir: dir})
	j := newJob(t, f, options)
	private := mustGet(t, j, instance.URL+"/o/private@v1")
	mustGet(t, j, instance.URL+"/o/public@v1")
	mustGet(t, j, "o/public@v1")
	_, err := get(t, j, "o/private@v1")
	wantError(t, err, "was not found, or the runner, which asks without credentials, may not read it", "only from the instance")

	for _, r := range elsewhere.Requests() {
		if r.Password != "" {
			t.Errorf("the token went elsewhere: %+v", r)
		}
	}
	for _, r := range instance.Requests() {
		if strings.Contains(r.Path, "public") && r.Password != "" {
			t.Errorf("the token was sent where none is needed: %+v", r)
		}
	}

	t.Run("what a token fetched stays with its repository", func(t *testing.T) {
		instance.Reset()
		mustGet(t, newJob(t, f, options), instance.URL+"/o/private@"+private.SHA)
		if n := len(instance.Requests()); n != 0 {
			t.Errorf("%d requests for a pinned and cached action", n)
		}
		other := options
		other.Scope, other.Token = "o/other", "wrong"
		_, err := get(t, newJob(t, f, other), instance.URL+"/o/private@"+private.SHA)
		wantError(t, err, "was not found, or this job's token may not read it")
	})
	t.Run("credentials in the URL", func(t *testing.T) {
		url := strings.Replace(elsewhere.URL, "http://", "http://me:job-token@", 1)
		log := &lines{}
		o := options
		o.Log = log.add
		mustGet(t, newJob(t, f, o), url+"/o/private@v1")
		if strings.Contains(log.all()[0], "job-token") {
			t.Errorf("the password is in the log: %q", log.all()[0])
		}
		_, err := get(t, newJob(t, f, o), strings.Replace(url, "job-token", "hunter2", 1)+"/o/private@v1")
		wantError(t, err, "the user in its URL may not read it")
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in the error: %v", err)
		}
	})
}

func TestTokenIsNotRedirected(t *testing.T) {
	thief := newServer(t)
	thief.Action("o/private", map[string]string{"action.yml": nodeAction})
	instance := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, thief.URL+r.URL.Path+"?"+r.URL.RawQuery, http.StatusFound)
	}))
	t.Cleanup(instance.Close)
	j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{
		Bases: action.Bases{Default: instance.URL, Instance: instance.URL}, Token: "job-token",
	})
	mustGet(t, j, "o/private@v1")
	if len(thief.Requests()) == 0 {
		t.Fatal("the redirect was not followed; the test shows nothing")
	}
	for _, r := range thief.Requests() {
		if r.Password != "" {
			t.Errorf("the token was sent after a redirect: %+v", r)
		}
	}
}

// The token does not go to another application of the instance's host.
func TestTokenSubPath(t *testing.T) {
	s := newServer(t)
	s.Action("o/private", map[string]string{"action.yml": nodeAction})
	s.Repo("o/private").RequireToken("job-token")
	j := newJob(t, newFetcher(t, action.Options{}), action.JobOptions{
		Bases: action.Bases{Default: s.URL, Instance: s.URL + "/gitea"}, Token: "job-token",
	})
	_, err := get(t, j, "o/private@v1")
	wantError(t, err, "was not found")
	for _, r := range s.Requests() {
		if r.Password != "" {
			t.Errorf("the token left the instance's path: %+v", r)
		}
	}
}
