package gitea

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// maxTaskPages bounds how far FirstTask looks back: at 200 tasks of the repository.
const maxTaskPages = 4

// FirstTask reports whether a task is the first of its run that a runner was given, by
// the REST API of Gitea 1.22 and later (GET /repos/{owner}/{repo}/actions/tasks). run is
// the run's number in its repository. A server numbers tasks as it gives them away, so
// that those before one are there from its beginning, and every runner that asks, whenever
// it does, gets an answer that fits the others'. Tasks of all attempts are in the list and
// look the same: it tells nothing of a run that was run again. Of the repository's tasks
// the last 200 are looked at. api and token are as for RunJobs.
func FirstTask(ctx context.Context, client *http.Client, api, repository, token string, run, task int64) (bool, error) {
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("list the tasks of run %d of %q: %w", run, repository, err)
	}
	list, there, read := restList{client, api, repository, token}, false, int64(0)
	for page := range maxTaskPages {
		var answer struct {
			Tasks []struct {
				ID  int64 `json:"id"`
				Run int64 `json:"run_number"`
			} `json:"workflow_runs"` // as the server calls it
			Total int64 `json:"total_count"`
		}
		if err := list.page(ctx, page+1, &answer, "tasks"); err != nil {
			return fail(err)
		}
		for _, t := range answer.Tasks {
			if t.Run == run && t.ID < task {
				return false, nil
			}
			there = there || t.Run == run && t.ID == task
		}
		read += int64(len(answer.Tasks))
		if len(answer.Tasks) == 0 || read >= answer.Total {
			break
		}
	}
	if !there {
		return fail(errors.New("the task itself is not in it"))
	}
	return true, nil
}
