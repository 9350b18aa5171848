// Package cache is the server of actions/cache, and of what else uses
// @actions/cache (setup-node, setup-go …): jobs save folders in it, and later jobs of
// the same repository restore them.
//
// A Store keeps the entries in a folder that several processes may share. A Door is
// one job's way to it: an HTTP server behind a path that only the job is told, which
// speaks the REST API of GitHub's Enterprise servers (_apis/artifactcache), version
// 6.0-preview.1, as @actions/cache does with every server but github.com. What a job
// may read and write is its Scope.
package cache
