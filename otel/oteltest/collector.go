// Package oteltest is what telemetry is tested with: other programs, and recorders.
package oteltest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// Collector is the path of a real OpenTelemetry collector: RUNNER_OTELCOL, or what
// .ci/otelcol/build has built. root is the repository's folder. An error says how
// to get one.
func Collector(root string) (string, error) {
	name := os.Getenv("RUNNER_OTELCOL")
	if name == "" {
		var err error
		if name, err = cached(filepath.Join(root, ".ci", "otelcol")); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(name); err != nil {
		return "", fmt.Errorf("no collector to test with: run .ci/otelcol/build once, or set RUNNER_OTELCOL: %w", err)
	}
	return name, nil
}

// cached is where the script builds the collector that a folder describes.
func cached(dir string) (string, error) {
	sum := sha256.New()
	for _, name := range []string{"builder.yaml", "go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("read what describes the collector: %w", err)
		}
		sum.Write(data)
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the collector: %w", err)
		}
		cache = filepath.Join(home, ".cache")
	}
	return filepath.Join(cache, "otelrunner", "tools", "otelcol-"+hex.EncodeToString(sum.Sum(nil))[:12]), nil
}
