package report

import runnerv1 "code.gitea.io/actions-proto-go/runner/v1"

// Maskable is maskable, for the fuzzer.
func Maskable(v string) bool { return maskable(v) }

// RowBytes is rowBytes.
func RowBytes(r *runnerv1.LogRow) int { return rowBytes(r) }

// Bounds.
const (
	MaxRow     = maxRow
	MaxRequest = maxRequest
)
