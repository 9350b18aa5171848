package action_test

import (
	"context"
	"fmt"
	"os"

	"otelrunner/runner/action"
	"otelrunner/runner/action/actiontest"
)

func Example() {
	server := actiontest.NewServer()
	defer server.Close()
	server.Action("actions/greet", map[string]string{"action.yml": `
name: Greet
inputs: {who: {default: world}}
runs: {using: node20, main: greet.js}
`})
	dir, err := os.MkdirTemp("", "actions-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	// One fetcher serves a process, one Job of it a job.
	fetcher, err := action.New(action.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	job := fetcher.Job(action.JobOptions{Bases: action.Bases{Default: server.URL}})
	defer func() { _ = job.Close() }()

	// Before the first step everything is fetched at once; a step then asks
	// for its own.
	ctx := context.Background()
	if err := job.Prepare(ctx, []string{"actions/greet@v1"}); err != nil {
		fmt.Println(err)
		return
	}
	ref, err := job.Parse("actions/greet@v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	greet, err := job.Action(ctx, ref)
	if err != nil {
		fmt.Println(err)
		return
	}
	inputs := greet.Metadata.Resolve(nil)
	fmt.Println(greet.Metadata.Name, greet.Metadata.Runs.Main, action.EnvName("who"), inputs.Values["who"])
	// Output: Greet greet.js INPUT_WHO world
}
