// Package action turns the `uses:` of a step into an action that is ready to
// run: it parses the reference, asks the repository's server which commit it
// names, fetches that commit once into a cache on disk, and reads action.yml.
//
// It runs nothing and evaluates no expression; runner/job does. The journey:
//
//	Parse("actions/checkout@v4", …)  → Reference
//	Fetcher.Job(…).Prepare(ctx, …)   → every action of a job, in parallel
//	Job.Action(ctx, ref)             → Action{SHA, Tree, Metadata}
//	Metadata.Resolve(with)           → inputs with defaults, and warnings
//
// An action under the workspace (./path) has no commit: its files lie in the
// sandbox and are read by [ReadLocal].
package action
