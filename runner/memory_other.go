//go:build !linux

package runner

import "runtime/debug"

// giveMemoryBack returns free heap to the system.
func giveMemoryBack() { debug.FreeOSMemory() }
