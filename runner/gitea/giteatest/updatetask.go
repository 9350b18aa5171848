package giteatest

import (
	"context"
	"maps"
	"slices"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"
)

// Bounds of one output, in bytes.
const (
	maxOutputKey   = 255
	maxOutputValue = 1 << 20
)

// UpdateTask takes a task's state and outputs; a final result is final.
func (s service) UpdateTask(ctx context.Context, req *connect.Request[runnerv1.UpdateTaskRequest]) (*connect.Response[runnerv1.UpdateTaskResponse], error) {
	state := req.Msg.GetState()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.auth(req.Header())
	if err != nil {
		return nil, err
	}
	final := state.GetResult() != runnerv1.Result_RESULT_UNSPECIFIED
	c := callOf(ctx)
	c.TaskID, c.Final = state.GetId(), final
	t, err := s.ofRunner(state.GetId(), r, "update task")
	if err != nil {
		return nil, err
	}
	if !final {
		t.heartbeats++
	}
	t.addOutputs(req.Msg.GetOutputs())
	answer := s.applyState(t, state)
	if final && r.ephemeral {
		r.deleted = true
	}
	s.notify()
	return connect.NewResponse(&runnerv1.UpdateTaskResponse{
		State:       &runnerv1.TaskState{Id: state.GetId(), Result: answer},
		SentOutputs: slices.Sorted(maps.Keys(t.outputs)),
	}), nil
}

// applyState stores a state and returns the result that the runner is told.
func (s *Server) applyState(t *record, state *runnerv1.TaskState) runnerv1.Result {
	if t.final() {
		return t.result
	}
	if state.StartedAt != nil && t.started.IsZero() {
		t.started = state.StartedAt.AsTime()
	}
	for _, st := range state.GetSteps() {
		t.steps[st.GetId()] = st
	}
	if state.GetResult() != runnerv1.Result_RESULT_UNSPECIFIED {
		if state.StoppedAt != nil {
			t.stopped = state.StoppedAt.AsTime()
		}
		result := state.GetResult()
		if t.cancelling {
			result = runnerv1.Result_RESULT_CANCELLED
		}
		s.finish(t, result)
		return t.result
	}
	if t.cancelling {
		return runnerv1.Result_RESULT_CANCELLED
	}
	return runnerv1.Result_RESULT_UNSPECIFIED
}

// addOutputs keeps the first value of a key; what is too long is left out, which
// the runner sees by its absence in sent_outputs.
func (t *record) addOutputs(outputs map[string]string) {
	for k, v := range outputs {
		if len(k) > maxOutputKey || len(v) > maxOutputValue {
			continue
		}
		if _, ok := t.outputs[k]; !ok {
			t.outputs[k] = v
		}
	}
}
