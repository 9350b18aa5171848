package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"otelrunner/sandbox/wasm/toolbox"
)

// TestDemo runs the program: it is its own WASM worker, which a test's is not.
func TestDemo(t *testing.T) {
	if !toolbox.There() {
		t.Skip("no toolbox: make toolbox builds it")
	}
	program := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), program).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"the answer is 42", "the password is ***", "result success", `act_runner_job_total{status="success"} 1`,
		"Network: none", "No such file or directory", "CPU limit of 300ms reached",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the demo does not show %q:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "root:x:0:0") {
		t.Error("the demo's job has read this machine's /etc/passwd")
	}
}
