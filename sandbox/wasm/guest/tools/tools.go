// Package tools holds the toolbox's commands, a family of them a file.
package tools

import "otelrunner/sandbox/wasm/guest/tool"

// All returns every command.
func All() []*tool.Tool {
	var all []*tool.Tool
	for _, family := range [][]*tool.Tool{
		textTools(),
	} {
		all = append(all, family...)
	}
	return all
}
