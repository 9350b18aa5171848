package runner

import (
	"log/slog"

	"otelrunner/runner/config"
	"otelrunner/sandbox/wasm"
)

// NewModuleSandbox makes the WASM sandbox of a terminal's command: without a shell
// and a spare worker, with the configuration's limits where limits has none. Its
// Close has to be called.
func NewModuleSandbox(cfg *config.Config, limits wasm.Limits, log slog.Handler) (*wasm.Provider, error) {
	return wasm.New(wasm.Options{
		Root: sandboxDir(cfg), Limits: limits.Or(ModuleLimits(cfg)), NoSpare: true,
		Deterministic: cfg.Sandbox.Deterministic, Log: slog.New(log),
	})
}

// ModuleLimits are the configuration's limits of the WASM sandbox.
func ModuleLimits(cfg *config.Config) wasm.Limits { return wasmLimits(&cfg.Sandbox) }
