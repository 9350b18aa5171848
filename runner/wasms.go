package runner

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"otelrunner/runner/config"
	"otelrunner/runner/label"
	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/toolbox"
)

// wasms is a runner's WASM sandbox. It is made when the first job, or a wasm
// label, needs it: a runner that has nothing to do with WebAssembly makes no
// folder and starts no process.
type wasms struct {
	wanted   bool // by a label
	log      *slog.Logger
	root     string
	provider func() (*wasm.Provider, error)

	mu     sync.Mutex
	opened *wasm.Provider
}

// newWasms makes nothing yet. change, which may be nil, has the last word on what
// is made.
func newWasms(cfg *config.Config, labels label.List, turns *wasm.Turns, change func(*wasm.Options), log *slog.Logger) *wasms {
	w := &wasms{
		log: log, root: sandboxDir(cfg),
		wanted: wantsWasm(cfg, labels),
	}
	w.provider = sync.OnceValues(func() (*wasm.Provider, error) {
		o := wasmOptions(cfg, log)
		o.Turns = turns
		o.NoSpare = !w.wanted // there is no next job to be ready for
		if change != nil {
			change(&o)
		}
		p, err := wasm.New(o)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.opened = p
		return p, nil
	})
	return w
}

// wantsWasm reports whether the runner is to be ready for WASM jobs.
func wantsWasm(cfg *config.Config, labels label.List) bool {
	return wasmOnly(cfg) || slices.ContainsFunc(labels, func(l label.Label) bool { return l.Scheme == label.Wasm })
}

// wasmOptions are the configuration's.
func wasmOptions(cfg *config.Config, log *slog.Logger) wasm.Options {
	c := &cfg.Sandbox
	o := wasm.Options{Root: sandboxDir(cfg), CompiledSize: int64(c.CompiledSize), Limits: wasmLimits(c), Deterministic: c.Deterministic, Log: log, Mode: c.Mode}
	o.Only = wasmOnly(cfg)
	o.Secure = o.Only && !c.AllowWeak
	o.Network = networkOf(cfg, log)
	if !toolbox.There() { // modules run without it
		log.Warn("jobs of wasm labels can run WebAssembly modules and no scripts: " + toolbox.Missing)
		return o
	}
	o.Toolbox, o.Commands = toolbox.Module, toolbox.Commands()
	return o
}

// wasmLimits are the operator's.
func wasmLimits(c *config.Sandbox) wasm.Limits {
	return wasm.Limits{
		Wall: c.Time, CPU: c.CPU, Compile: c.CompileTime,
		Memory: int64(c.Memory), Output: int64(c.Output), Disk: int64(c.Disk), FileSize: int64(c.FileSize), ModuleSize: int64(c.ModuleSize),
		OpenFiles: int64(c.OpenFiles), Files: int64(c.Files), TableElements: int64(c.TableElements), Children: int64(c.Programs), Fuel: int64(c.Fuel),
	}
}

// sandboxDir is the folder of the WASM sandbox.
func sandboxDir(cfg *config.Config) string {
	if cfg.Sandbox.Dir != "" {
		return cfg.Sandbox.Dir
	}
	return filepath.Join(cacheDir(), "wasm")
}

// cacheDir is our folder in the user's cache.
func cacheDir() string {
	cache, err := os.UserCacheDir()
	if err != nil { // no HOME, as under some service managers
		cache = filepath.Join(os.TempDir(), fmt.Sprintf("otelrunner-%d", os.Getuid()))
	}
	return filepath.Join(cache, "otelrunner")
}

// Open implements sandbox.Provider.
func (w *wasms) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	p, err := w.provider()
	if err != nil {
		return nil, err
	}
	return p.Open(ctx, spec)
}

// sweep removes what dead runners have left of WASM jobs, also if this one will have
// none.
func (w *wasms) sweep() error {
	n, err := wasm.Sweep(w.root)
	if n > 0 {
		w.log.Info("what dead runners left of WASM jobs is removed", "runners", n)
	}
	if err != nil {
		w.log.Warn("what a dead runner left of WASM jobs could not be removed; the next start tries again", "error", err)
	}
	return err
}

// start makes the WASM sandbox of a runner that has wasm labels: its shell is
// compiled, and a worker is ready, when it returns.
func (w *wasms) start(ctx context.Context) error {
	if !w.wanted {
		return nil
	}
	p, err := w.provider()
	if err != nil {
		return err
	}
	return p.Warm(ctx)
}

// retire ends what is kept ready. Jobs go on.
func (w *wasms) retire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.opened == nil {
		return
	}
	if err := w.opened.Cool(); err != nil {
		w.log.Warn("end the WASM worker that was kept ready", "error", err)
	}
}

// close ends what is kept ready. No job may be running.
func (w *wasms) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.opened == nil {
		return
	}
	if err := w.opened.Close(); err != nil {
		w.log.Warn("end the WASM sandbox", "error", err)
	}
}
