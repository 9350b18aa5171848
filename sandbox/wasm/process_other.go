//go:build !linux

package wasm

import (
	"os/exec"
	"time"
)

// Other systems have no jail: the worker keeps the limits that it can by itself.
func isolate(*exec.Cmd, bool) {}

const canNamespace = false

func (w *process) limit(Limits) error { return nil }
func (w *process) cpu() time.Duration { return 0 }
func (w *process) cpuLimitHit() bool  { return false }
func dataSize(int) int64              { return 0 }

const namespaceNames = ""
