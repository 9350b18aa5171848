package giteatest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

func TestCancel(t *testing.T) {
	for name, c := range map[string]struct {
		noCancelling bool
		silence      time.Duration
		atOnce       bool
	}{
		"with the handshake":     {},
		"without the capability": {noCancelling: true, atOnce: true},
		"a silent runner":        {silence: 61 * time.Second, atOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
				client := runner(t, s, func(o *giteatest.RunnerOptions) { o.NoCancelling = c.noCancelling })
				id := claimed(t, s, client)
				time.Sleep(c.silence)
				s.Cancel(id)
				if got := result(t, s, id).Final(); got != c.atOnce {
					t.Errorf("final at once: %v", got)
				}
				mustState(t, client, id, task.Unspecified, task.Cancelled)
				if _, err := send(t, client, id, 0, rows(0, 1), true); err != nil {
					t.Errorf("rows of the cleanup: %v", err)
				}
				mustState(t, client, id, task.Failure, task.Cancelled)
				if got := result(t, s, id); got != task.Cancelled {
					t.Errorf("in the end: %v", got)
				}
			})
		})
	}
}

func TestCancelWaiting(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		id := s.AddWorkflow(oneJob, giteatest.TaskOptions{})
		s.Cancel(id)
		if got, _, err := runner(t, s).FetchTask(t.Context(), 0); got != nil || err != nil || result(t, s, id) != task.Cancelled {
			t.Errorf("%v, %v, %v", got, err, result(t, s, id))
		}
	})
}

func TestSweep(t *testing.T) {
	type action func(t *testing.T, s *giteatest.Server, c *gitea.Client, id int64)
	wait := func(d time.Duration) action {
		return func(*testing.T, *giteatest.Server, *gitea.Client, int64) { time.Sleep(d) }
	}
	beat := func(t *testing.T, _ *giteatest.Server, c *gitea.Client, id int64) {
		mustState(t, c, id, task.Unspecified, task.Unspecified)
	}
	for name, c := range map[string]struct {
		do    []action
		final bool
	}{
		"10 minutes of silence":  {[]action{wait(10*time.Minute + 1)}, true},
		"a heartbeat in between": {[]action{wait(9 * time.Minute), beat, wait(9 * time.Minute)}, false},
		"rows in between": {[]action{wait(9 * time.Minute), func(t *testing.T, _ *giteatest.Server, c *gitea.Client, id int64) {
			if _, err := send(t, c, id, 0, rows(0, 1), false); err != nil {
				t.Error(err)
			}
		}, wait(9 * time.Minute)}, false},
		"3 hours": {func() (do []action) {
			for range 22 {
				do = append(do, wait(9*time.Minute), func(t *testing.T, _ *giteatest.Server, c *gitea.Client, id int64) {
					_, _, _ = state(t.Context(), c, id, task.Unspecified, nil)
				})
			}
			return do
		}(), true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
				client := runner(t, s)
				id := claimed(t, s, client)
				for _, do := range c.do {
					do(t, s, client, id)
				}
				s.Sweep()
				if got := result(t, s, id); got.Final() != c.final {
					t.Fatalf("result %v", got)
				}
				if !c.final {
					return
				}
				mustState(t, client, id, task.Unspecified, task.Failure)
				if _, err := send(t, client, id, 0, rows(0, 1), false); !gitea.IsAlreadyExists(err) {
					t.Errorf("a row after the sweep: %v", err)
				}
			})
		})
	}
}

func TestSweepByItself(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		id := claimed(t, s, runner(t, s))
		abandoned := s.AddWorkflow("jobs: {j: {runs-on: other}}", giteatest.TaskOptions{})
		other := runner(t, s)
		time.Sleep(25 * time.Hour)
		if _, _, err := other.FetchTask(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if a, b := result(t, s, id), result(t, s, abandoned); a != task.Failure || b != task.Cancelled {
			t.Errorf("the zombie is %v, the abandoned one %v", a, b)
		}
	})
}

func TestDown(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		short := claimed(t, s, c)
		s.SetDown(true)
		if _, _, err := c.FetchTask(t.Context(), 0); err == nil || !gitea.IsTemporary(err) {
			t.Errorf("on an open connection: %v", err)
		}
		s.Client().CloseIdleConnections()
		if _, _, err := c.FetchTask(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "refused the connection") {
			t.Errorf("on a new connection: %v", err)
		}
		time.Sleep(2 * time.Minute)
		s.SetDown(false)
		mustState(t, c, short, task.Unspecified, task.Unspecified)
		long := claimed(t, s, c)
		s.SetDown(true)
		time.Sleep(11 * time.Minute)
		s.SetDown(false)
		if got := result(t, s, long); got != task.Failure {
			t.Errorf("after 11 minutes away: %v", got)
		}
	})
}

func TestOffline(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		for _, d := range []time.Duration{60 * time.Second, 61 * time.Second} {
			if _, _, err := c.FetchTask(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			time.Sleep(d)
			if r := s.Runners()[0]; r.Online != (d <= time.Minute) || r.MaxSilence != d {
				t.Errorf("after %v: online %v, longest silence %v", d, r.Online, r.MaxSilence)
			}
		}
	})
}

func TestSummary(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		id := s.AddWorkflow(oneJob, giteatest.TaskOptions{RunID: 7, JobID: 9})
		got, _, err := c.FetchTask(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		put := func(token, run string, step int, body string) int {
			t.Helper()
			url := fmt.Sprintf("%s/api/actions_pipeline/_apis/pipelines/workflows/%s/jobs/9/steps/%d/summary", s.URL(), run, step)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			return res.StatusCode
		}
		token := got.String("gitea_runtime_token")
		if job, err := gitea.RuntimeTokenJobID(token); job != 9 || err != nil {
			t.Errorf("the token's job is %d, %v", job, err)
		}
		for _, c := range []struct {
			token, run, body string
			want             int
		}{
			{token, "7", "# hello", 200},
			{"other", "7", "x", 401},
			{token, "8", "x", 404},
			{token, "7", strings.Repeat("x", 1<<20+1), 413},
		} {
			if status := put(c.token, c.run, 0, c.body); status != c.want {
				t.Errorf("token %.5s, run %s, %d bytes: HTTP %d, want %d", c.token, c.run, len(c.body), status, c.want)
			}
		}
		s.Cancel(id)
		if status := put(token, "7", 1, "x"); status != 401 {
			t.Errorf("after a cancel: HTTP %d", status)
		}
		if got, _ := s.Task(id); len(got.Summaries) != 1 || got.Summaries[0] != "# hello" {
			t.Errorf("stored %v", got.Summaries)
		}
	})
}
