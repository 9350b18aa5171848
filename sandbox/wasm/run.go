package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/experimental/sys"

	"otelrunner/otel/observe"
	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/wire"
	"otelrunner/sandbox/wasm/worker"
)

// Run runs one command to its end; see sandbox.Sandbox. A WebAssembly module
// cannot be asked to end, so that Grace is not waited for.
func (b *box) Run(ctx context.Context, c *sandbox.Command) (sandbox.Result, error) {
	result := sandbox.Result{ExitCode: -1}
	if ctx.Err() != nil {
		return result, context.Cause(ctx)
	}
	err := b.writeOwn(ctx, c.Files)
	if err == nil {
		err = b.runStep(ctx, c, &result)
	}
	var collectErr error
	result.Collected, collectErr = b.collect(c)
	removeErr := b.remove(c.Remove)
	for _, later := range []error{collectErr, removeErr} {
		if err == nil {
			err = later
		}
	}
	return result, err
}

// reserve is what a command's own files may take beyond a job's limits, so that a
// step can clean up where the one before has filled them.
const (
	reserveBytes = 16 << 20
	reserveFiles = 100
)

// writeOwn writes a command's own files: its script, and what it is collected from.
func (b *box) writeOwn(ctx context.Context, files []sandbox.File) error {
	l := b.provider.options.Limits.disk()
	more := l
	more.Bytes, more.Files = l.Bytes+reserveBytes, l.Files+reserveFiles
	b.quota.Reset(more)
	defer b.quota.Reset(l)
	return b.WriteFiles(ctx, files)
}

func (b *box) runStep(ctx context.Context, c *sandbox.Command, result *sandbox.Result) error {
	step, err := b.step(c)
	if err != nil {
		return err
	}
	if err := b.revive(ctx); err != nil {
		return err
	}
	asks, err := asked(stepEnv(b, c))
	if err != nil {
		return err
	}
	if asks.limits.Fuel > 0 && b.provider.options.Limits.Fuel == 0 {
		return errors.New("the environment variable " + askPrefix + "FUEL: this runner counts no fuel, which its operator turns on by sandbox.fuel")
	}
	limits := b.provider.options.Limits.Lower(asks.limits)
	step.Limits = limits.wire()
	step.Deterministic = step.Deterministic || asks.deterministic
	step.Network = b.provider.options.Network != nil
	base := b.quota.Holds()
	step.Holds = base
	if err := b.slot.worker.limit(limits); err != nil {
		return err
	}
	module, err := b.moduleOf(step)
	if err != nil {
		return err
	}
	x := &execution{
		box: b, w: b.slot.worker, command: c, limits: limits, ctx: ctx, started: b.slot.worker.cpu(),
		finished: make(chan struct{}), sent: make(chan struct{}),
	}
	running, ran := observe.Start(ctx, observe.WASMRun)
	began := time.Now() // not before the span, in which the making ready begins
	x.ctx = running
	x.serving, x.stopServing = context.WithCancel(running)
	out, err := x.run(step)
	x.stopServing()
	tellInstantiate(running, began, out)
	ran(err)
	result.ExitCode = out.Exit
	out.PeakMemory = min(max(0, out.PeakMemory), limits.Memory) // the worker's word
	result.Usage = sandbox.Usage{CPU: out.CPU, PeakMemory: out.PeakMemory}
	if out.Used || err != nil || out.Holds == nil { // counting needs it gone
		b.slot.worker.end()
	}
	if out.Refused != "" {
		module = ""
	}
	b.ran(module)
	b.recount(ctx, base, out)
	trapped(out, c)
	result.Details = b.report(module, out, step, asks)
	return err
}

// tellInstantiate tells how long the worker says that it took to make the module
// ready to run. It is the worker's word: no more is believed than can be.
func tellInstantiate(ctx context.Context, began time.Time, out wire.Outcome) {
	if d := out.Instantiate; d > 0 && d <= time.Since(began) {
		observe.Done(ctx, observe.WASMInstantiate, began, d)
	}
}

// moduleOf is the SHA-256 of the module that a step is to run, in hex; "" where it
// cannot be read, which the worker tells of. The runner computes it itself: nothing
// that a worker says is evidence.
func (b *box) moduleOf(step wire.Step) (string, error) {
	if step.Module == "" {
		return b.provider.shell.sum(), nil
	}
	files, rest := b.at(step.Module)
	f, errno := files.OpenFile(rest, sys.O_RDONLY, 0)
	if errno != 0 {
		return "", nil
	}
	defer func() { _ = f.Close() }() // it was only read
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(&fileReader{f: f}, b.provider.options.Limits.ModuleSize+1))
	if err != nil {
		return "", fmt.Errorf("read the module %s: %w", step.Module, err)
	}
	if n > b.provider.options.Limits.ModuleSize {
		return "", nil
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// countTime bounds how long the files of a job may be counted after a step that was
// killed: more than fifty times what the default limits allow takes.
const countTime = time.Minute

// recount takes over what a step has left in the job's folder. A worker that was
// killed could not tell: then it is counted.
func (b *box) recount(ctx context.Context, base rootfs.Holding, out wire.Outcome) {
	now := b.quota.Holds() // with what the runner wrote meanwhile
	if out.Holds == nil {
		// Cleanup steps need the count of a job that was canceled too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), countTime)
		defer cancel()
		l := b.provider.options.Limits.disk()
		holds, err := b.count(ctx)
		if err != nil {
			b.log("What the job holds on the disk is not known, so that nothing more can be written to it: " + worker.Plain(err.Error()))
			holds = rootfs.Holding{Bytes: l.Bytes, Files: l.Files}
		}
		b.quota.SetHolds(holds)
		return
	}
	b.quota.SetHolds(rootfs.Holding{
		Bytes: out.Holds.Bytes + now.Bytes - base.Bytes,
		Files: out.Holds.Files + now.Files - base.Files,
	})
}

// stepEnv is the environment of a command.
func stepEnv(b *box, c *sandbox.Command) map[string]string {
	env := maps.Clone(b.env)
	maps.Copy(env, c.Env)
	return env
}

// revive replaces a worker that is gone.
func (b *box) revive(ctx context.Context) error {
	if !b.slot.worker.dead() {
		return nil
	}
	b.slot.worker.end()
	w, err := b.provider.newWorker(ctx, b.slot, b.log)
	if err != nil {
		return fmt.Errorf("replace the job's WASM worker: %w", err)
	}
	b.slot.worker = w
	return nil
}

// step is a command as the worker gets it.
func (b *box) step(c *sandbox.Command) (wire.Step, error) {
	dir := b.info.Workspace
	if c.Dir != "" {
		dir = b.abs(c.Dir)
	}
	files, rest := b.at(dir)
	if st, errno := files.Stat(rest); errno != 0 || !st.Mode.IsDir() {
		return wire.Step{}, &sandbox.DirError{Dir: c.Dir}
	}
	if len(c.Args) == 0 {
		return wire.Step{}, errors.New("run a command: it has no arguments, and its program is the first")
	}
	env := stepEnv(b, c)
	if len(c.Path) > 0 {
		env["PATH"] = strings.Join(append(slices.Clone(c.Path), env["PATH"]), ":")
	}
	env["PWD"] = dir
	p, err := b.find(c.Args[0], dir, strings.Split(env["PATH"], ":"))
	if err != nil {
		return wire.Step{}, err
	}
	step := wire.Step{Args: slices.Clone(c.Args), Dir: dir, Deterministic: b.provider.options.Deterministic}
	switch {
	case p.module:
		step.Module = p.path
	case p.script:
		step.Args = append([]string{"sh", p.path}, c.Args[1:]...)
	}
	if !p.module {
		step.Args[0] = path.Base(step.Args[0])
	}
	for _, key := range slices.Sorted(maps.Keys(env)) {
		// What WASI cannot carry a step does not get.
		if entry := key + "=" + env[key]; key != "" && !strings.ContainsRune(entry, 0) && !strings.Contains(key, "=") {
			step.Env = append(step.Env, entry)
		}
	}
	if slices.ContainsFunc(step.Args, func(a string) bool { return strings.ContainsRune(a, 0) }) {
		return wire.Step{}, errors.New("run a command: an argument has a NUL character")
	}
	return step, nil
}

// execution is one step on the runner's side: a reader of the worker's frames,
// and the clocks.
type execution struct {
	box      *box
	w        *process
	command  *sandbox.Command
	limits   Limits
	ctx      context.Context //nolint:containedctx // of one call of Run
	started  time.Duration   // the worker's CPU time
	output   atomic.Int64
	finished chan struct{} // closed when no more frames are read
	sent     chan struct{} // closed when the step was sent, or could not be
	requests requests
	loading  *lease // of the module that the worker was given last; of frames

	// serving is the context of what is done for the worker: it ends with the step, so
	// that none leaves a compilation behind.
	serving     context.Context //nolint:containedctx // as ctx
	stopServing context.CancelFunc

	mu       sync.Mutex
	reason   error // why it was killed
	progress wire.Progress
	out      wire.Outcome
	err      error // of the frames
}

// stuckTime is how long Run waits for a Writer after the worker was killed.
const stuckTime = 300 * time.Millisecond

// cpuTick is how often the CPU time is looked at.
const cpuTick = 50 * time.Millisecond

// run runs a step to its end.
func (x *execution) run(step wire.Step) (wire.Outcome, error) {
	payload, err := json.Marshal(step)
	if err != nil {
		return wire.Outcome{Exit: -1}, fmt.Errorf("run a command: %w", err)
	}
	if len(payload) > wire.MaxRun {
		return wire.Outcome{Exit: -1}, &sandbox.LimitError{Limit: "environment", Text: fmt.Sprintf(
			"the arguments and the environment of the step have %s, and a program of the WASM sandbox gets at most %s: pass large values in a file", rootfs.Size(int64(len(payload))), rootfs.Size(wire.MaxRun))}
	}
	go x.send(payload)
	go x.frames()
	defer x.endSending()
	wall := time.NewTimer(x.limits.Wall)
	defer wall.Stop()
	tick := time.NewTicker(cpuTick)
	defer tick.Stop()
	for {
		select {
		case <-x.finished:
			return x.outcome()
		case <-x.ctx.Done():
			return x.abort(context.Cause(x.ctx))
		case <-wall.C:
			return x.abort(&sandbox.LimitError{Limit: "time", Text: fmt.Sprintf("time limit of %v reached", x.limits.Wall)})
		case <-tick.C:
			if x.w.cpu()-x.started > x.limits.CPU {
				return x.abort(x.cpuError())
			}
		}
	}
}

// send sends the step; the clocks run already, as a worker may not read it.
func (x *execution) send(payload []byte) {
	defer close(x.sent)
	if err := x.w.conn.Send(wire.Run, payload); err != nil {
		x.fail(fmt.Errorf("run a command: the WASM worker is gone: the next command gets a new one: %w", err))
	}
}

// endSending waits for send, which a dead worker ends too: one that has told the end
// of a step and not read it is broken.
func (x *execution) endSending() {
	timer := time.NewTimer(stuckTime)
	defer timer.Stop()
	select {
	case <-x.sent:
	case <-timer.C:
		x.w.kill()
		<-x.sent
	}
}

func (x *execution) cpuError() error {
	return &sandbox.LimitError{Limit: "cpu", Text: fmt.Sprintf("CPU limit of %v reached", x.limits.CPU)}
}

// abort kills the worker. A Writer that does not return is left behind: its
// goroutine ends with it, and gives it no more.
func (x *execution) abort(reason error) (wire.Outcome, error) {
	x.fail(reason)
	<-x.w.exited
	timer := time.NewTimer(stuckTime)
	defer timer.Stop()
	select {
	case <-x.finished:
	case <-timer.C:
	}
	return x.killed(), x.failure()
}

// killed is the end of a step whose worker was killed: with what it told last.
func (x *execution) killed() wire.Outcome {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.progress
	return wire.Outcome{Exit: 128 + 9, CPU: x.used(), PeakMemory: p.PeakMemory, Written: p.Written, Denied: p.Denied}
}

// fail kills the worker for a reason; the first one counts.
func (x *execution) fail(reason error) {
	x.mu.Lock()
	if x.reason == nil {
		x.reason = reason
	}
	x.mu.Unlock()
	x.w.kill()
	x.stopServing()
}

func (x *execution) failure() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.reason
}

// used is the CPU time of a worker that is gone.
func (x *execution) used() time.Duration {
	if !x.w.dead() {
		return 0
	}
	s := x.w.cmd.ProcessState
	return max(0, s.UserTime()+s.SystemTime()-x.started)
}

// outcome is the end that the worker has told, or died with.
func (x *execution) outcome() (wire.Outcome, error) {
	if err := x.failure(); err != nil {
		<-x.w.exited
		return x.killed(), err
	}
	if x.err == nil {
		return x.told()
	}
	x.w.kill()
	<-x.w.exited
	out := x.killed()
	switch {
	case x.w.cpuLimitHit():
		return out, x.cpuError()
	case x.w.last.outOfMemory():
		return out, x.memoryError()
	}
	said := worker.Plain(x.w.last.String())
	return out, fmt.Errorf("the WASM worker ended while the command ran (%v): the next command gets a new one: %w: %s", x.w.cmd.ProcessState, x.err, said)
}

func (x *execution) memoryError() error {
	return &sandbox.LimitError{Limit: "memory", Text: fmt.Sprintf("memory limit of %s reached", rootfs.Size(x.limits.Memory))}
}

func (x *execution) told() (wire.Outcome, error) {
	switch out := x.out; {
	case out.Refused != "":
		return out, &sandbox.NotFoundError{Name: x.command.Args[0], Hint: worker.Plain(out.Refused), Refused: true}
	case out.Limit != "":
		return x.measured(out), &sandbox.LimitError{Limit: out.Limit, Text: worker.Plain(out.LimitText)}
	}
	return x.measured(x.out), nil
}

// measured has the CPU time as the kernel tells it, where it does.
func (x *execution) measured(out wire.Outcome) wire.Outcome {
	if now := x.w.cpu(); now > x.started {
		out.CPU = now - x.started
	}
	return out
}

// frames does what the worker asks for until the step's end.
func (x *execution) frames() {
	defer close(x.finished)
	defer x.endRequests()
	defer func() { x.loading.end() }()
	defer x.survive()
	for {
		kind, payload, err := x.w.conn.Receive(x.limits.ModuleSize)
		if err == nil && kind == wire.Done {
			x.err = json.Unmarshal(payload, &x.out)
			return
		}
		if err == nil {
			err = x.frame(kind, payload)
		}
		if err != nil {
			x.err = err
			return
		}
	}
}

// survive makes a fault of this program in the reading of what a guest has made, like
// a module, the end of its step: the jobs beside it are none of it.
func (x *execution) survive() {
	if v := recover(); v != nil {
		x.box.provider.options.Log.Error("the runner panicked while it served a WASM step", "panic", v, "stack", string(debug.Stack()))
		x.fail(fmt.Errorf("run a command: the runner failed while it served the step: %v", v))
	}
}

func (x *execution) frame(kind wire.Kind, payload []byte) error {
	switch kind {
	case wire.Stdout, wire.Stderr:
		return x.write(kind, payload)
	case wire.WantStdin:
		return x.w.conn.Send(wire.Stdin, x.read())
	case wire.WantModule:
		x.loading.end() // a worker loads one after the other
		v, held, err := x.box.provider.cache.ensure(x.serving, payload, x.limits, x.box.asker(), nil)
		if err != nil {
			x.fail(err)
			return err
		}
		x.loading = held
		x.box.ran(v.Sum)
		return x.w.conn.SendJSON(wire.Module, v)
	case wire.Loaded:
		x.loading.end()
		return nil
	case wire.WantHTTP:
		return x.request(payload)
	case wire.Tells:
		return x.tells(payload)
	}
	return fmt.Errorf("a frame of the unknown kind %d", kind)
}

// tells keeps what the worker says that the step has used until now.
func (x *execution) tells(payload []byte) error {
	var p wire.Progress
	if err := json.Unmarshal(payload, &p); err != nil {
		return fmt.Errorf("read what a WASM worker tells: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.progress = p
	return nil
}

func (x *execution) write(kind wire.Kind, payload []byte) error {
	if x.output.Add(int64(len(payload))) > x.limits.Output {
		err := &sandbox.LimitError{Limit: "output", Text: fmt.Sprintf("output limit of %s reached", rootfs.Size(x.limits.Output))}
		x.fail(err)
		return err
	}
	to := x.command.Stdout
	if kind == wire.Stderr {
		to = x.command.Stderr
	}
	if to != nil && x.failure() == nil {
		_, _ = to.Write(payload) // the contract: errors are ignored
	}
	return nil
}

// read is the next piece of the command's stdin; none at its end.
func (x *execution) read() []byte {
	if x.command.Stdin == nil {
		return nil
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := x.command.Stdin.Read(buf)
		if n > 0 {
			return buf[:n]
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				x.box.log("The command's input has ended early: " + err.Error())
			}
			return nil
		}
	}
}
