package giteatest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
)

// record is what the server holds of a task; guarded by the server's lock.
type record struct {
	wire   *runnerv1.Task
	labels []string
	jobID  int64
	runID  string

	added    time.Time
	runner   *runner // nil = waiting
	assigned time.Time
	started  time.Time
	stopped  time.Time
	lastCall time.Time

	result     runnerv1.Result
	cancelling bool // cancelled, and the runner is cleaning up
	done       chan struct{}

	rows      []*runnerv1.LogRow
	rowCount  int64
	rowBytes  int64
	maxRowAge time.Duration
	sealed    bool

	steps      map[int64]*runnerv1.StepState
	outputs    map[string]string
	summaries  map[int]string
	heartbeats int
}

func (t *record) final() bool { return t.result != runnerv1.Result_RESULT_UNSPECIFIED }

// finish gives the task its result, unless it has one.
func (s *Server) finish(t *record, result runnerv1.Result) {
	if t.final() {
		return
	}
	t.result, t.cancelling = result, false
	if t.stopped.IsZero() {
		t.stopped = s.now()
	}
	close(t.done)
	s.notify()
}

// ofRunner finds the task that a call is about; the lock is held.
func (s *Server) ofRunner(id int64, r *runner, doing string) (*record, error) {
	t := s.tasks[id]
	switch {
	case t == nil:
		return nil, s.fail(connect.CodeInternal, "%s: task with id %d: resource does not exist", doing, id)
	case t.runner != r:
		return nil, s.fail(connect.CodeInternal, "invalid runner for task")
	}
	t.lastCall = s.now()
	return t, nil
}

// Task is a snapshot of a task.
type Task struct {
	ID         int64
	Runner     string      // uuid; "" = no runner has it yet
	Result     task.Result // unspecified until it is final
	Cancelling bool        // cancelled, and the runner has yet to say that it cleaned up

	Added    time.Time
	Assigned time.Time
	Started  time.Time // as the runner said
	Stopped  time.Time // as the runner said, or when the server ended it
	LastCall time.Time

	RowCount  int64
	RowBytes  int64         // of the contents
	MaxRowAge time.Duration // the longest time between a row's own and its arrival
	Sealed    bool

	Steps      []Step // in the order of their ids
	Outputs    map[string]string
	Summaries  map[int]string // by the step's index
	Heartbeats int            // UpdateTask calls without a final result
}

// Step is a step as the runner described it.
type Step struct {
	ID                  int64
	Result              task.Result
	Started, Stopped    time.Time
	LogIndex, LogLength int64
}

// Row is one row of a log, as it was stored.
type Row struct {
	Time    time.Time
	Content string
}

func (t *record) snapshot() Task {
	out := Task{
		ID: t.wire.GetId(), Result: gitea.ResultFromWire(t.result), Cancelling: t.cancelling,
		Added: t.added, Assigned: t.assigned, Started: t.started, Stopped: t.stopped, LastCall: t.lastCall,
		RowCount: t.rowCount, RowBytes: t.rowBytes, MaxRowAge: t.maxRowAge, Sealed: t.sealed,
		Outputs: maps.Clone(t.outputs), Summaries: maps.Clone(t.summaries), Heartbeats: t.heartbeats,
	}
	if t.runner != nil {
		out.Runner = t.runner.uuid
	}
	for _, id := range slices.Sorted(maps.Keys(t.steps)) {
		st := t.steps[id]
		step := Step{ID: id, Result: gitea.ResultFromWire(st.GetResult()), LogIndex: st.GetLogIndex(), LogLength: st.GetLogLength()}
		if st.StartedAt != nil {
			step.Started = st.StartedAt.AsTime()
		}
		if st.StoppedAt != nil {
			step.Stopped = st.StoppedAt.AsTime()
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

// Task returns the task as it is now.
func (s *Server) Task(id int64) (Task, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil {
		return Task{}, false
	}
	return t.snapshot(), true
}

// Tasks returns all tasks in the order in which they were added.
func (s *Server) Tasks() []Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Task, len(s.order))
	for i, t := range s.order {
		out[i] = t.snapshot()
	}
	return out
}

// Wire returns the task as a runner gets it; not to be written to.
func (s *Server) Wire(id int64) *runnerv1.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[id]; t != nil {
		return t.wire
	}
	return nil
}

// Rows returns the rows of the task's log so far; none with CountOnly.
func (s *Server) Rows(id int64) []Row {
	s.mu.Lock()
	t := s.tasks[id]
	var rows []*runnerv1.LogRow
	if t != nil {
		rows = t.rows[:len(t.rows):len(t.rows)]
	}
	s.mu.Unlock()
	out := make([]Row, len(rows))
	for i, r := range rows {
		out[i] = Row{Time: r.GetTime().AsTime(), Content: r.GetContent()}
	}
	return out
}

// Log returns the contents of the rows, each with a newline.
func (s *Server) Log(id int64) string {
	var b strings.Builder
	for _, r := range s.Rows(id) {
		b.WriteString(r.Content)
		b.WriteByte('\n')
	}
	return b.String()
}

// DeleteTask makes the server forget the task, as with its repository.
func (s *Server) DeleteTask(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[id]
	if t == nil {
		return
	}
	s.finish(t, runnerv1.Result_RESULT_CANCELLED)
	delete(s.tasks, id)
	is := func(o *record) bool { return o == t }
	s.waiting = slices.DeleteFunc(s.waiting, is)
	s.order = slices.DeleteFunc(s.order, is)
}
