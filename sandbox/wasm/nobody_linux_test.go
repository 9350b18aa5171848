package wasm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"otelrunner/sandbox/wasm/wasmtest"
)

// TestAsNobody runs the tests of the jail again as an unprivileged user: root
// would pass some for the wrong reason.
func TestAsNobody(t *testing.T) {
	const nobody = 65534
	if os.Getuid() != 0 {
		t.Skip("already unprivileged")
	}
	dir, err := os.MkdirTemp("", "nobody-") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "wasm.test")
	if err := os.WriteFile(self, program, 0o755); err != nil { //nolint:gosec // nobody executes it
		t.Fatal(err)
	}
	for _, name := range []string{dir, self} {
		if err := os.Chown(name, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.run", "TestJail|TestRun|TestKilled|TestHostile/(endless|more|20|a_full|a_link|/)") //nolint:gosec // this test
	cmd.Env = []string{"TMPDIR=" + dir, "HOME=" + dir, wasmtest.WorkerVariable + "=" + workerProgram}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
