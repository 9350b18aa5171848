package runner

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/flock"
	"github.com/moby/moby/client"

	"otelrunner/runner/config"
	"otelrunner/sandbox"
	"otelrunner/sandbox/fake"
)

// What a killed exec has left on the engine goes when the next one uses it; what
// belongs to one that lives stays.
func TestExecLeftovers(t *testing.T) {
	engine := testEngine(t)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	cfg := config.Default()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	dir := filepath.Join(cache, "otelrunner", "exec")
	this := newExecName(&cfg, log)

	left := func(kind string) (name, network string) {
		name = newExecName(&cfg, log).name
		network = "otelrunner-test-" + kind + "-" + name
		writeFile(t, filepath.Join(dir, name), this.engine(), 0o600)
		_, err := engine.NetworkCreate(t.Context(), network, client.NetworkCreateOptions{Labels: map[string]string{"otelrunner.runner": name, "otelrunner.job": "x", "otelrunner.process": "y"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = engine.NetworkRemove(context.Background(), network, client.NetworkRemoveOptions{}) })
		return name, network
	}
	dead, deadNetwork := left("dead")
	alive, aliveNetwork := left("alive")
	lock := flock.New(filepath.Join(dir, alive))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer func() { _ = lock.Close() }()

	s, err := tidying{&fake.Provider{}, nil, this}.Open(t.Context(), sandbox.Spec{ID: "a"})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close(t.Context())
	names := func() (list []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			list = append(list, e.Name())
		}
		return list
	}
	if got := names(); slices.Contains(got, dead) || !slices.Contains(got, alive) || !slices.Contains(got, this.name) {
		t.Errorf("names while it runs are %q; %s is dead, %s alive, %s this one", got, dead, alive, this.name)
	}
	networks, err := engine.NetworkList(t.Context(), client.NetworkListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, n := range networks.Items {
		if strings.HasPrefix(n.Name, "otelrunner-test-") {
			there = append(there, n.Name)
		}
	}
	if slices.Contains(there, deadNetwork) || !slices.Contains(there, aliveNetwork) {
		t.Errorf("networks are %q, want that of the living one and not that of the dead one", there)
	}
	this.end()
	if got := names(); slices.Contains(got, this.name) {
		t.Errorf("names after the end are %q", got)
	}
}
