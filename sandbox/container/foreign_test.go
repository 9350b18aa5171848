package container_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// A program for another architecture, as all are in an image for one: the job's
// container works, since its first process is the engine's kind, and the step says
// what is wrong where nothing emulates.
func TestForeignProgram(t *testing.T) {
	l := engine(t)
	foreign := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() { println(\"emulated\") }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "foreign"), filepath.Join(dir, "main.go"))
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+foreign)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "foreign"))
	if err != nil {
		t.Fatal(err)
	}
	spec := newSpec()
	spec.Image = l.image(t, map[string]string{"bin/foreign": string(program)})
	s := open(t, l.provider(t, container.Options{}), spec)
	res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"foreign"}})
	switch {
	case err == nil && res.ExitCode == 0:
		t.Log("this machine emulates " + foreign)
	case err == nil || !strings.Contains(err.Error(), "architecture"):
		t.Errorf("exit code %d, %v: want an error that tells of the architecture", res.ExitCode, err)
	}
	same(t, "the next step", sh(t, s, "echo works"), "works")
}
