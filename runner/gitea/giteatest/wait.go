package giteatest

import (
	"context"
	"errors"
	"fmt"
)

// ErrClosed is what waiters get when the server is closed.
var ErrClosed = errors.New("giteatest: the server was closed")

// notify wakes those who Wait; the lock is held.
func (s *Server) notify() {
	if s.waiters > 0 && s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Wait returns when cond holds. It is asked at first and after every event (a
// call, a change of a task or runner); it may use all methods of the Server but
// the waiting ones.
func (s *Server) Wait(ctx context.Context, cond func() bool) error {
	s.mu.Lock()
	s.waiters++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.waiters--
		s.mu.Unlock()
	}()
	for {
		s.mu.Lock()
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		if cond() {
			return nil
		}
		select {
		case <-changed:
		case <-s.closed:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("giteatest: wait: %w", context.Cause(ctx))
		}
	}
}

// WaitResult waits for the task's final result and returns the task as it was
// right then or later.
func (s *Server) WaitResult(ctx context.Context, id int64) (Task, error) {
	s.mu.Lock()
	t := s.tasks[id]
	s.mu.Unlock()
	if t == nil {
		return Task{}, fmt.Errorf("giteatest: there is no task %d", id)
	}
	select {
	case <-t.done:
		s.mu.Lock()
		defer s.mu.Unlock()
		return t.snapshot(), nil
	case <-s.closed:
		return Task{}, ErrClosed
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		return t.snapshot(), fmt.Errorf("giteatest: wait for the result of task %d: %w", id, context.Cause(ctx))
	}
}

// WaitAll waits until every task that was added has its final result.
func (s *Server) WaitAll(ctx context.Context) error {
	s.mu.Lock()
	tasks := append([]*record(nil), s.order...)
	s.mu.Unlock()
	for _, t := range tasks {
		if _, err := s.WaitResult(ctx, t.wire.GetId()); err != nil {
			return err
		}
	}
	return nil
}

// WaitAssigned waits until a runner has got the task.
func (s *Server) WaitAssigned(ctx context.Context, id int64) error {
	return s.Wait(ctx, func() bool { t, ok := s.Task(id); return ok && t.Runner != "" })
}

// WaitRows waits until the task's log has at least n rows.
func (s *Server) WaitRows(ctx context.Context, id int64, n int) error {
	return s.Wait(ctx, func() bool { t, ok := s.Task(id); return ok && t.RowCount >= int64(n) })
}

// WaitCalls waits until at least n calls of that method ("" = of all) have begun.
func (s *Server) WaitCalls(ctx context.Context, method string, n int) error {
	return s.Wait(ctx, func() bool { return s.Stats(method).Calls >= n })
}
