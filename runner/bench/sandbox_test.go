//go:build bench

package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"otelrunner/runner/config"
	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	"otelrunner/sandbox/wasm/toolbox"
	w "otelrunner/sandbox/wasm/wasmtest"
	"otelrunner/sandbox/wasm/worker"
)

// TestMain is a WASM worker or a collector where it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == worker.Argument {
		os.Exit(wasm.WorkerMain())
	}
	if len(os.Args) > 1 && os.Args[1] == sinkArgument {
		os.Exit(serveSink())
	}
	os.Exit(m.Run())
}

// wasmSteps is what jobs and steps cost in the WASM sandbox.
func wasmSteps(t *testing.T, row printer) {
	if !toolbox.There() {
		row("WASM sandbox | not measured: no toolbox (make toolbox) | | ")
		return
	}
	dir := t.TempDir()
	p, err := wasm.New(wasm.Options{Root: dir, Toolbox: toolbox.Module, Commands: toolbox.Commands(), NoSpare: true})
	must(t, err)
	defer func() { must(t, p.Close()) }()
	must(t, p.Warm(t.Context()))
	box, err := p.Open(t.Context(), sandbox.Spec{ID: "bench", Repository: "bench/work"})
	must(t, err)
	step := func(args ...string) time.Duration {
		var said bytes.Buffer
		start := time.Now()
		res, err := box.Run(t.Context(), &sandbox.Command{Args: args, Stdout: &said, Stderr: &said})
		took := time.Since(start)
		must(t, err)
		if res.ExitCode != 0 {
			t.Fatalf("%q: exit code %d: %s", args, res.ExitCode, said.String())
		}
		return took
	}
	const rounds = 50_000_000
	must(t, box.WriteFiles(t.Context(), []sandbox.File{{Path: "small.wasm", Data: smallModule()}, {Path: "hot.wasm", Data: hotModule(rounds)}}))
	step("./small.wasm")
	step("./hot.wasm")

	process := median(50, func() time.Duration { return timed(t, exec.Command("true")) })
	module := median(200, func() time.Duration { return step("./small.wasm") })
	row("WASM: step of a small module, warm worker | %v | ≤ 5ms; %v (fork+exec true) | %.2f", round(module), round(process), ratio(module, 5*time.Millisecond))
	bash := median(20, func() time.Duration { return timed(t, exec.Command("bash", "-c", "true")) })
	shell := median(50, func() time.Duration { return step("sh", "-c", "true") })
	row("WASM: step of the shell, warm worker | %v | ≤ 25ms; %v (bash -c true) | %.2f", round(shell), round(bash), ratio(shell, 25*time.Millisecond))

	free, hot := inTurns(15, unlimited(t, hotModule(rounds)), func() time.Duration { return step("./hot.wasm") })
	row("WASM: %d rounds of a hot loop under all limits | %v | ≤ 1.10; %v (the engine alone) | %.2f", rounds, round(hot), round(free), ratio(hot-module, free))

	fuel, err := wasm.New(wasm.Options{Root: dir, Limits: wasm.Limits{Fuel: 1 << 40}, NoSpare: true})
	must(t, err)
	defer func() { must(t, fuel.Close()) }()
	plain := box
	fueled, err := fuel.Open(t.Context(), sandbox.Spec{ID: "fuel", Repository: "bench/work"})
	must(t, err)
	box = fueled
	must(t, box.WriteFiles(t.Context(), []sandbox.File{{Path: "hot.wasm", Data: hotModule(rounds)}}))
	step("./hot.wasm")
	hot, counted := inTurns(7,
		func() time.Duration { box = plain; return step("./hot.wasm") },
		func() time.Duration { box = fueled; return step("./hot.wasm") })
	row("WASM: the same, with fuel counted | %v | ; %v (without) | %.2f", round(counted), round(hot), ratio(counted, hot))
	must(t, fueled.Close(context.Background()))
	box = plain

	before := memoryOf(t)
	for range 1000 {
		step("./small.wasm")
	}
	after := memoryOf(t)
	row("WASM: 1,000 steps in a job, resident memory of its worker | %.1f → %.1f MB | no growth | %.2f", before, after, after/before)
	must(t, box.Close(context.Background()))

	d := newDaemonOf(t, "wasm", func(c *config.Config) { c.Sandbox.Dir = dir })
	defer d.stop()
	_, _ = d.job(t, steps("true"))
	whole := median(9, func() time.Duration {
		time.Sleep(1500 * time.Millisecond) // the next worker gets ready, as between jobs
		took, _ := d.job(t, steps("true"))
		return took
	})
	row("WASM: job, 1 step of the shell, hand-out to final state | %v | ≤ 60ms | %.2f", round(whole), ratio(whole, 60*time.Millisecond))
}

// smallModule prints a line.
func smallModule() []byte {
	m := w.Module{Imports: []w.Import{w.WASI("fd_write", 4)}, Pages: 2, Data: []w.Data{{At: 1024, Data: []byte("hello\n")}}}
	m.Funcs = []w.Func{{Body: w.Cat(w.Const(0), w.Const(1024), w.Store(), w.Const(4), w.Const(6), w.Store(),
		w.Const(1), w.Const(0), w.Const(1), w.Const(8), w.Call(0), w.Drop())}}
	return m.Bytes()
}

// hotModule counts down, with loads and stores.
func hotModule(rounds int32) []byte {
	body := w.Cat(w.Const(rounds), w.Set(0),
		w.While(w.Const(64), w.Const(64), w.Load(), w.Get(0), w.Add(), w.Store(), w.Get(0), w.Const(1), w.Sub(), w.Tee(0)))
	m := w.Module{Pages: 2, Funcs: []w.Func{{Locals: 1, Body: body}}}
	return m.Bytes()
}

// unlimited gives what runs a module by the engine in this process.
func unlimited(t *testing.T, module []byte) func() time.Duration {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { must(t, r.Close(ctx)) })
	_, err := wasi_snapshot_preview1.Instantiate(ctx, r)
	must(t, err)
	compiled, err := r.CompileModule(ctx, module)
	must(t, err)
	return func() time.Duration {
		start := time.Now()
		m, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithName(""))
		took := time.Since(start)
		must(t, err)
		must(t, m.Close(ctx))
		return took
	}
}

// memoryOf is the resident memory of this process's largest child, the worker, in
// MB.
func memoryOf(t *testing.T) float64 {
	t.Helper()
	largest := 0.0
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, name := range tasks {
		data, _ := os.ReadFile(name)
		for _, pid := range strings.Fields(string(data)) {
			status, _ := os.ReadFile("/proc/" + pid + "/status")
			for line := range strings.Lines(string(status)) {
				var kib int
				if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kib); n == 1 {
					largest = max(largest, float64(kib)/1000)
				}
			}
		}
	}
	return largest
}

// TestSandbox prints the rows of the WASM sandbox alone.
func TestSandbox(t *testing.T) {
	wasmSteps(t, func(format string, args ...any) { t.Logf(format, args...) })
}
