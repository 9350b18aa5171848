package runner

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"time"

	"otelrunner/runner/config"

	"github.com/docker/go-units"
)

// scriptEvery is how long what the script said holds: a busy runner asks for work
// every few seconds.
const scriptEvery = 30 * time.Second

// admission decides whether work may be asked for. Each reason against it is a
// gate of readiness too, so that /readyz says it. It is safe for concurrent use.
type admission struct {
	gate    func(name, reason string) // of readiness; "" opens
	environ []string
	log     *slog.Logger
	free    func(dir string) (int64, error)
	probe   func() error                     // of the journal; nil: there is none
	labels  func(ctx context.Context) string // why jobs of the labels that the server knows cannot be run; nil: they can

	mu      sync.Mutex
	dirs    []string // in which there must be room
	minFree int64
	script  string
	timeout time.Duration
	asked   time.Time         // when the script ran
	said    string            // what it said
	journal bool              // the journal has failed
	closed  map[string]string // gates that are closed, with their reasons
}

// set takes what the configuration says.
func (a *admission) set(cfg *config.Config, dirs []string) error {
	var minFree int64
	if s := cfg.Health.MinFreeDisk; s != "" {
		var err error
		if minFree, err = units.RAMInBytes(s); err != nil {
			return fmt.Errorf("health.min_free_disk: %w", err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.dirs, a.minFree, a.script, a.timeout = dirs, minFree, cfg.Health.Script, cfg.Health.ScriptTimeout
	a.asked = time.Time{}
	return nil
}

// broken says that the journal cannot be written to: whether it still is not, is asked
// before the next task is taken.
func (a *admission) broken(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal = true
	a.put("journal", err.Error())
}

// lookTime bounds what admit does beside the script: a look at the container engine,
// at the disks and at the journal.
const lookTime = time.Minute

// longest is how long admit may take.
func (a *admission) longest() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return lookTime + a.timeout
}

// admit reports whether work may be asked for. It is what poll.Options.Admit is.
func (a *admission) admit(ctx context.Context) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.journal && a.probe != nil {
		err := a.probe()
		a.journal = err != nil
		a.put("journal", reason(err))
	}
	a.put("disk", a.disk())
	a.put("script", a.ask(ctx))
	if a.labels != nil {
		a.put("labels", a.labels(ctx))
	}
	return len(a.closed) == 0
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// put opens or closes a gate, and logs when that changes.
func (a *admission) put(name, reason string) {
	if a.closed == nil {
		a.closed = map[string]string{}
	}
	a.gate(name, reason) // first: who reads the log may ask /readyz at once
	switch _, was := a.closed[name]; {
	case reason == "" && was:
		delete(a.closed, name)
		a.log.Info("tasks are taken again: "+name+" is well", "gate", name)
	case reason != "" && !was:
		a.log.Warn("no task is taken: "+reason, "gate", name)
	}
	if reason != "" {
		a.closed[name] = reason
	}
}

// disk says in which folder there is too little room.
func (a *admission) disk() string {
	if a.minFree <= 0 {
		return ""
	}
	for _, dir := range a.dirs {
		free, err := a.free(dir)
		if err != nil {
			return fmt.Sprintf("how much is free in %s cannot be told: %v", dir, err)
		}
		if free < a.minFree {
			return fmt.Sprintf("%s has %s free, health.min_free_disk is %s", dir, units.BytesSize(float64(free)), units.BytesSize(float64(a.minFree)))
		}
	}
	return ""
}

// ask runs the script, unless it has just run.
func (a *admission) ask(ctx context.Context) string {
	if a.script == "" {
		return ""
	}
	if !a.asked.IsZero() && time.Since(a.asked) < scriptEvery {
		return a.said
	}
	a.asked = time.Now()
	a.said = runScript(ctx, a.script, a.timeout, a.environ)
	return a.said
}

// runScript says why the script is against taking tasks, or nothing.
func runScript(ctx context.Context, script string, timeout time.Duration, environ []string) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := &firstLine{}
	cmd := exec.CommandContext(ctx, script)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, out, out
	cmd.WaitDelay = time.Second // for what it leaves in the background
	err := cmd.Run()
	switch {
	case err == nil:
		return ""
	case ctx.Err() != nil:
		return fmt.Sprintf("health.script %s did not end within %s", script, timeout)
	case out.String() != "":
		return fmt.Sprintf("health.script says: %s", out)
	}
	return fmt.Sprintf("health.script %s: %v", script, err)
}

// firstLine keeps the first line that is written to it, of 500 bytes at most.
type firstLine struct{ b bytes.Buffer }

func (f *firstLine) Write(p []byte) (int, error) {
	if room := 500 - f.b.Len(); room > 0 {
		_, _ = f.b.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (f *firstLine) String() string {
	line, _, _ := strings.Cut(strings.TrimSpace(f.b.String()), "\n")
	return strings.ToValidUTF8(line, "�")
}
