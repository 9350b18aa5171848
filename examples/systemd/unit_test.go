// Package systemd_test checks the unit as systemd does.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const unit = "otelrunner.service"

func TestUnitIsVerified(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIP the check of the systemd unit: there is no systemd-analyze")
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(name, text string) string {
		t.Helper()
		// The program need not be installed here, something must be.
		text = strings.ReplaceAll(text, "/usr/local/bin/runner", "/bin/true")
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// It fails for errors, and only says what it does not know.
		out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", "--recursive-errors=no", file).CombinedOutput()
		said := ""
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, name) { // and not of units of this machine
				said += line
			}
		}
		if err != nil && said == "" {
			said = string(out) + err.Error()
		}
		return said
	}
	if said := verify("good.service", string(text)); said != "" {
		t.Errorf("systemd-analyze says: %s", said)
	}
	for what, change := range map[string][2]string{
		"an unknown key":   {"KillMode=mixed", "KilMode=mixed"},
		"a bad value":      {"TimeoutStopSec=30min", "TimeoutStopSec=long"},
		"no such program":  {"ExecStart=/usr/local/bin/runner", "ExecStart=/nowhere/runner"},
		"a section amiss":  {"[Service]", "[Servic]"},
		"a type amiss":     {"Type=notify\n", "Type=notifi\n"},
		"an exit code > 9": {"RestartPreventExitStatus=2 3", "RestartPreventExitStatus=two"},
	} {
		if said := verify("bad.service", strings.Replace(string(text), change[0], change[1], 1)); said == "" {
			t.Errorf("%s is not noticed", what)
		}
	}
}

// What the unit promises of the runner, which systemd cannot know.
func TestUnitFitsTheRunner(t *testing.T) {
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nType=notify\n", "\nWatchdogSec=", "\nExecReload=/bin/kill -HUP $MAINPID\n",
		"\nRestartPreventExitStatus=2 3\n", "\nKillMode=mixed\n", "\nDelegate=yes\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
}
