package wasm

import (
	"fmt"
	"strings"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/wire"
	"otelrunner/sandbox/wasm/worker"
)

// Denied begins the lines of Result.Details that say what a step was denied.
const Denied = "Denied: "

// maxDenied bounds those lines.
const maxDenied = 20

// report is what the log says of a step after it: what ran, under which limits,
// what it used, and what it was denied.
func (b *box) report(module string, out wire.Outcome, step wire.Step, asks lowered) []string {
	var lines []string
	if module != "" {
		name := "the shell"
		if step.Module != "" {
			name = worker.Plain(step.Module)
		}
		lines = append(lines, fmt.Sprintf("Module: sha256:%s (%s)", module, name))
	}
	if len(asks.told) > 0 {
		lines = append(lines, "Limits that the workflow asked for: "+strings.Join(asks.told, ", ")+"; the operator's hold where they are lower")
	}
	used := fmt.Sprintf("Used: %v of CPU time", out.CPU.Round(100*time.Microsecond))
	if out.PeakMemory > 0 {
		used += ", " + rootfs.Size(out.PeakMemory) + " of memory at its peak"
	}
	if out.Written.Bytes > 0 || out.Written.Files > 0 {
		used += fmt.Sprintf("; wrote %s; files, folders and links made: %d", rootfs.Size(out.Written.Bytes), out.Written.Files)
	}
	if out.Holds == nil && out.Refused == "" {
		used += "; all but the CPU time as of a moment before it was killed"
	}
	lines = append(lines, used)
	for _, line := range out.Denied[:min(len(out.Denied), maxDenied)] {
		lines = append(lines, Denied+worker.Plain(line))
	}
	return lines
}

// spell is a duration as people write it: 6h and not 6h0m0s.
func spell(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// trapped writes to a command's stderr what it trapped with.
func trapped(out wire.Outcome, c *sandbox.Command) {
	if out.Trap != "" && c.Stderr != nil {
		_, _ = fmt.Fprintf(c.Stderr, "%s: %s\n", worker.Plain(c.Args[0]), worker.Plain(out.Trap))
	}
}
