package wasm

import (
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestNamespaces starts processes for which there are no namespaces: once, and never.
func TestNamespaces(t *testing.T) {
	var log strings.Builder
	p, err := New(Options{Root: t.TempDir(), Command: []string{"/bin/true"}, NoSpare: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	launch := func(in *exec.Cmd) (tries int, missing error) {
		t.Helper()
		cmd, missing, err := p.launch(func(namespaces bool) *exec.Cmd {
			if namespaces {
				tries++
				return &exec.Cmd{Path: in.Path, SysProcAttr: in.SysProcAttr}
			}
			return exec.CommandContext(t.Context(), "/bin/true")
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		return tries, missing
	}
	works := &exec.Cmd{Path: "/bin/true"}
	fails := &exec.Cmd{Path: "/nowhere"} // stands for a system that has too much to do
	forbidden := &exec.Cmd{Path: "/bin/true", SysProcAttr: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_FS}}

	if tries, missing := launch(works); tries != 1 || missing != nil {
		t.Errorf("%d tries, %v", tries, missing)
	}
	if tries, missing := launch(fails); tries != namespaceTries || missing == nil || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("a start that fails: %d tries, %v, log %s", tries, missing, log.String())
	}
	if tries, missing := launch(works); tries != 1 || missing != nil {
		t.Errorf("the next one: %d tries, %v", tries, missing)
	}
	log.Reset()
	if tries, missing := launch(forbidden); tries != 1 || missing == nil || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("what is forbidden: %d tries, %v, log %s", tries, missing, log.String())
	}
	log.Reset()
	tries, missing := launch(works)
	if tries != 0 || missing == nil || log.Len() > 0 {
		t.Errorf("after it: %d tries, %v, log %s", tries, missing, log.String())
	}
	w := &process{noNamespaces: missing}
	if jail, missing := w.held(); len(jail) != 0 || len(missing) != 1 || missing[0] != namespaceNames+" (invalid argument)" {
		t.Errorf("what holds it: %q, missing %q", jail, missing)
	}
}
