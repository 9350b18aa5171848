package gitea

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
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

// maxRunJobs bounds the answer of RunJobs, in bytes.
const maxRunJobs = 4 << 20

// RunJobs lists the jobs of a run, as far as the first page has them, by the REST
// API of Gitea 1.25 and later (GET /repos/{owner}/{repo}/actions/runs/{run}/jobs).
// api is its address (https://gitea.example.org/api/v1), token one that may read
// the repository, such as the job's own. Older servers answer 404, which is an
// error like every other.
func RunJobs(ctx context.Context, client *http.Client, api, repository, run, token string) ([]RunJob, error) {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok || run == "" {
		return nil, fmt.Errorf("list the jobs of run %q of %q: that names no run", run, repository)
	}
	fail := func(err error) error { return fmt.Errorf("list the jobs of run %s of %s: %w", run, repository, err) }
	address, err := url.JoinPath(api, "repos", url.PathEscape(owner), url.PathEscape(name), "actions", "runs", url.PathEscape(run), "jobs")
	if err != nil {
		return nil, fail(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?limit=50", nil)
	if err != nil {
		return nil, fail(err)
	}
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "token "+token)
	}
	// A redirect would carry the token elsewhere.
	plain := *client
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := plain.Do(req)
	if err != nil {
		return nil, fail(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRunJobs))
	if err != nil {
		return nil, fail(err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fail(fmt.Errorf("the server answered HTTP %d; a job's token may not read it, or the server is older than 1.25", resp.StatusCode))
	}
	var answer struct {
		Jobs []RunJob `json:"jobs"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fail(fmt.Errorf("the answer is no list of jobs: %w", err))
	}
	return answer.Jobs, nil
}
