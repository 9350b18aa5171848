package giteatest

import (
	"context"
	"slices"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
)

// FetchTask looks for a task if the client's version is not the server's.
func (s service) FetchTask(ctx context.Context, req *connect.Request[runnerv1.FetchTaskRequest]) (*connect.Response[runnerv1.FetchTaskResponse], error) {
	seen := req.Msg.GetTasksVersion()
	r, look, err := s.beginPick(ctx, req.Header().Get("x-runner-uuid"), req.Header().Get("x-runner-token"), seen)
	if err != nil {
		return nil, err
	}
	if look != lookNow {
		s.mu.Lock()
		defer s.mu.Unlock()
		if look == lookBusy {
			return fetched(nil, seen), nil
		}
		return fetched(nil, s.version), nil
	}
	if s.opt.PickTime > 0 {
		// The server goes on picking although the client may be gone.
		select {
		case <-time.After(s.opt.PickTime):
		case <-s.closed:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.picking--
	t := s.pick(r)
	if t == nil {
		return fetched(nil, s.version), nil
	}
	callOf(ctx).TaskID = t.wire.GetId()
	if ctx.Err() != nil && s.opt.ReleaseLostClaims {
		s.release(t)
	}
	return fetched(t.wire, s.version), nil
}

func fetched(t *runnerv1.Task, version int64) *connect.Response[runnerv1.FetchTaskResponse] {
	return connect.NewResponse(&runnerv1.FetchTaskResponse{Task: t, TasksVersion: version})
}

type look int

const (
	lookNot  look = iota // nothing new since the client looked
	lookBusy             // too many are looking
	lookNow
)

func (s *Server) beginPick(ctx context.Context, uuid, token string, seen int64) (*runner, look, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.auth(map[string][]string{"X-Runner-Uuid": {uuid}, "X-Runner-Token": {token}})
	if err != nil {
		return nil, 0, err
	}
	if r.ephemeral && r.tasks > 0 {
		if s.runsNone(r) {
			r.deleted = true
			return nil, 0, s.fail(connect.CodeUnauthenticated, "runner %s has been removed", r.name)
		}
		return r, lookNot, nil
	}
	switch {
	case seen == s.version:
		return r, lookNot, nil
	case faultOf(ctx).echo, s.opt.PickLimit > 0 && s.picking >= s.opt.PickLimit:
		return r, lookBusy, nil
	}
	s.picking++
	return r, lookNow, nil
}

// runsNone reports whether the runner has no unfinished task.
func (s *Server) runsNone(r *runner) bool {
	return !slices.ContainsFunc(s.order, func(t *record) bool { return t.runner == r && !t.final() })
}

// pick assigns the oldest waiting task all of whose labels the runner carries.
func (s *Server) pick(r *runner) *record {
	if r.disabled || r.deleted {
		return nil
	}
	for i, t := range s.waiting {
		if !carries(r.labels, t.labels) {
			continue
		}
		s.waiting = slices.Delete(s.waiting, i, i+1)
		now := s.now()
		t.runner, t.assigned, t.lastCall = r, now, now
		r.tasks++
		s.notify()
		return t
	}
	return nil
}

func carries(have, want []string) bool {
	return !slices.ContainsFunc(want, func(l string) bool { return !slices.Contains(have, l) })
}

// release takes back a task whose claim never reached the runner.
func (s *Server) release(t *record) {
	if t.final() || t.runner == nil {
		return
	}
	t.runner.tasks--
	t.runner, t.assigned = nil, time.Time{}
	s.waiting = slices.Insert(s.waiting, 0, t)
	s.version++
	s.notify()
}
