package runner

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/gitea"
	"otelrunner/runner/gitea/giteatest"
)

// newTestDeclarer is one at a server in memory, with that and what to change the
// labels by.
func newTestDeclarer(t *testing.T) (d *declarer, s *giteatest.Server, set func(labels ...string)) {
	t.Helper()
	s = giteatest.New(giteatest.Options{})
	t.Cleanup(s.Close)
	client, err := s.NewClient(giteatest.RunnerOptions{Labels: []string{"linux"}})
	if err != nil {
		t.Fatal(err)
	}
	var labels atomic.Pointer[[]string]
	set = func(names ...string) { labels.Store(&names) }
	set("linux")
	pace := func() (first, longest time.Duration) { return 2 * time.Second, 30 * time.Second }
	return newDeclarer(client, "v", func() []string { return *labels.Load() }, pace, slog.New(slog.DiscardHandler)), s, set
}

func TestDeclareWaitsForTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, _ := newTestDeclarer(t)
		s.SetDown(true)
		time.AfterFunc(100*time.Second, func() { s.SetDown(false) })
		began := time.Now()
		caps, err := d.declare(t.Context())
		if err != nil || !caps.Has(gitea.CapabilityJobSummary) {
			t.Fatalf("%v, %v", caps, err)
		}
		// Asked after 0, 2, 6, 14, 30, 60, 90 and 120 s.
		if took := time.Since(began).Round(time.Second); took != 120*time.Second {
			t.Errorf("it took %s, want 2m", took)
		}
		s.DeleteRunner(s.Runners()[0].UUID)
		if _, err = d.declare(t.Context()); !errors.Is(err, ErrUnregistered) {
			t.Errorf("a deleted runner: %v", err)
		}
		s.SetDown(true)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(errStopping) })
		if _, err = d.declare(ctx); !errors.Is(err, errStopping) {
			t.Errorf("stopped while waiting: %v", err)
		}
	})
}

// Changes reach the server, the last one of those made while it was away, and once.
func TestDeclarerFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, s, set := newTestDeclarer(t)
		if d.knows([]string{"linux"}) {
			t.Error("it takes for known what it has not told")
		}
		if _, err := d.declare(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended, done := make(chan struct{}), 0
		go func() { defer close(ended); d.follow(ctx, func() { done++ }) }()
		defer func() { cancel(); <-ended }()
		told := func() string { return strings.Join(s.Runners()[0].Labels, " ") }
		change := func(labels ...string) { set(labels...); d.changed(); synctest.Wait() }

		change("linux", "box")
		if told() != "linux box" || done != 1 || !d.knows([]string{"box", "linux", "more"}) || d.knows([]string{"box"}) {
			t.Errorf("the server knows %s, done %d times", told(), done)
		}
		calls := s.Stats("Declare").Calls
		change("linux", "box")
		if done != 2 || s.Stats("Declare").Calls != calls {
			t.Errorf("what the server knows was told again")
		}
		s.SetDown(true)
		change("linux")
		change("linux", "late")
		s.SetDown(false)
		time.Sleep(time.Minute)
		if told() != "linux late" || !slices.Equal(*d.told.Load(), []string{"linux", "late"}) {
			t.Errorf("the server knows %s", told())
		}
	})
}
