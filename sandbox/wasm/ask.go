package wasm

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"

	"otelrunner/sandbox/wasm/rootfs"
)

// askPrefix begins the environment variables by which a step, or its job or
// workflow, asks for lower limits than the operator's.
const askPrefix = "SANDBOX_LIMIT_"

// deterministicVariable asks for a clock and randomness that are the same in
// every run.
const deterministicVariable = "SANDBOX_DETERMINISTIC"

// an askable is a limit that a workflow can lower.
type askable struct {
	set   func(l *Limits, n int64)
	parse func(text string) (int64, error)
	show  func(n int64) string
}

// askables are those limits, by what follows askPrefix.
func askables() map[string]askable {
	duration := func(of func(*Limits) *time.Duration) askable {
		return askable{
			func(l *Limits, n int64) { *of(l) = time.Duration(n) }, parseDuration,
			func(n int64) string { return time.Duration(n).String() },
		}
	}
	size := func(of func(*Limits) *int64) askable {
		return askable{func(l *Limits, n int64) { *of(l) = n }, parseSize, rootfs.Size}
	}
	count := func(of func(*Limits) *int64) askable {
		return askable{func(l *Limits, n int64) { *of(l) = n }, parseCount, func(n int64) string { return strconv.FormatInt(n, 10) }}
	}
	return map[string]askable{
		"TIME":           duration(func(l *Limits) *time.Duration { return &l.Wall }),
		"CPU":            duration(func(l *Limits) *time.Duration { return &l.CPU }),
		"MEMORY":         size(func(l *Limits) *int64 { return &l.Memory }),
		"OUTPUT":         size(func(l *Limits) *int64 { return &l.Output }),
		"DISK":           size(func(l *Limits) *int64 { return &l.Disk }),
		"FILE_SIZE":      size(func(l *Limits) *int64 { return &l.FileSize }),
		"MODULE_SIZE":    size(func(l *Limits) *int64 { return &l.ModuleSize }),
		"FILES":          count(func(l *Limits) *int64 { return &l.Files }),
		"OPEN_FILES":     count(func(l *Limits) *int64 { return &l.OpenFiles }),
		"PROGRAMS":       count(func(l *Limits) *int64 { return &l.Children }),
		"FUEL":           count(func(l *Limits) *int64 { return &l.Fuel }),
		"TABLE_ELEMENTS": count(func(l *Limits) *int64 { return &l.TableElements }),
	}
}

// lowered is what a step's environment asks for.
type lowered struct {
	limits        Limits // 0 where nothing was asked for
	told          []string
	deterministic bool
}

// asked reads what an environment asks for. Its error is for the workflow's author.
func asked(env map[string]string) (lowered, error) {
	var out lowered
	known := askables()
	for _, name := range slices.Sorted(maps.Keys(env)) {
		key, ok := strings.CutPrefix(name, askPrefix)
		if !ok || env[name] == "" {
			continue
		}
		a, ok := known[key]
		if !ok {
			return out, fmt.Errorf("the environment variable %s asks for a limit that there is not; there are %s%s",
				name, askPrefix, strings.Join(slices.Sorted(maps.Keys(known)), ", "+askPrefix))
		}
		n, err := a.parse(strings.TrimSpace(env[name]))
		if err != nil {
			return out, fmt.Errorf("the environment variable %s: %w", name, err)
		}
		a.set(&out.limits, n)
		out.told = append(out.told, strings.ToLower(strings.ReplaceAll(key, "_", " "))+" "+a.show(n))
	}
	switch text := env[deterministicVariable]; strings.ToLower(text) {
	case "", "false":
	case "true":
		out.deterministic = true
	default:
		return out, fmt.Errorf("the environment variable %s: expected true or false, found %q", deterministicVariable, text)
	}
	return out, nil
}

func parseDuration(text string) (int64, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no time above 0: expected one like 500ms, 30s or 5m", text)
	}
	return int64(d), nil
}

func parseSize(text string) (int64, error) {
	n, err := units.RAMInBytes(text)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is no size above 0: expected one like 64m or 1g", text)
	}
	return n, nil
}

func parseCount(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q is no whole number above 0", text)
	}
	return n, nil
}
