//go:build !linux

package wasm

// machineMemory is not known here.
func machineMemory() uint64 { return 0 }
