package workflow

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
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

// CountSteps returns how many steps the job of a task has, also where the workflow
// has faults that Parse does not let pass; 0 if that cannot be told.
func CountSteps(payload []byte) int {
	var w struct {
		Jobs map[string]struct {
			Steps []yaml.Node
		}
	}
	if err := yaml.Unmarshal(payload, &w); err != nil || len(w.Jobs) != 1 {
		return 0
	}
	for _, j := range w.Jobs {
		return len(j.Steps)
	}
	return 0
}
