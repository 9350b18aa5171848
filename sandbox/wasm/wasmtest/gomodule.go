package wasmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// BuildProbe builds the program of the folder probe for wasip1 with the go tool and
// returns the module.
func BuildProbe() ([]byte, error) { return BuildGo("otelrunner/sandbox/wasm/wasmtest/probe") }

// BuildGo builds a Go program for wasip1 and returns the module. pkg is an import
// path of this module, or a Go file.
func BuildGo(pkg string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "otelrunner-wasip1-")
	if err != nil {
		return nil, fmt.Errorf("build %s for wasip1: %w", pkg, err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := filepath.Join(dir, "program.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", name, pkg) //nolint:gosec,noctx // a test's own program
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build %s for wasip1: %w\n%s", pkg, err, out)
	}
	return os.ReadFile(name) //nolint:wrapcheck // it was just written
}
