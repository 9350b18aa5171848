package container

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"otelrunner/sandbox"
)

// oomFiles have the number of processes of the container that the kernel killed
// for its memory limit: with cgroup 2, and with the older one (Linux 4.13 on).
var oomFiles = []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} //nolint:gochecknoglobals // a constant list

// Run runs a command in the job's container.
func (j *job) Run(ctx context.Context, c *sandbox.Command) (sandbox.Result, error) {
	result, err := j.main.stream.Run(ctx, c)
	return j.main.limited(ctx, result, err, "--memory in the container's options or the runner's container.memory")
}

// limited is what came of a command. One that failed while the kernel killed processes
// for the container's memory limit gives a *sandbox.LimitError: its exit code alone
// (137, or whatever a program makes of its child's death) would send people looking
// elsewhere. raise says what would lift the limit.
func (r *running) limited(ctx context.Context, result sandbox.Result, err error, raise string) (sandbox.Result, error) {
	if err != nil || r.limits.Memory <= 0 {
		return result, err
	}
	kills := oomKills(ctx, r)
	if kills <= r.kills {
		return result, nil
	}
	r.kills = kills
	if result.ExitCode == 0 {
		return result, nil // it lives with the death of its child; the next failure is another's
	}
	return result, &sandbox.LimitError{
		Limit: "memory",
		Text: fmt.Sprintf("memory limit of %s reached: the kernel killed a process of %s (exit code %d); lower what the step needs, or raise %s",
			size(r.limits.Memory), r.what, result.ExitCode, raise),
	}
}

// oomKills is 0 where it cannot be known.
func oomKills(ctx context.Context, r *running) int64 {
	for _, file := range oomFiles {
		data, err := r.stream.ReadFile(ctx, file, 64<<10)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(data) {
			if name, value, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" ")); string(name) == "oom_kill" {
				n, err := strconv.ParseInt(string(value), 10, 64)
				if err == nil {
					return n
				}
			}
		}
	}
	return 0
}
