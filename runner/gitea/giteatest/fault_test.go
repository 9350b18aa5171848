package giteatest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"

	"connectrpc.com/connect"
)

func TestFaults(t *testing.T) {
	handled := func(s *giteatest.Server, id int64) bool { got, _ := s.Task(id); return got.Heartbeats > 0 }
	for name, c := range map[string]struct {
		fault   giteatest.Fault
		err     func(error) bool // nil = none
		handled bool
		took    time.Duration
	}{
		"latency":      {fault: giteatest.Latency(3 * time.Second), handled: true, took: 3 * time.Second},
		"slow reply":   {fault: giteatest.SlowReply(3 * time.Second), handled: true, took: 3 * time.Second},
		"503":          {fault: giteatest.Status(503), err: gitea.IsTemporary},
		"late 503":     {fault: giteatest.Status(503).After(time.Second), err: gitea.IsTemporary, took: time.Second},
		"429":          {fault: giteatest.Status(429).RetryAfter(7 * time.Second), err: func(err error) bool { return gitea.RetryAfter(err) == 7*time.Second && gitea.IsTemporary(err) }},
		"a page":       {fault: giteatest.HTML(200, "Welcome"), err: gitea.IsTemporary},
		"own error":    {fault: giteatest.Code(connect.CodeInternal, "database is locked"), err: gitea.IsTemporary},
		"unregistered": {fault: giteatest.Code(connect.CodeUnauthenticated, "unregistered runner"), err: gitea.IsUnauthenticated},
		"cut before":   {fault: giteatest.CutBefore(), err: gitea.IsTemporary},
		"cut after":    {fault: giteatest.CutAfter(), err: gitea.IsTemporary, handled: true},
		"body limit":   {fault: giteatest.BodyLimit(3), err: gitea.IsTooLarge},
		"large enough": {fault: giteatest.BodyLimit(1 << 20), handled: true},
		"hang":         {fault: giteatest.Hang(), err: gitea.IsDeadline, took: time.Minute},
		"other method": {fault: giteatest.CutBefore().On("FetchTask", "UpdateLog"), handled: true},
		"not yet":      {fault: giteatest.CutBefore().Skip(1), handled: true},
		"redirect": {fault: giteatest.Redirect(301, "https://elsewhere.example/login?secret=1"), err: func(err error) bool {
			var answer *gitea.AnswerError
			return errors.As(err, &answer) && answer.Location == "https://elsewhere.example/login"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
				client := runner(t, s)
				id := claimed(t, s, client)
				in := s.Inject(c.fault)
				start := time.Now()
				_, _, err := state(within(t, time.Minute), client, id, task.Unspecified, nil)
				if c.err == nil && err != nil || c.err != nil && !c.err(err) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if handled(s, id) != c.handled {
					t.Errorf("handled: %v", !c.handled)
				}
				in.Remove()
				mustState(t, client, id, task.Unspecified, task.Unspecified)
			})
		})
	}
}

func TestFaultCounts(t *testing.T) {
	bubble(t, giteatest.Options{Seed: 1}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		outcome := func(n int) (ok []bool) {
			for range n {
				_, _, err := c.FetchTask(t.Context(), 0)
				ok = append(ok, err == nil)
			}
			return ok
		}
		in := s.Inject(giteatest.Status(503).On("FetchTask").Skip(1).Times(2))
		if got := outcome(5); !slices.Equal(got, []bool{true, false, false, true, true}) || in.Hits() != 2 {
			t.Errorf("outcomes %v, %d hits", got, in.Hits())
		}
		some := s.Inject(giteatest.CutBefore().Chance(0.3))
		outcome(100)
		if hits := some.Hits(); hits < 15 || hits > 45 {
			t.Errorf("%d hits of 100 with a chance of 0.3", hits)
		}
	})
}

func TestLostClaim(t *testing.T) {
	for name, release := range map[string]bool{"it stays assigned": false, "newer servers release it": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, giteatest.Options{ReleaseLostClaims: release}, func(t *testing.T, s *giteatest.Server) {
				c := runner(t, s)
				id := s.AddWorkflow(oneJob, giteatest.TaskOptions{})
				s.Inject(giteatest.SlowReply(10 * time.Second).Times(1))
				if _, _, err := c.FetchTask(within(t, 5*time.Second), 0); !gitea.IsDeadline(err) {
					t.Fatalf("the impatient fetch: %v", err)
				}
				time.Sleep(10 * time.Second)
				got, _, err := c.FetchTask(t.Context(), 0)
				if err != nil || (got != nil) != release {
					t.Errorf("the next fetch: %v, %v", got, err)
				}
				if task, _ := s.Task(id); task.Runner == "" {
					t.Error("the task belongs to nobody")
				}
			})
		})
	}
}

func TestCallsAndWaits(t *testing.T) {
	bubble(t, giteatest.Options{}, func(t *testing.T, s *giteatest.Server) {
		c := runner(t, s)
		id := s.AddWorkflow(oneJob, giteatest.TaskOptions{})
		s.Inject(giteatest.Latency(time.Second))
		go func() {
			time.Sleep(time.Minute)
			if _, _, err := c.FetchTask(context.Background(), 0); err != nil {
				t.Error(err)
			}
			go func() { _, _ = send(t, c, id, 0, rows(0, 3), false) }()
			_, _, _ = state(context.Background(), c, id, task.Success, nil)
		}()
		start := time.Now()
		at := func(want time.Duration, err error) {
			t.Helper()
			if got := time.Since(start); got != want || err != nil {
				t.Errorf("after %v, %v; want %v", got, err, want)
			}
		}
		at(time.Minute, s.WaitCalls(t.Context(), "FetchTask", 1))
		at(61*time.Second, s.WaitAssigned(t.Context(), id))
		at(62*time.Second, s.WaitRows(t.Context(), id, 3))
		_, err := s.WaitResult(t.Context(), id)
		at(62*time.Second, err)
		at(62*time.Second, s.WaitAll(t.Context()))
		at(62*time.Second, s.Wait(t.Context(), func() bool { return s.Stats("").Concurrent == 0 }))
		if err := s.Wait(within(t, time.Second), func() bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait in vain: %v", err)
		}

		calls := s.Calls("UpdateLog")
		if len(calls) != 1 || calls[0].Rows != 3 || calls[0].TaskID != id || calls[0].Bytes == 0 || calls[0].End.Sub(calls[0].Start) != time.Second {
			t.Errorf("%+v", calls)
		}
		if st := s.Stats(""); st.Calls != 3 || st.MaxConcurrent != 2 || st.Concurrent != 0 {
			t.Errorf("%+v", st)
		}
		if m := s.Methods(); !slices.Equal(m, []string{"FetchTask", "UpdateLog", "UpdateTask"}) {
			t.Errorf("methods %v", m)
		}
		s.ResetCalls()
		if st := s.Stats(""); st.Calls != 0 || len(s.Calls("")) != 0 {
			t.Errorf("after a reset: %+v", st)
		}
	})
}

func TestCloseWakesWaiters(t *testing.T) {
	s := giteatest.New(giteatest.Options{})
	id := s.AddWorkflow(oneJob, giteatest.TaskOptions{})
	done := make(chan error, 2)
	go func() { _, err := s.WaitResult(context.Background(), id); done <- err }()
	go func() { done <- s.Wait(context.Background(), func() bool { return false }) }()
	s.Close()
	s.Close()
	for range 2 {
		if err := <-done; !errors.Is(err, giteatest.ErrClosed) {
			t.Errorf("a waiter got %v", err)
		}
	}
}

func TestLoopback(t *testing.T) {
	s := giteatest.New(giteatest.Options{Path: "/git"})
	defer s.Close()
	url, err := s.Start()
	if err != nil {
		t.Fatal(err)
	}
	uuid, token := s.AddRunner(giteatest.RunnerOptions{Name: "r", Labels: []string{"linux"}})
	c, err := gitea.New(gitea.Options{Instance: url + "/", UUID: uuid, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	id := claimed(t, s, c)
	if _, err := send(t, c, id, 0, rows(0, 1000), true); err != nil {
		t.Fatal(err)
	}
	mustState(t, c, id, task.Success, task.Success)
	if log := s.Log(id); len(log) < 7000 || log[:12] != "row 0\nrow 1\n" {
		t.Errorf("the log is %d bytes", len(log))
	}
	if st := s.Stats("UpdateLog"); st.Bytes > 12000 {
		t.Errorf("1000 rows were sent in %d bytes: not compressed", st.Bytes)
	}
	s.SetDown(true)
	if err := c.Ping(t.Context()); err == nil {
		t.Error("a server that is down answered")
	}
}
