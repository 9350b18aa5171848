package report

import (
	"maps"
	"slices"

	"otelrunner/runner/task"
)

// TaskSecrets are the values that a task itself demands to be masked: its secrets
// and its tokens. Passwords that the workflow computes for registries, and those
// of the runner's proxies, are for the caller to add.
func TaskSecrets(t *task.Task) []string {
	values := slices.Collect(maps.Values(t.Secrets))
	for _, key := range []string{"token", "gitea_runtime_token"} {
		if v := t.String(key); v != "" {
			values = append(values, v)
		}
	}
	return values
}
