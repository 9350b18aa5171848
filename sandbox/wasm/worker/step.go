package worker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	wexp "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/sys"

	"otelrunner/sandbox/wasm/module"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/toolbox"
	"otelrunner/sandbox/wasm/wire"
)

// Exit statuses that a shell would give.
const (
	exitTrap    = 134 // 128 + SIGABRT
	exitRefused = 126
	exitKilled  = 137 // 128 + SIGKILL
	exitPipe    = 141 // 128 + SIGPIPE
)

// run is one step: the first instance and those that it has started.
type run struct {
	w       *worker
	step    wire.Step
	memory  *memory
	running atomic.Int32 // instances other than the first

	outOfFuel atomic.Bool // of any instance

	instantiated atomic.Int64 // nanoseconds that the first one took to begin
}

// step runs one program to its end.
func (w *worker) step(s wire.Step) wire.Outcome {
	w.quota.Reset(s.Limits.Disk)
	w.quota.SetHolds(s.Holds)
	r := &run{w: w, step: s, memory: &memory{limit: s.Limits.Memory}}
	before := cpuTime()
	stop := r.tell()
	out := r.first()
	stop()
	out.Trap, out.Refused = clip(out.Trap), clip(out.Refused)
	out.CPU = cpuTime() - before
	out.Instantiate = time.Duration(r.instantiated.Load())
	out.PeakMemory = r.memory.peak.Load()
	out.Written = w.quota.Written()
	out.Denied = w.quota.Denied()
	holds := w.quota.Holds()
	out.Holds = &holds
	out.Used = !r.settled()
	if out.Exit != 0 && out.Limit == "" {
		// A limit is the reason of a failure, and no more than a refusal of a
		// program that went on and succeeded.
		if r.outOfFuel.Load() {
			out.Limit, out.LimitText = "fuel", fmt.Sprintf("fuel limit of %d instructions reached", s.Limits.Fuel)
		} else if r.memory.denied.Load() {
			out.Limit, out.LimitText = "memory", fmt.Sprintf("memory limit of %s reached", rootfs.Size(s.Limits.Memory))
		} else {
			out.Limit, out.LimitText = w.quota.Hit()
		}
	}
	return out
}

// clip bounds a text in which a guest chooses the words.
func clip(text string) string { return text[:min(len(text), wire.MaxText)] }

// settled waits a moment for the children that were ended with the first instance,
// and reports whether they have: one that computes goes on.
func (r *run) settled() bool {
	for range 20 {
		if r.running.Load() == 0 {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return r.running.Load() == 0
}

func (r *run) first() wire.Outcome {
	m := r.w.toolbox
	if r.step.Module != "" {
		var err error
		if m, err = r.module(r.step.Module); err != nil {
			return wire.Outcome{Exit: -1, Refused: err.Error()}
		}
	}
	if m == nil {
		return wire.Outcome{Exit: -1, Refused: toolbox.Missing}
	}
	i := &instance{
		run: r, args: r.step.Args, env: r.step.Env, dir: r.step.Dir,
		stdin:  &remoteStdin{w: r.w},
		stdout: &remoteOutput{w: r.w, kind: wire.Stdout},
		stderr: &remoteOutput{w: r.w, kind: wire.Stderr},
	}
	defer i.endChildren()
	var out wire.Outcome
	out.Exit, out.Trap = i.execute(m)
	return out
}

// module gets a module of the guests' file system ready. The runner checks and
// compiles what is not known yet.
func (r *run) module(name string) (*loaded, error) {
	data, err := r.readModule(name)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(data)
	sum := hex.EncodeToString(hash[:])
	r.w.loading.Lock()
	defer r.w.loading.Unlock()
	if m := r.w.modules[sum]; m != nil {
		return m, nil
	}
	if err := r.w.conn.Send(wire.WantModule, data); err != nil {
		return nil, err
	}
	v := <-r.w.verdicts
	if v.Error != "" {
		return nil, errors.New(v.Error)
	}
	m, err := r.w.load(context.Background(), v.File)
	if told := r.w.conn.Send(wire.Loaded, nil); err != nil || told != nil {
		return nil, errors.Join(err, told)
	}
	r.w.modules[sum] = m
	return m, nil
}

func (r *run) readModule(name string) ([]byte, error) {
	fs, rest, ok := r.w.lookup(name)
	if !ok {
		return nil, wexp.ENOENT
	}
	st, errno := fs.Stat(rest)
	if errno != 0 {
		return nil, errno
	}
	limit := r.step.Limits.ModuleSize
	if limit > 0 && st.Size > limit {
		return nil, &module.Error{Reason: module.TooLarge, Offset: -1, Text: fmt.Sprintf("the module is %d bytes long, and the limit is %s", st.Size, rootfs.Size(limit))}
	}
	file, errno := fs.OpenFile(rest, wexp.O_RDONLY, 0)
	if errno != 0 {
		return nil, errno
	}
	defer func() { _ = file.Close() }() // it was only read
	data := make([]byte, st.Size)
	for at := 0; at < len(data); {
		n, errno := file.Read(data[at:])
		if errno != 0 {
			return nil, errno
		}
		if n == 0 {
			return data[:at], nil
		}
		at += n
	}
	return data, nil
}

// instance is one module that runs.
type instance struct {
	run            *run
	args, env      []string
	dir            string
	stdin          io.Reader
	stdout, stderr io.Writer
	killed         atomic.Int32 // the exit status to end with at the next call of the host

	mu        sync.Mutex
	children  map[uint32]*child
	lastChild uint32
	lastError string
	answers   map[uint32]*answer
}

// instanceKey is the key of the instance in a context, for host functions.
type instanceKey struct{}

// execute runs a module to its end and returns its status, and what trapped.
func (i *instance) execute(m *loaded) (status int, trap string) {
	ctx := context.WithValue(context.Background(), instanceKey{}, i)
	var memory experimental.MemoryAllocator = i.run.memory
	if m == i.run.w.toolbox {
		memory = fatal{i.run.memory}
	}
	ctx = experimental.WithMemoryAllocator(ctx, memory)
	config := wazero.NewModuleConfig().WithName("").
		WithArgs(i.args...).
		WithStdin(&killable{i: i, r: i.stdin}).
		WithStdout(&killable{i: i, w: i.stdout}).
		WithStderr(&killable{i: i, w: i.stderr}).
		WithFSConfig(i.run.w.fsConfig(i.dir, m.ofGo)).
		WithOsyield(runtime.Gosched)
	for _, e := range i.env {
		key, value, _ := strings.Cut(e, "=")
		config = config.WithEnv(key, value)
	}
	if i.run.step.Deterministic {
		// The default clocks of the engine are virtual ones.
		config = config.WithRandSource(newFixedRandom())
	} else {
		config = config.WithRandSource(rand.Reader).WithSysWalltime().WithSysNanotime().WithSysNanosleep()
	}
	began := time.Now()
	mod, err := i.instantiate(ctx, m, config.WithStartFunctions())
	i.run.instantiated.CompareAndSwap(0, int64(time.Since(began)))
	if mod != nil {
		fuel := i.fill(mod)
		for _, name := range i.starts() {
			if start := mod.ExportedFunction(name); start != nil && err == nil {
				_, err = start.Call(ctx)
			}
		}
		if err != nil && fuel != nil && int64(fuel.Get()) < 0 { //nolint:gosec // two's complement
			i.run.outOfFuel.Store(true)
		}
		_ = mod.Close(ctx)
	}
	var exit *sys.ExitError
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &exit):
		return int(exit.ExitCode() & 0xff), ""
	}
	return exitTrap, err.Error()
}

// instantiate makes a module ready to run. The engine panics where the memory that
// a module begins with is refused.
func (i *instance) instantiate(ctx context.Context, m *loaded, config wazero.ModuleConfig) (mod api.Module, err error) {
	defer func() {
		said := recover()
		switch {
		case said == nil:
		case i.run.memory.denied.Load():
			mod, err = nil, fmt.Errorf("the memory that the module begins with does not fit into the limit of %s", rootfs.Size(i.run.step.Limits.Memory))
		default:
			panic(said)
		}
	}()
	return i.run.w.runtime.InstantiateModule(ctx, m.compiled, config) //nolint:wrapcheck // as of a call of the module
}

// starts are the exports that are called one after the other.
func (i *instance) starts() []string {
	if i.run.step.Limits.Fuel > 0 {
		return []string{module.StartFunction, "_start"}
	}
	return []string{"_start"}
}

// fill sets the fuel of a module that counts it; nil is one that does not.
func (i *instance) fill(mod api.Module) api.MutableGlobal {
	if i.run.step.Limits.Fuel == 0 {
		return nil
	}
	fuel, _ := mod.ExportedGlobal(module.FuelGlobal).(api.MutableGlobal)
	if fuel != nil {
		fuel.Set(uint64(i.run.step.Limits.Fuel)) //nolint:gosec // positive
	}
	return fuel
}

// killable ends an instance that was killed at its next read or write.
type killable struct {
	i *instance
	r io.Reader
	w io.Writer
}

func (k *killable) Read(p []byte) (int, error) {
	k.check()
	n, err := k.r.Read(p)
	k.check()
	return n, err //nolint:wrapcheck // io.EOF goes through
}

func (k *killable) Write(p []byte) (int, error) {
	k.check()
	n, err := k.w.Write(p)
	k.check()
	return n, err //nolint:wrapcheck // the engine makes an errno of it
}

func (k *killable) check() {
	if status := k.i.killed.Load(); status != 0 {
		panic(sys.NewExitError(uint32(status))) //nolint:gosec // a status; the engine ends the instance with it
	}
}

// remoteStdin asks the runner for each piece of the step's stdin.
type remoteStdin struct {
	w    *worker
	rest []byte
	eof  bool
}

func (s *remoteStdin) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(s.rest) == 0 && !s.eof {
		if err := s.w.conn.Send(wire.WantStdin, nil); err != nil {
			return 0, err
		}
		s.rest = <-s.w.stdin
		s.eof = len(s.rest) == 0
	}
	if s.eof {
		return 0, io.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// remoteOutput sends what a guest writes; it waits where the runner does.
type remoteOutput struct {
	w    *worker
	kind wire.Kind
}

func (o *remoteOutput) Write(p []byte) (int, error) {
	for at := 0; at < len(p); at += wire.MaxOutput {
		if err := o.w.conn.Send(o.kind, p[at:min(len(p), at+wire.MaxOutput)]); err != nil {
			return at, err
		}
	}
	return len(p), nil
}
