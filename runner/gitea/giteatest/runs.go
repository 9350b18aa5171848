package giteatest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// runJobs is GET /api/v1/repos/{owner}/{repo}/actions/runs/{run}/jobs, as far as a
// runner reads it, for the token of one of the run's jobs while that job runs.
func (s *Server) runJobs(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "token ")
	s.mu.Lock()
	defer s.mu.Unlock()
	repository := r.PathValue("owner") + "/" + r.PathValue("repo")
	var allowed bool
	type job struct {
		ID      int64     `json:"id"`
		Attempt int64     `json:"run_attempt"`
		Name    string    `json:"name"`
		URL     string    `json:"html_url"`
		Created time.Time `json:"created_at"`
	}
	jobs := []job{}
	for _, t := range s.order {
		c := t.wire.GetContext().GetFields()
		if c["repository"].GetStringValue() != repository || t.runID != r.PathValue("run") {
			continue
		}
		allowed = allowed || ok && token == c["token"].GetStringValue() && t.runner != nil && !t.final()
		attempt, _ := strconv.ParseInt(c["run_attempt"].GetStringValue(), 10, 64)
		jobs = append(jobs, job{
			ID: t.jobID, Attempt: attempt, Name: c["job"].GetStringValue(), Created: t.added.Truncate(time.Second),
			URL: s.url() + "/" + repository + "/actions/runs/" + c["run_number"].GetStringValue() + "/jobs/" + strconv.Itoa(len(jobs)),
		})
	}
	if !allowed {
		http.Error(w, `{"message":"token is required"}`, http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"jobs": jobs, "total_count": len(jobs)}) // the client's loss
}
