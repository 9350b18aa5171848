// Command toolbox is the shell of the WASM sandbox and its commands in one
// program: a bash-compatible shell and what scripts expect beside it. It runs
// as a WebAssembly module under WASI preview 1, and natively for its tests.
//
// It is the command that argv[0] names; as toolbox it is the command of its
// first argument. Build it with `go run ./build -o toolbox.wasm`.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"otelrunner/sandbox/wasm/guest/shell"
	"otelrunner/sandbox/wasm/guest/tool"
	"otelrunner/sandbox/wasm/guest/tools"
)

func main() {
	// Collecting garbage stops the module's one thread; a sandbox has memory to
	// spare, up to a point.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(192 << 20)
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	sh := shell.New(tools.All(), spawner())
	os.Exit(sh.Main(context.Background(), os.Args, tool.Streams{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Dir: dir, Env: os.Environ(),
	}))
}
