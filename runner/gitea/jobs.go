package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// RunJob is what a server says of one job of a run.
type RunJob struct {
	ID      int64     `json:"id"`
	Attempt int64     `json:"run_attempt"` // 0 where the server tells none
	Name    string    `json:"name"`
	URL     string    `json:"html_url"` // its page
	Created time.Time `json:"created_at"`
}

// RunJobs lists the jobs of a run, as far as the first page has them, by the REST
// API of Gitea 1.25 and later (GET /repos/{owner}/{repo}/actions/runs/{run}/jobs).
// api is its address (https://gitea.example.org/api/v1), token one that may read
// the repository, such as the job's own. Older servers answer 404, which is an
// error like every other.
func RunJobs(ctx context.Context, client *http.Client, api, repository, run, token string) ([]RunJob, error) {
	var answer struct {
		Jobs []RunJob `json:"jobs"`
	}
	err := errNoRun
	if run != "" {
		err = restList{client, api, repository, token}.page(ctx, 1, &answer, "runs", run, "jobs")
	}
	if err != nil {
		return nil, fmt.Errorf("list the jobs of run %q of %q: %w", run, repository, err)
	}
	return answer.Jobs, nil
}

var errNoRun = errors.New("that names no run")
