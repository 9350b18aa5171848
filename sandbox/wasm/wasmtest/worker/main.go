// Command worker is the program that tests start as WASM worker: nothing but the
// worker, as a released runner has it, whatever the tests themselves are built with.
package main

import (
	"os"

	"otelrunner/sandbox/wasm"
)

func main() { os.Exit(wasm.WorkerMain()) }
