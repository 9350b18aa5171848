package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// simulated runs the command in virtual time; interrupt, if not 0, is when Ctrl-C is
// pressed.
func simulated(t *testing.T, interrupt time.Duration) (stdout, stderr string, code int) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 1)
		var out, errs bytes.Buffer
		p := &program{
			stdout: &out, stderr: &errs,
			signals: func() (<-chan os.Signal, func()) { return signals, func() {} },
		}
		if interrupt > 0 {
			time.AfterFunc(interrupt, func() { signals <- os.Interrupt })
		}
		code = p.run([]string{"runner", "simulate", "--runners", "10", "--capacity", "2", "--writing", "0.5", "--measure", "30s", "--outage", "20s", "--arrivals", "5"})
		stdout, stderr = out.String(), errs.String()
		synctest.Wait()
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in TMPDIR: %v, %v", left, err)
	}
	return stdout, stderr, code
}

func TestSimulate(t *testing.T) {
	stdout, stderr, code := simulated(t, 0)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"10 runners, 2 jobs each, 50 % of the jobs write", "floor of the settings      7.3", "peak after 20s away", "of 10,000 runners", "longest"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the output lacks %q:\n%s", want, stdout)
		}
	}
	if n := strings.Count(stderr, "\n"); n != 4 || !strings.Contains(stderr, "the idle fleet, woken by webhooks: ") {
		t.Errorf("the progress:\n%s", stderr)
	}
}

func TestSimulateIsInterrupted(t *testing.T) {
	stdout, stderr, code := simulated(t, 20*time.Second)
	if code != exitInterrupted || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit code %d, output %q, %q", code, stdout, stderr)
	}
}
