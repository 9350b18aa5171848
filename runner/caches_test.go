package runner

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/runner/config"
	"otelrunner/runner/task"
)

// lookups is a Meter of lookups in what actions/cache has saved.
type lookups struct {
	observe.Meter
	hits []bool
}

func (l *lookups) Cache(_ context.Context, c observe.Cache, hit bool) {
	if c == observe.CacheSaved {
		l.hits = append(l.hits, hit)
	}
}

// TestCaches: who gets a cache of this process, and that nothing is made before.
func TestCaches(t *testing.T) {
	t.Parallel()
	tk := &task.Task{Context: map[string]any{"repository": "octo/demo", "ref": "refs/heads/main"}}
	for name, c := range map[string]struct {
		change   func(*config.Config)
		task     *task.Task
		gets     bool
		external string
	}{
		"a job":                   {gets: true},
		"without a repository":    {task: &task.Task{}},
		"off":                     {change: func(c *config.Config) { c.Cache.Enabled = false }},
		"wasm-only":               {change: func(c *config.Config) { c.Sandbox.Mode = config.WASMOnly }},
		"elsewhere":               {change: func(c *config.Config) { c.Cache.ExternalServer = "http://cache:1" }, external: "http://cache:1/"},
		"elsewhere, and off":      {change: func(c *config.Config) { c.Cache.ExternalServer, c.Cache.Enabled = "http://cache:1/", false }},
		"a folder that is a file": {change: func(c *config.Config) { writeFile(t, c.Cache.Dir, "a file", 0o600) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := suiteConfig(t, t.TempDir())
			if c.change != nil {
				c.change(cfg)
			}
			var log bytes.Buffer
			all := newCaches(cfg, slog.New(slog.NewTextHandler(&log, nil)))
			t.Cleanup(all.close)
			all.clean()
			all.sweep(time.Now())
			if info, err := os.Stat(cfg.Cache.Dir); err == nil && info.IsDir() {
				t.Error("the folder is made before a job needs it")
			}
			if got := all.external(); got != c.external {
				t.Errorf("the server elsewhere is %q, want %q", got, c.external)
			}
			opens := all.of("https://git.example.com")
			if opens == nil {
				if c.gets {
					t.Error("jobs get none")
				}
				return
			}
			asked := tk
			if c.task != nil {
				asked = c.task
			}
			meter := &lookups{}
			way := opens(observe.With(t.Context(), &observe.Scope{Meter: meter}), asked)
			if (way != nil) != c.gets {
				t.Fatalf("the job gets %v", way)
			}
			if broken := strings.Contains(log.String(), "see to it that the runner can write to cache.dir"); broken != strings.Contains(name, "file") {
				t.Errorf("the log: %s", log.String())
			}
			if way == nil {
				return
			}
			address, err := way.Listen()
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.Get(way.URL(address) + "_apis/artifactcache/cache?keys=a&version=v")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			way.Close()
			if resp.StatusCode != http.StatusNoContent || len(meter.hits) != 1 || meter.hits[0] {
				t.Errorf("status %d, lookups %v", resp.StatusCode, meter.hits)
			}
			if _, err := http.Get(way.URL(address)); err == nil { //nolint:bodyclose // there is none
				t.Error("the port is open after the job")
			}
		})
	}
}

// TestCacheFolder is where entries lie unless the operator says it: beside the others.
func TestCacheFolder(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	if got, want := cacheFolder(&cfg), filepath.Join(cacheDir(), "cache"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
