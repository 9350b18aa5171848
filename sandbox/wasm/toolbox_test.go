package wasm_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/sandboxtest"
	"otelrunner/sandbox/wasm"
)

// toolbox is the shell, where `make toolbox` has built it; TOOLBOX names another
// file.
func toolbox(t testing.TB) []byte {
	t.Helper()
	name := os.Getenv("TOOLBOX")
	if name == "" {
		name = "toolbox/toolbox.wasm.gz"
	}
	data, err := os.ReadFile(name)
	if bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(data)); err == nil {
			data, err = io.ReadAll(r)
		}
	}
	if err != nil || !bytes.HasPrefix(data, []byte("\x00asm")) {
		t.Skip("no toolbox: make toolbox builds it")
	}
	return data
}

// TestConformance runs the suite that every sandbox passes, by the shell.
func TestConformance(t *testing.T) {
	box := toolbox(t)
	root := t.TempDir() // one cache for all
	sandboxtest.Run(t, sandboxtest.Harness{
		NoProcesses: true, NoSetsid: true, NoModes: true, // WASI has none of them
		Provider: func(t *testing.T) sandbox.Provider {
			return newProvider(t, func(o *wasm.Options) {
				o.Root, o.Toolbox, o.Limits.Memory = root, box, 512<<20
			})
		},
	})
}

// BenchmarkShell is a step of the shell over a warm worker.
func BenchmarkShell(b *testing.B) {
	box := toolbox(b)
	j := open(b, newProvider(b, func(o *wasm.Options) { o.Toolbox, o.Limits.Memory, o.Limits.Wall = box, 512<<20, time.Minute }))
	for b.Loop() {
		if _, err := j.Run(b.Context(), &sandbox.Command{Args: []string{"sh", "-c", "echo hello"}}); err != nil {
			b.Fatal(err)
		}
	}
}
