// Package tools holds the toolbox's commands, a family of them a file.
package tools

import (
	"slices"

	"otelrunner/sandbox/wasm/guest/tool"
)

// All returns every command.
func All() []*tool.Tool {
	return slices.Concat(
		textTools(), lineTools(), sortTools(), grepTools(), sedTools(), languageTools(),
		compareTools(), bytesTools(), hashTools(), fileTools(), listTools(), findTools(),
		archiveTools(), systemTools(), runTools(), exprTools(),
	)
}
