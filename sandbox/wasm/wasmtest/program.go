package wasmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/tetratelabs/wazero"
)

// WorkerVariable names a worker program that was built before: a test binary that
// is executed again, as another user say, is told by it.
const WorkerVariable = "OTELRUNNER_TEST_WASM_WORKER"

// BuildWorker builds the program that tests start as worker, for Options.Command,
// and returns its name and what removes it. It is for TestMain.
//
// Workers are built as they are released, without cgo and without the race
// detector: the detector's shadow memory does not fit under the limits of address
// space that are tested, it slows the compiling of a module six times, and with
// cgo a worker has no PID namespace. What the packages of the worker do at once is
// tested with the detector in those packages.
func BuildWorker() (name string, remove func(), err error) {
	if name := os.Getenv(WorkerVariable); name != "" {
		return name, func() {}, nil
	}
	dir, err := os.MkdirTemp("", "otelrunner-worker-")
	if err != nil {
		return "", nil, fmt.Errorf("make a folder for the WASM worker of the tests: %w", err)
	}
	remove = func() { _ = os.RemoveAll(dir) }
	name = filepath.Join(dir, "worker")
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	version, err := engineVersion()
	if err != nil {
		remove()
		return "", nil, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", //nolint:gosec,noctx // a test's own program
		"-ldflags=-X=github.com/tetratelabs/wazero/internal/version.version="+version,
		"-o", name, "otelrunner/sandbox/wasm/wasmtest/worker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("build the WASM worker of the tests: %w\n%s", err, out)
	}
	// Other users execute it too.
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // as said
		remove()
		return "", nil, fmt.Errorf("open the folder of the WASM worker of the tests: %w", err)
	}
	return name, remove, nil
}

// engineVersion is the version that the engine in this program takes itself for. It
// names the folder of compiled modules, which runner and worker must agree on; a
// test binary has no versions in it where another program has them.
func engineVersion() (string, error) {
	dir, err := os.MkdirTemp("", "otelrunner-engine-")
	if err != nil {
		return "", fmt.Errorf("find the version of the WASM engine: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := wazero.NewCompilationCacheWithDir(dir); err != nil {
		return "", fmt.Errorf("find the version of the WASM engine: %w", err)
	}
	found, err := filepath.Glob(filepath.Join(dir, "wazero-*-"+runtime.GOARCH+"-"+runtime.GOOS))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("find the version of the WASM engine: it made %d folders of its name, want 1 (%w)", len(found), err)
	}
	version := strings.TrimPrefix(filepath.Base(found[0]), "wazero-")
	return strings.TrimSuffix(version, "-"+runtime.GOARCH+"-"+runtime.GOOS), nil
}

// CacheDir is a folder for the compiled modules of tests, for Options.Cache: the
// shell takes seconds to compile, and its code is the same for every test of one
// worker program.
func CacheDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the compiled modules of the tests: %w", err)
	}
	return filepath.Join(cache, "otelrunner", "test-wasm"), nil
}
