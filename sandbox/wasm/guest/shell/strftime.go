package shell

import (
	"time"

	"otelrunner/sandbox/wasm/guest/tool"
)

// Strftime formats a time by C's conversions.
func Strftime(t time.Time, format string) string {
	if format == "" {
		format = "%X"
	}
	return tool.Strftime(t, format)
}
