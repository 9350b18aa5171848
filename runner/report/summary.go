package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"otelrunner/runner/gitea"
)

// maxSummary bounds a step's summary in bytes, as on GitHub.
const maxSummary = 1 << 20

// summaryAttempts is how often one upload is tried: a summary is not worth a
// job's end.
const summaryAttempts = 3

// Summaries uploads step summaries to a server that declared the capability
// `job-summary`. It is safe for concurrent use.
type Summaries struct {
	http  *http.Client
	base  string // with the job, without the step
	token string
}

// NewSummaries prepares the uploads of one job. runtimeURL is ACTIONS_RUNTIME_URL
// (<instance>/api/actions_pipeline/), token the task's runtime token, whose claim
// JobID names the job. A token without it is an error.
func NewSummaries(client *http.Client, runtimeURL, runID, token string) (*Summaries, error) {
	job, err := gitea.RuntimeTokenJobID(token)
	if err != nil {
		return nil, fmt.Errorf("prepare the upload of step summaries: %w", err)
	}
	base := strings.TrimSuffix(runtimeURL, "/") + "/_apis/pipelines/workflows/" + runID +
		"/jobs/" + strconv.FormatInt(job, 10) + "/steps/"
	return &Summaries{http: client, base: base, token: token}, nil
}

// RefusedError is a server's answer to an upload that no repetition mends.
type RefusedError struct{ Status int }

func (e *RefusedError) Error() string {
	s := fmt.Sprintf("the server answered HTTP %d %s", e.Status, http.StatusText(e.Status))
	if e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden {
		s += " (after a cancel, a job's token is not valid any more)"
	}
	return s
}

// Put uploads the summary of a step, its index in the workflow's steps.
func (s *Summaries) Put(ctx context.Context, step int, markdown []byte) error {
	url := s.base + strconv.Itoa(step) + "/summary"
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(markdown))
	if err != nil {
		return fmt.Errorf("upload the summary of step %d: %w", step, err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "text/markdown; charset=utf-8")
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("upload the summary of step %d: %w", step, err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // for the connection's next use
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode >= 500, res.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("upload the summary of step %d: the server answered HTTP %d", step, res.StatusCode)
	}
	return fmt.Errorf("upload the summary of step %d: %w", step, &RefusedError{res.StatusCode})
}

// summaries are those that the server does not have. Its user locks it.
type summaries struct {
	waiting map[int]string
	retry   retry
}

func (s *summaries) empty() bool { return len(s.waiting) == 0 }

// SetSummary sets the summary of step i, replacing what was set before. It is
// masked; one over 1 MiB is left out with a warning in the log. Without a
// SummaryPutter it does nothing.
func (r *Reporter) SetSummary(i int, markdown []byte) {
	if r.o.Summaries == nil {
		return
	}
	text := r.masker.Mask(clean(string(markdown)))
	if len(text) > maxSummary {
		r.Row(time.Now(), fmt.Sprintf("##[warning]The step's summary has %d KiB and is not uploaded; the limit is %d KiB.",
			(len(text)+1023)>>10, maxSummary>>10))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.summaries.waiting == nil {
		r.summaries.waiting = make(map[int]string)
	}
	if text == "" {
		delete(r.summaries.waiting, i)
		return
	}
	r.summaries.waiting[i] = text
}

// sendSummary uploads one summary. One that fails is worth a line in the runner's
// log, no more.
func (r *Reporter) sendSummary() {
	r.mu.Lock()
	i := slices.Min(slices.Collect(maps.Keys(r.summaries.waiting)))
	text := r.summaries.waiting[i]
	r.mu.Unlock()

	ctx, cancel := context.WithTimeout(r.ctx, requestTimeout)
	// A secret may have become known since the summary was set.
	err := r.o.Summaries.Put(ctx, i, []byte(r.masker.Mask(text)))
	cancel()

	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.summaries.retry.failures+1 < summaryAttempts && !refusedFor(err) {
		r.summaries.retry.failed(time.Now(), err)
		return
	}
	r.summaries.retry.succeeded()
	delete(r.summaries.waiting, i)
	if err != nil && r.ctx.Err() == nil {
		r.o.Log.Warn("a step's summary was not uploaded", "step", i, "error", err)
	}
}

// refusedFor reports whether err is the server's last word.
func refusedFor(err error) bool {
	var e *RefusedError
	return errors.As(err, &e)
}
