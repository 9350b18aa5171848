//go:build patched

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"otelrunner/sandbox/wasm/guest/shell"
	"otelrunner/sandbox/wasm/guest/tool"
	"otelrunner/sandbox/wasm/guest/tools"
)

// BenchmarkLoop is a thousand turns of a counting loop.
func BenchmarkLoop(b *testing.B) {
	sh := shell.New(tools.All(), nil)
	b.ReportAllocs()
	for b.Loop() {
		var out bytes.Buffer
		sh.Main(context.Background(), []string{"sh", "-c", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done"}, tool.Streams{
			Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Dir: "/", Env: nil,
		})
	}
}
