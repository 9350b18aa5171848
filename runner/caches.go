package runner

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"

	"otelrunner/otel/observe"
	"otelrunner/runner/cache"
	"otelrunner/runner/config"
	"otelrunner/runner/job"
	"otelrunner/runner/task"
)

// cacheKeep is how long an entry of actions/cache is kept that nobody uses, as on
// GitHub.
const cacheKeep = 7 * 24 * time.Hour

// caches is the server of actions/cache for the jobs of this process. It is safe for
// concurrent use.
type caches struct {
	cfg *config.Config
	log *slog.Logger

	mu    sync.Mutex
	store *cache.Store // nil: it is not open
}

// newCaches makes what serves actions/cache under cfg. Nothing is opened before it is
// needed.
func newCaches(cfg *config.Config, log *slog.Logger) *caches { return &caches{cfg: cfg, log: log} }

// serves reports whether jobs get a cache of this process.
func (c *caches) serves() bool {
	return c != nil && c.cfg.Cache.Enabled && c.cfg.Cache.ExternalServer == "" && !wasmOnly(c.cfg)
}

// open opens the store, if that is not done. A cache that does not work fails no job:
// the runner's log says why there is none.
func (c *caches) open() *cache.Store {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store != nil || !c.serves() {
		return c.store
	}
	minFree, err := units.RAMInBytes(c.cfg.Health.MinFreeDisk)
	if err != nil { // there is none
		minFree = 0
	}
	store, err := cache.Open(cache.Options{
		Dir: cacheFolder(c.cfg), MaxSize: int64(c.cfg.Cache.MaxSize), Keep: cacheKeep,
		Free: diskFree, MinFree: max(minFree, cache.DefaultMinFree), Log: c.log,
	})
	if err != nil {
		c.log.Warn("jobs get no cache for actions/cache: see to it that the runner can write to cache.dir", "error", err)
		return nil
	}
	c.store = store
	return store
}

// clean removes what a dead runner was saving, if anything was ever saved.
func (c *caches) clean() {
	if _, err := os.Stat(cacheFolder(c.cfg)); err == nil {
		c.open()
	}
}

// cacheFolder is where the entries are.
func cacheFolder(cfg *config.Config) string {
	if cfg.Cache.Dir != "" {
		return cfg.Cache.Dir
	}
	return filepath.Join(cacheDir(), "cache")
}

// external is the address of a server of the operator's that steps get instead.
func (c *caches) external() string {
	if c == nil || !c.cfg.Cache.Enabled || c.cfg.Cache.ExternalServer == "" {
		return ""
	}
	return strings.TrimRight(c.cfg.Cache.ExternalServer, "/") + "/"
}

// of opens a job's way to the cache; nil where it has none.
func (c *caches) of(server string) func(ctx context.Context, t *task.Task) job.Cache {
	if !c.serves() {
		return nil
	}
	return func(ctx context.Context, t *task.Task) job.Cache {
		scope, ok := cache.ScopeOf(server, t)
		if !ok {
			return nil
		}
		store := c.open()
		if store == nil {
			return nil
		}
		return store.OpenDoor(cache.DoorOptions{
			Scope: scope, Log: c.log,
			Looked: func(hit bool) { observe.Looked(ctx, observe.CacheSaved, hit) },
		})
	}
}

// sweep removes what is too old.
func (c *caches) sweep(now time.Time) {
	c.mu.Lock()
	store := c.store
	c.mu.Unlock()
	if store != nil {
		store.Sweep(now)
	}
}

// close ends it. No job may be running.
func (c *caches) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.store == nil {
		return
	}
	if err := c.store.Close(); err != nil {
		c.log.Warn("end the cache of jobs", "error", err)
	}
	c.store = nil
}
