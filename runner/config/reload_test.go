package config_test

import (
	"testing"
	"time"

	"otelrunner/runner/config"

	"github.com/google/go-cmp/cmp"
)

func TestReload(t *testing.T) {
	old, next := config.Default(), config.Default()
	old.Runner.Envs = map[string]string{"A": "1"}
	next.Runner.Capacity, next.Runner.Labels, next.Health.MinFreeDisk = 5, []string{"a:host"}, "2g"
	next.Runner.File, next.Metrics.Enabled, next.Log.Level = "other", true, "debug"
	next.Runner.Timeout = time.Hour
	before := old
	got, taken, left := config.Reload(&old, &next)
	if diff := cmp.Diff(before, old); diff != "" {
		t.Errorf("the old one was changed: %s", diff)
	}
	want := next
	want.Runner.File, want.Metrics.Enabled = old.Runner.File, false
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"log.level", "runner.capacity", "runner.envs", "runner.timeout", "runner.labels", "health.min_free_disk"}, taken); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"runner.file", "metrics.enabled"}, left); diff != "" {
		t.Error(diff)
	}
}
