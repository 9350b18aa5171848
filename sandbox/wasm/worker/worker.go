// Package worker is the process in which guests run: the runner executed again
// with an empty environment and three pipes. It jails itself, loads the toolbox,
// and runs one program after the other as the runner tells it over stdin. It
// belongs to one job and trusts nobody but the runner.
package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"otelrunner/sandbox/wasm/jail"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/wire"
)

// Argument is the first argument of a process that is a worker.
const Argument = "__wasm-worker"

// Main is a worker's whole life; it returns the process's exit code. It ends when
// the runner closes its stdin.
func Main() int {
	// stderr is for what the Go runtime says when it dies; the runner reads its
	// last lines.
	conn := wire.NewConn(os.Stdin, os.Stdout)
	if err := serve(conn); err != nil {
		fmt.Fprintln(os.Stderr, "WASM worker:", err)
		return 1
	}
	return 0
}

// worker is the state of the process.
type worker struct {
	conn    *wire.Conn
	setup   wire.Setup
	runtime wazero.Runtime
	cache   wazero.CompilationCache
	quota   *rootfs.Quota
	mounts  []mount

	loading sync.Mutex         // held while a module is asked for
	modules map[string]*loaded // by the SHA-256 of what the guest's file holds
	toolbox *loaded

	stdin    chan []byte
	verdicts chan wire.Verdict

	asking  sync.Mutex // held while a server is asked
	answers chan *wire.HTTPResponse
}

// mount is an open folder at a guest's path.
type mount struct {
	guest string
	fs    *rootfs.FS
}

// loaded is a module that can be instantiated, by several goroutines at a time.
type loaded struct {
	compiled wazero.CompiledModule
	ofGo     bool // made by the Go compiler
}

func serve(conn *wire.Conn) error {
	kind, payload, err := conn.Receive(0)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	w := &worker{conn: conn, modules: map[string]*loaded{}, stdin: make(chan []byte), verdicts: make(chan wire.Verdict), answers: make(chan *wire.HTTPResponse)}
	if err := decode(kind, wire.Init, payload, &w.setup); err != nil {
		return err
	}
	state, err := w.prepare()
	if err != nil {
		state.Error = err.Error()
	}
	if err := conn.SendJSON(wire.Ready, state); err != nil || state.Error != "" {
		return err
	}
	return w.loop()
}

func decode(kind, want wire.Kind, payload []byte, into any) error {
	if kind != want {
		return fmt.Errorf("the runner sent a frame of kind %d, want %d", kind, want)
	}
	if err := json.Unmarshal(payload, into); err != nil {
		return fmt.Errorf("decode the runner's message: %w", err)
	}
	return nil
}

// prepare opens the folders, enters the jail and makes the engine, in this order:
// the jail lets only these folders be opened, and no guest's byte is read before.
func (w *worker) prepare() (wire.State, error) {
	rules := jail.Rules{Secure: w.setup.Secure}
	if w.setup.Compile {
		rules.ReadWrite = []string{w.setup.Cache}
	} else {
		rules.ReadOnly = []string{w.setup.Cache}
		if err := w.openMounts(&rules); err != nil {
			return wire.State{}, err
		}
	}
	dieOfCPULimit()
	dieFirst()
	report, err := jail.Enter(rules)
	state := wire.State{Jail: report.InForce, Missing: report.Missing}
	if err != nil {
		return state, err
	}
	if w.setup.Compile {
		return state, nil
	}
	// Guests' memories lie outside of Go's heap; what is in it is small.
	debug.SetGCPercent(50)
	if w.cache, err = wazero.NewCompilationCacheWithDir(w.setup.Cache); err != nil {
		return state, fmt.Errorf("open the cache of compiled modules: %w", err)
	}
	ctx := context.Background()
	w.runtime = wazero.NewRuntimeWithConfig(ctx, runtimeConfig().WithCompilationCache(w.cache))
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, w.runtime); err != nil {
		return state, fmt.Errorf("make the WASI functions: %w", err)
	}
	if err := w.hostModule(ctx); err != nil {
		return state, err
	}
	if w.setup.Preload != "" {
		w.toolbox, err = w.load(ctx, w.setup.Preload)
	}
	return state, err
}

// runtimeConfig is the engine's configuration; the process that compiles and
// those that run must have the same, as the cache's keys depend on it.
func runtimeConfig() wazero.RuntimeConfig { return wazero.NewRuntimeConfig() }

func (w *worker) openMounts(rules *jail.Rules) error {
	w.quota = rootfs.NewQuota(rootfs.Limits{})
	mounts := append([]wire.Mount{{Host: w.setup.Root, Guest: "/"}}, w.setup.Mounts...)
	for _, m := range mounts {
		root, err := os.OpenRoot(m.Host)
		if err != nil {
			return fmt.Errorf("open the folder of guests' %s: %w", m.Guest, err)
		}
		if m.ReadOnly {
			rules.ReadOnly = append(rules.ReadOnly, m.Host)
		} else {
			rules.ReadWrite = append(rules.ReadWrite, m.Host)
		}
		w.mounts = append(w.mounts, mount{m.Guest, rootfs.New(root, w.quota, m.ReadOnly)})
	}
	return nil
}

// producedByGo is what Go's linker writes into a module's producers section, with
// the lengths of both texts, also where it writes no build id.
const producedByGo = "processed-by\x01\x0eGo cmd/compile"

// load reads a prepared module of the cache and gets its compiled form from
// there too.
func (w *worker) load(ctx context.Context, file string) (*loaded, error) {
	data, err := os.ReadFile(filepath.Join(w.setup.Cache, filepath.Base(file)))
	if err != nil {
		return nil, fmt.Errorf("read a module of the cache: %w", err)
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != strings.TrimSuffix(filepath.Base(file), ".wasm") {
		return nil, errors.New("a module in the cache is damaged: remove the cache's folder")
	}
	compiled, err := w.runtime.CompileModule(ctx, data)
	if err != nil {
		return nil, fmt.Errorf("load a compiled module: %w", err)
	}
	ofGo := bytes.Contains(data, []byte(producedByGo))
	return &loaded{compiled: compiled, ofGo: ofGo}, nil
}

// loop does what the runner says until it closes the pipe.
func (w *worker) loop() error {
	steps := make(chan func() wire.Outcome)
	defer close(steps)
	done := make(chan error, 1)
	go func() {
		for step := range steps {
			if err := w.conn.SendJSON(wire.Done, step()); err != nil {
				done <- err
				return
			}
		}
	}()
	for {
		kind, payload, err := w.conn.Receive(0)
		if errors.Is(err, io.EOF) {
			return nil // the process ends, and whatever runs in it
		}
		if err != nil {
			return err
		}
		if err := w.dispatch(kind, payload, steps, done); err != nil {
			return err
		}
	}
}

func (w *worker) dispatch(kind wire.Kind, payload []byte, steps chan<- func() wire.Outcome, done <-chan error) error {
	var do func() wire.Outcome
	switch kind {
	case wire.Run:
		var step wire.Step
		if err := decode(kind, wire.Run, payload, &step); err != nil {
			return err
		}
		do = func() wire.Outcome { return w.step(step) }
	case wire.Compile:
		do = func() wire.Outcome { return w.compile(payload) }
	case wire.Stdin:
		w.stdin <- payload
		return nil
	case wire.Module:
		var v wire.Verdict
		if err := decode(kind, wire.Module, payload, &v); err != nil {
			return err
		}
		w.verdicts <- v
		return nil
	case wire.HTTP:
		r := &wire.HTTPResponse{}
		if err := decode(kind, wire.HTTP, payload, r); err != nil {
			return err
		}
		w.answers <- r
		return nil
	default:
		return fmt.Errorf("the runner sent a frame of the unknown kind %d", kind)
	}
	select {
	case steps <- do:
		return nil
	case err := <-done:
		return err
	}
}

// compile compiles a module into the cache, which is a folder of this process
// alone.
func (w *worker) compile(data []byte) (out wire.Outcome) {
	ctx := context.Background()
	cache, err := wazero.NewCompilationCacheWithDir(w.setup.Cache)
	if err == nil {
		r := wazero.NewRuntimeWithConfig(ctx, runtimeConfig().WithCompilationCache(cache))
		_, err = r.CompileModule(ctx, data)
	}
	if err != nil {
		out.Refused = err.Error()
	}
	return out
}

// fsConfig mounts the guests' file system. Programs of Go know the folder where
// they start from PWD and use absolute paths; those of wasi-libc have no such
// folder, so that their / gets one (see rootfs.FS.Sub).
func (w *worker) fsConfig(dir string, ofGo bool) wazero.FSConfig {
	config := wazero.NewFSConfig().(sysfs.FSConfig) // documented
	var out wazero.FSConfig
	for _, m := range w.mounts {
		var fs sys.FS = m.fs
		if at, name, ok := w.lookup(dir); ok && m.guest == "/" && !ofGo {
			fs = m.fs.SubOf(at, name)
		}
		out = config.WithSysFSMount(fs, m.guest)
		config = out.(sysfs.FSConfig) // the same type
	}
	return out
}

// lookup finds the mount of an absolute guest path, and the path in it.
func (w *worker) lookup(name string) (*rootfs.FS, string, bool) {
	name = filepath.ToSlash(filepath.Clean("/" + name))
	var found *rootfs.FS
	rest, longest := "", -1
	for _, m := range w.mounts {
		prefix := strings.TrimSuffix(m.guest, "/")
		if len(prefix) > longest && (name == prefix || strings.HasPrefix(name, prefix+"/")) {
			found, rest, longest = m.fs, strings.TrimPrefix(name[len(prefix):], "/"), len(prefix)
		}
	}
	if rest == "" {
		rest = "."
	}
	return found, rest, found != nil
}
