package gitea

import (
	"otelrunner/runner/task"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
)

// TaskFromWire makes the plain form of a task; nil stays nil. The payload's
// bytes and the maps of strings are shared with t, not copied.
func TaskFromWire(t *runnerv1.Task) *task.Task {
	if t == nil {
		return nil
	}
	out := &task.Task{
		ID:       t.GetId(),
		Workflow: t.GetWorkflowPayload(),
		Context:  t.GetContext().AsMap(),
		Secrets:  orEmpty(t.GetSecrets()),
		Vars:     orEmpty(t.GetVars()),
		Needs:    make(map[string]task.Need, len(t.GetNeeds())),
	}
	for id, n := range t.GetNeeds() {
		out.Needs[id] = task.Need{Result: ResultFromWire(n.GetResult()), Outputs: orEmpty(n.GetOutputs())}
	}
	return out
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// ResultToWire is the wire's value of r; what is no result is unspecified.
func ResultToWire(r task.Result) runnerv1.Result {
	switch r {
	case task.Success:
		return runnerv1.Result_RESULT_SUCCESS
	case task.Failure:
		return runnerv1.Result_RESULT_FAILURE
	case task.Cancelled:
		return runnerv1.Result_RESULT_CANCELLED
	case task.Skipped:
		return runnerv1.Result_RESULT_SKIPPED
	}
	return runnerv1.Result_RESULT_UNSPECIFIED
}

// ResultFromWire is the plain value of r. One that a newer server may know and
// this program does not counts as failure: it is no success, and "unspecified"
// would mean that the task goes on.
func ResultFromWire(r runnerv1.Result) task.Result {
	switch r {
	case runnerv1.Result_RESULT_UNSPECIFIED:
		return task.Unspecified
	case runnerv1.Result_RESULT_SUCCESS:
		return task.Success
	case runnerv1.Result_RESULT_CANCELLED:
		return task.Cancelled
	case runnerv1.Result_RESULT_SKIPPED:
		return task.Skipped
	}
	return task.Failure
}
