package wasm

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestGroupMemory reads the limits of control groups, of both versions.
func TestGroupMemory(t *testing.T) {
	mounts := t.TempDir()
	for name, text := range map[string]string{
		"memory.max":                               "max\n",
		"system.slice/memory.max":                  "4294967296\n",
		"system.slice/runner.service/memory.max":   "8589934592\n",
		"system.slice/other.service/memory.max":    "1048576\n",
		"memory/docker/0123/memory.limit_in_bytes": "3221225472\n",
		"memory/memory.limit_in_bytes":             "9223372036854771712\n",
	} {
		name = filepath.Join(mounts, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]uint64{
		"0::/system.slice/runner.service\n": 4 << 30, // that of the group around it
		"0::/\n":                            math.MaxUint64,
		"0::/gone\n":                        math.MaxUint64,
		"12:cpu,cpuacct:/docker/0123\n11:memory:/docker/0123\n1:name=systemd:/docker/0123\n": 3 << 30,
		"": math.MaxUint64, "nonsense\n1:2\n": math.MaxUint64,
	} {
		if got := groupMemory(mounts, text); got != want {
			t.Errorf("%q: %d bytes, want %d", text, got, want)
		}
	}
	if machineMemory() == 0 {
		t.Error("this machine's memory is not known")
	}
}
