package runner

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"otelrunner/runner/config"
	"otelrunner/sandbox"
	"otelrunner/sandbox/container"

	"github.com/gofrs/flock"
)

// A container engine keeps what a killed exec has made on it. So each exec that
// uses one has a name of its own there, and a file of that name that is locked for as
// long as it lives: a file that nobody locks is a dead one's, whose things the next
// exec removes.

// execName is the name of this exec. It is made when it is needed.
type execName struct {
	cfg  *config.Config
	dir  string
	name string
	log  *slog.Logger

	sweep sync.Once
	lock  *flock.Flock
}

func newExecName(cfg *config.Config, log *slog.Logger) *execName {
	return &execName{cfg: cfg, dir: filepath.Join(cacheDir(), "exec"), name: "exec-" + strings.ToLower(rand.Text()[:16]), log: log}
}

// tidying is a container sandbox whose first use takes the name, and removes what
// dead ones have left.
type tidying struct {
	sandbox.Provider
	besideHost
	name *execName
}

// Open opens.
func (t tidying) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	t.tidy(ctx)
	return t.Provider.Open(ctx, spec)
}

// OpenContainers opens.
func (t tidying) OpenContainers(ctx context.Context, s sandbox.Sandbox, spec sandbox.Spec) (sandbox.HostContainers, error) {
	t.tidy(ctx)
	return t.besideHost.OpenContainers(ctx, s, spec)
}

func (t tidying) tidy(ctx context.Context) {
	t.name.sweep.Do(func() {
		if err := t.name.hold(); err != nil {
			t.name.log.Warn("if this run is killed, what it leaves on the container engine is not removed by the next one", "error", err)
		}
		t.name.sweepDead(ctx)
	})
}

// past reports whether an exec that has not ended, or was killed, has used a container
// engine.
func (e *execName) past() bool {
	entries, err := os.ReadDir(e.dir)
	return err == nil && len(entries) > 0
}

// hold takes the name.
func (e *execName) hold() error {
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(e.dir, e.name)
	if err := os.WriteFile(path, []byte(e.engine()), 0o600); err != nil {
		return err
	}
	lock := flock.New(path)
	ok, err := lock.TryLock()
	if err == nil && !ok {
		err = fmt.Errorf("%s is locked by another process", path)
	}
	if err == nil {
		_, err = os.Stat(path) // another exec may have taken it for a dead one's
	}
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	e.lock = lock
	return nil
}

// engine says which engine the name is used on.
func (e *execName) engine() string {
	return e.cfg.Container.DockerHost + "\n" + os.Getenv("DOCKER_HOST")
}

// sweepTime bounds how long a run waits for leftovers to be removed.
const sweepTime = 30 * time.Second

// sweepDead removes what dead ones have left on the same engine.
func (e *execName) sweepDead(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	entries, err := os.ReadDir(e.dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		path := filepath.Join(e.dir, entry.Name())
		if data, err := os.ReadFile(path); err != nil || string(data) != e.engine() || entry.Name() == e.name {
			continue
		}
		lock := flock.New(path, flock.SetFlag(os.O_RDWR))
		if ok, err := lock.TryLock(); !ok || err != nil {
			continue
		}
		err := e.sweepName(ctx, entry.Name())
		if err == nil {
			err = os.Remove(path)
		}
		if err := errors.Join(err, lock.Close()); err != nil {
			e.log.Warn("remove what a killed run has left on the container engine", "error", err)
		}
	}
}

func (e *execName) sweepName(ctx context.Context, name string) error {
	p, err := container.New(containerOptions(&e.cfg.Container, name, e.log))
	if err != nil {
		return err
	}
	n, err := p.Sweep(ctx)
	if n > 0 {
		e.log.Warn("what a killed run has left on the container engine is removed", "things", n)
	}
	return errors.Join(err, p.Close(ctx))
}

// end gives the name up, unless something could not be removed.
func (e *execName) end() {
	if e.lock == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), sweepTime)
	defer cancel()
	err := e.sweepName(ctx, e.name)
	if err == nil {
		err = os.Remove(e.lock.Path())
	}
	if err := errors.Join(err, e.lock.Close()); err != nil {
		e.log.Warn("tidy up on the container engine; the next run tries again", "error", err)
	}
}
