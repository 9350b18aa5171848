//go:build !wasip1

package main

import "otelrunner/sandbox/wasm/guest/shell"

// spawner is absent: outside a sandbox nothing runs modules.
func spawner() shell.Spawner { return nil }
