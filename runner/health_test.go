package runner

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/config"
)

func newAdmission(t *testing.T) (a *admission, gates map[string]string, log *bytes.Buffer) {
	t.Helper()
	gates, log = map[string]string{}, &bytes.Buffer{}
	a = &admission{
		gate: func(name, reason string) {
			gates[name] = reason
			maps.DeleteFunc(gates, func(_, r string) bool { return r == "" })
		},
		environ: os.Environ(), log: slog.New(slog.NewTextHandler(log, nil)), free: diskFree,
	}
	return a, gates, log
}

func TestAdmissionWithoutConditions(t *testing.T) {
	a, gates, _ := newAdmission(t)
	cfg := config.Default()
	if err := a.set(&cfg, []string{"/nowhere"}); err != nil {
		t.Fatal(err)
	}
	if !a.admit(t.Context()) || len(gates) > 0 {
		t.Errorf("not admitted: %v", gates)
	}
	away := "the engine is away"
	a.labels = func(context.Context) string { return away }
	if a.admit(t.Context()) || gates["labels"] != away {
		t.Errorf("admitted without an engine: %v", gates)
	}
	away = ""
	if !a.admit(t.Context()) || len(gates) > 0 {
		t.Errorf("not admitted with an engine: %v", gates)
	}
}

func TestAdmissionByDisk(t *testing.T) {
	a, gates, log := newAdmission(t)
	cfg := config.Default()
	cfg.Health.MinFreeDisk = "1g"
	dir := t.TempDir()
	if err := a.set(&cfg, []string{dir}); err != nil {
		t.Fatal(err)
	}
	if free, err := diskFree(dir); err != nil || free <= 0 {
		t.Fatalf("%d, %v", free, err)
	}
	free := int64(1 << 30)
	a.free = func(string) (int64, error) { return free, nil }
	if !a.admit(t.Context()) {
		t.Errorf("not admitted: %v", gates)
	}
	free--
	for range 3 {
		if a.admit(t.Context()) || !strings.Contains(gates["disk"], dir) || !strings.Contains(gates["disk"], "health.min_free_disk is 1GiB") {
			t.Errorf("gates %v", gates)
		}
	}
	free++
	if !a.admit(t.Context()) || len(gates) > 0 {
		t.Errorf("gates %v", gates)
	}
	if n := strings.Count(log.String(), "no task is taken"); n != 1 || !strings.Contains(log.String(), "tasks are taken again") {
		t.Errorf("the log:\n%s", log)
	}
	a.free = func(string) (int64, error) { return 0, errors.New("stale handle") }
	if a.admit(t.Context()) || !strings.Contains(gates["disk"], "stale handle") {
		t.Errorf("gates %v", gates)
	}
}

func TestAdmissionByJournal(t *testing.T) {
	a, gates, _ := newAdmission(t)
	full := errors.New("no space left on device")
	a.probe = func() error { return full }
	a.broken(full)
	if gates["journal"] == "" || a.admit(t.Context()) {
		t.Errorf("gates %v", gates)
	}
	full = nil
	if !a.admit(t.Context()) || len(gates) > 0 {
		t.Errorf("gates %v", gates)
	}
}

func TestAdmissionByScript(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("writes a shell script")
	}
	dir := t.TempDir()
	ok := filepath.Join(dir, "ok")
	script := filepath.Join(dir, "healthy")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(script, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a, gates, _ := newAdmission(t)
	cfg := config.Default()
	cfg.Health.Script, cfg.Health.ScriptTimeout = script, 10*time.Second
	for _, c := range []struct{ text, want string }{
		{"exit 0", ""},
		{"[ -e " + ok + " ] || { echo 'the licence server is away'; echo more; exit 3; }", "health.script says: the licence server is away"},
		{"exit 7", "healthy: exit status 7"},
	} {
		write(c.text)
		if err := a.set(&cfg, nil); err != nil {
			t.Fatal(err)
		}
		if admitted := a.admit(t.Context()); admitted != (c.want == "") || !strings.Contains(gates["script"], c.want) {
			t.Errorf("%s: %v, %v", c.text, admitted, gates)
		}
	}
	write("exit 0")
	if a.admit(t.Context()) {
		t.Error("it was asked again at once")
	}
	a.mu.Lock()
	a.asked = a.asked.Add(-scriptEvery)
	a.mu.Unlock()
	if !a.admit(t.Context()) {
		t.Errorf("gates %v", gates)
	}
	write("sleep 600")
	cfg.Health.ScriptTimeout = 100 * time.Millisecond
	if err := a.set(&cfg, nil); err != nil {
		t.Fatal(err)
	}
	if a.admit(t.Context()) || !strings.Contains(gates["script"], "did not end within 100ms") {
		t.Errorf("gates %v", gates)
	}
}
