package workflow

import (
	"fmt"
	"strings"
)

// SingleJob returns the only job of a task's workflow. The error is a sentence
// for the job's log.
func SingleJob(w *Workflow) (*Job, error) {
	switch len(w.Jobs) {
	case 1:
		return w.Jobs[0], nil
	case 0:
		return nil, fmt.Errorf("the workflow of this task has no job; a task has exactly one: the server sent something unexpected")
	}
	ids := make([]string, len(w.Jobs))
	for i, j := range w.Jobs {
		ids[i] = j.ID
	}
	return nil, fmt.Errorf("the workflow of this task has %d jobs (%s); a task has exactly one: the server sent something unexpected",
		len(w.Jobs), strings.Join(ids, ", "))
}
