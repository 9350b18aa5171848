// Package wasm runs steps as WebAssembly modules: without containers, without
// programs of this machine, and without trust in what runs.
//
// # Processes
//
// wazero in the runner's own process is no boundary: a guest can stall or exhaust
// the process. So each job has a worker, a process that is the runner executed
// again with an empty environment and three pipes (package worker). It jails
// itself before it reads a guest's byte (package jail), and the runner sets the
// kernel's limits for each step, watches the clocks, and kills it. A worker that
// was killed is replaced for the next step. One spare worker is kept ready.
//
// Modules are checked by package module in the runner, compiled in a process of
// their own, and kept in a cache that workers only read.
//
// # Files
//
// Guests see one folder of this machine as / (package rootfs): the workspace in
// /work/NAME, /temp, /tmp and /home, and, which cannot be written, /tools and the
// actions that were fetched in /temp/_actions. The runner reads and writes there by the same rules, so that no symbolic link of a
// guest leads it out.
package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm/wire"
	"otelrunner/sandbox/wasm/worker"
)

// Options configure a Provider.
type Options struct {
	// Root is the folder for the jobs' folders and the cache; it is made where
	// it is not there. Required.
	Root string

	// Cache is the folder of compiled modules, which several runners may share;
	// it is made where it is not there. Default: "cache" in Root.
	Cache string

	// CompiledSize bounds what this version of the program keeps in Cache, in bytes;
	// default: 2 GiB. What nobody has used for long goes first, then what is of the
	// job that has most.
	CompiledSize int64

	// Turns bound how many modules are compiled at a time, for all providers that have
	// the same ones. Default: own ones, as many as this machine bears.
	Turns *Turns

	// ToolCache is a folder of this machine that guests read as /tools; it is
	// made where it is not there. Default: "tools" in Root.
	ToolCache string

	// Command starts a worker: a program that calls WorkerMain. Default: this
	// program, with worker.Argument.
	Command []string

	// Toolbox loads the module that is the shell and its commands, which is done
	// where its compiled form is not known yet; without it
	// only modules of the job run. Commands are the names that it answers to;
	// default: sh and bash.
	Toolbox  func() ([]byte, error)
	Commands []string

	// Limits are for each step; a field that is 0 takes DefaultLimits.
	Limits Limits

	// Network makes HTTP requests for guests; nil: they have no network.
	Network Network

	// Deterministic gives guests a clock and randomness that are the same in
	// every run.
	Deterministic bool

	// Secure refuses to start a worker without Landlock.
	Secure bool

	// Mode is what an attestation calls the mode of the runner.
	Mode string

	// Only says that the runner has no other sandbox, so that no sentence sends
	// a job to one.
	Only bool

	// NoSpare keeps no worker ready.
	NoSpare bool

	// Log takes what an operator should know. nil discards it.
	Log *slog.Logger
}

// Provider opens WASM sandboxes. It is safe for concurrent use; Close ends it.
type Provider struct {
	options Options
	jobs    *territory
	program string // the SHA-256 of a worker's program
	cache   *cache
	shell   shell
	spares  chan *slot // holds the spare
	wg      sync.WaitGroup
	ctx     context.Context //nolint:containedctx // ends what runs between jobs
	stop    context.CancelFunc

	launches chan func()

	mu        sync.Mutex
	forbidden error // why the system permits no namespaces, once that is known
	closed    bool
	cool      bool // no spare is kept any more
}

var _ sandbox.Provider = (*Provider)(nil)

// slot is a worker with the folder that it is jailed in.
type slot struct {
	folder  string
	actions string // the folder of actionFolder
	mounts  []Mount
	worker  *process
}

// WorkerMain is the whole program of a worker: main calls it, and exits with what
// it returns, before it does anything else, where worker.Argument is its first
// argument.
func WorkerMain() int { return worker.Main() }

// New makes the folders.
// It starts nothing; the first job, or Warm, does.
func New(o Options) (*Provider, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if len(o.Command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the runner's own program for WASM workers: %w", err)
		}
		o.Command = []string{self, worker.Argument}
	}
	if len(o.Commands) == 0 {
		o.Commands = []string{"sh", "bash"}
	}
	o.Limits = o.Limits.Or(DefaultLimits())
	if o.CompiledSize == 0 {
		o.CompiledSize = 2 << 30
	}
	if o.Turns == nil {
		o.Turns = NewTurns(0)
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("find the folder of the WASM sandbox: %w", err)
	}
	o.Root = root
	if o.ToolCache == "" {
		o.ToolCache = filepath.Join(root, "tools")
	}
	binary, err := hashFile(o.Command[0])
	if err != nil {
		return nil, fmt.Errorf("read the runner's own program (%s): %w", o.Command[0], err)
	}
	// Compiled code is this engine's, and this binary has the engine in it.
	if o.Cache == "" {
		o.Cache = filepath.Join(root, "cache")
	}
	cacheDir := filepath.Join(o.Cache, binary[:16])
	jobs := filepath.Join(root, "jobs")
	for _, dir := range []string{root, o.ToolCache, jobs} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a folder of the WASM sandbox: %w", err)
		}
	}
	sweepCaches(o.Cache, filepath.Base(cacheDir), o.Log)
	p, err := o.provider(jobs)
	if err != nil {
		return nil, err
	}
	p.program = binary
	p.cache = &cache{dir: cacheDir, most: o.CompiledSize, log: o.Log, compile: p.compile, turns: o.Turns}
	p.wg.Go(p.launcher)
	return p, nil
}

// provider claims a folder for its jobs, and removes those of dead runners.
func (o Options) provider(jobs string) (*Provider, error) {
	swept, err := sweep(jobs)
	if err != nil {
		o.Log.Warn("what a dead runner left of WASM jobs could not be removed; the next start tries again", "error", err)
	}
	if swept > 0 {
		o.Log.Info("what dead runners left of WASM jobs is removed", "runners", swept)
	}
	t, err := claim(jobs)
	if err != nil {
		return nil, err
	}
	p := &Provider{jobs: t, options: o, shell: shell{load: o.Toolbox}, spares: make(chan *slot, 1), launches: make(chan func())}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p, nil
}

func hashFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err //nolint:wrapcheck // New says what was done
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err //nolint:wrapcheck // as above
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// launcher starts processes from one thread that lives as long as the provider:
// Linux ends a worker with the thread that has started it.
func (p *Provider) launcher() {
	runtime.LockOSThread()
	for {
		select {
		case launch := <-p.launches:
			launch()
		case <-p.ctx.Done():
			return // the thread ends too, and with it what it has started
		}
	}
}

// launch starts the process that command describes, without namespaces where the
// system gives it none; missing is then why. That the system forbids them is found
// out once; any other failure is of this process alone.
func (p *Provider) launch(command func(namespaces bool) *exec.Cmd) (cmd *exec.Cmd, missing error, err error) {
	err = errors.New("the WASM sandbox is closed")
	done := make(chan struct{})
	launch := func() {
		defer close(done)
		cmd, missing, err = p.startProcess(command)
	}
	select {
	case p.launches <- launch:
		<-done
	case <-p.ctx.Done():
	}
	return cmd, missing, err
}

// startProcess is launch on the launcher's thread.
func (p *Provider) startProcess(command func(namespaces bool) *exec.Cmd) (cmd *exec.Cmd, missing error, err error) {
	p.mu.Lock()
	missing = p.forbidden
	p.mu.Unlock()
	if !canNamespace {
		missing = errors.New("this system has none")
	}
	if missing == nil {
		for range namespaceTries {
			cmd = command(true)
			if missing = cmd.Start(); missing == nil {
				return cmd, nil, nil
			}
			if forbids(missing) {
				break
			}
		}
	}
	cmd = command(false)
	if err := cmd.Start(); err != nil {
		return nil, nil, err // namespaces were not the reason
	}
	p.tellMissing(missing)
	return cmd, missing, nil
}

// namespaceTries is how often a process is started in namespaces until one is started
// without: for a moment there may be too many processes.
const namespaceTries = 3

// forbids reports whether an error of a start means that the system permits no
// namespaces, now and later: it has none, or not for this user.
func forbids(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.ENOSPC)
}

// tellMissing tells the operator of a worker without namespaces: once where the
// system forbids them.
func (p *Provider) tellMissing(missing error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !canNamespace || p.forbidden != nil {
		return
	}
	if forbids(missing) {
		p.forbidden = missing
		p.options.Log.Warn("WASM workers run without namespaces of their own, as this system permits none (see kernel.unprivileged_userns_clone, user.max_user_namespaces and AppArmor); the jail's other walls stand", "error", missing)
		return
	}
	p.options.Log.Warn("a WASM worker runs without namespaces of its own, which could not be made now; the next one is tried again", "error", missing)
}

// Warm compiles the toolbox, where that was not done, and starts the spare
// worker; it returns when both are done.
func (p *Provider) Warm(ctx context.Context) error {
	s, err := p.newSlot(ctx, nil, p.tell)
	if err != nil {
		return err
	}
	p.keep(s)
	return nil
}

// tell writes a line to the runner's log.
func (p *Provider) tell(line string) { p.options.Log.Info(line) }

// orDiscard is a function that takes lines, also where there is none.
func orDiscard(log func(string)) func(string) {
	if log == nil {
		return func(string) {}
	}
	return log
}

// keep makes a slot the spare, or removes it where there is one.
func (p *Provider) keep(s *slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && !p.cool {
		select {
		case p.spares <- s:
			return
		default:
		}
	}
	if err := s.remove(context.Background()); err != nil {
		p.options.Log.Warn("a folder of the WASM sandbox is left", "error", err)
	}
}

// Cool ends the spare worker, and from now on none is kept: few jobs will be opened
// any more. What is open goes on.
func (p *Provider) Cool() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cool = true
	select {
	case s := <-p.spares:
		return s.remove(context.Background())
	default:
		return nil
	}
}

// Close ends the spare worker. The sandboxes must have been closed.
func (p *Provider) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.wg.Wait()
	var err error
	select {
	case s := <-p.spares:
		err = s.remove(context.Background())
	default:
	}
	return errors.Join(err, p.jobs.release())
}

// The guests' folders.
const (
	workFolder = "/work"
	tempFolder = "/temp"
	tmpFolder  = "/tmp"
	homeFolder = "/home"
	toolFolder = "/tools"

	// actionFolder is where Stage puts actions: guests cannot write there, so that no
	// step changes what a later one runs.
	actionFolder = tempFolder + "/_actions"
)

// newSlot makes a folder and a worker that is jailed in it, and in the mounts.
func (p *Provider) newSlot(ctx context.Context, mounts []Mount, telling func(string)) (*slot, error) {
	folder, err := os.MkdirTemp(p.jobs.folder, "job-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for a WASM job: %w", err)
	}
	s := &slot{folder: folder, actions: folder + "-actions", mounts: mounts}
	dirs := []string{s.actions}
	for _, dir := range []string{workFolder, tempFolder, tmpFolder, homeFolder, actionFolder} {
		dirs = append(dirs, filepath.Join(folder, dir))
	}
	for _, dir := range dirs {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("make a folder for a WASM job: %w", err), s.remove(context.WithoutCancel(ctx)))
		}
	}
	if err := s.makeMountPoints(); err != nil {
		return nil, errors.Join(err, s.remove(context.WithoutCancel(ctx)))
	}
	if s.worker, err = p.newWorker(ctx, s, telling); err != nil {
		return nil, errors.Join(err, s.remove(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// newWorker starts a worker for a job's folder, with the toolbox loaded. telling
// gets a line where that takes long.
func (p *Provider) newWorker(ctx context.Context, s *slot, telling func(string)) (*process, error) {
	setup := wire.Setup{
		Root: s.folder,
		Mounts: slices.Concat(
			[]wire.Mount{{Host: p.options.ToolCache, Guest: toolFolder, ReadOnly: true}}, wireMounts(s.mounts),
			[]wire.Mount{{Host: s.actions, Guest: actionFolder, ReadOnly: true}}),
		Cache: p.cache.dir,
	}
	if err := p.cache.use(); err != nil {
		return nil, err
	}
	if p.shell.there() {
		v, held, err := p.shell.ready(ctx, p.cache, p.options.Limits, telling)
		if err != nil {
			return nil, err
		}
		defer held.end() // the worker has read it when it is ready
		setup.Preload = v.File
	}
	return p.start(ctx, setup)
}

// remove ends the worker and removes the folder, whatever a guest has put there; ctx
// bounds that.
func (s *slot) remove(ctx context.Context) error {
	if s.worker != nil {
		s.worker.end()
	}
	return errors.Join(removeFolder(ctx, s.folder), removeFolder(ctx, s.actions))
}

// Open takes the spare worker, or starts one.
func (p *Provider) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := p.refuse(spec); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var s *slot
	select {
	case s = <-p.spares:
		if s.worker.dead() {
			_ = s.remove(context.WithoutCancel(ctx)) // the start of another runner tries again
			s = nil
		}
	default:
	}
	if s == nil {
		var err error
		if s, err = p.newSlot(ctx, nil, orDiscard(spec.Log)); err != nil {
			return nil, err
		}
	}
	b, err := newBox(p, s, spec)
	if err != nil {
		return nil, errors.Join(err, s.remove(context.WithoutCancel(ctx)))
	}
	if !p.options.NoSpare {
		b.next = sync.OnceFunc(p.replenish)
		b.timer = time.AfterFunc(spareDelay, b.next)
	}
	return b, nil
}

// spareDelay is how long the start of the next spare waits for the end of the job
// that has taken the last one: it takes a processor for a moment, which short jobs
// need themselves.
const spareDelay = 500 * time.Millisecond

// replenish starts the next spare in the background; Close waits for it.
func (p *Provider) replenish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.cool {
		return
	}
	p.wg.Go(func() {
		if err := p.Warm(p.ctx); err != nil && p.ctx.Err() == nil {
			p.options.Log.Warn("no spare WASM worker could be started", "error", err)
		}
	})
}

// refuse returns the sentence for what this sandbox cannot do.
func (p *Provider) refuse(spec sandbox.Spec) error {
	instead := "take it out of the job, or use a label of the kind name:docker://image"
	if p.options.Only {
		instead = "this runner runs nothing but WebAssembly (its sandbox.mode is wasm-only): take it out of the job, whose steps then run in this sandbox's shell, or run the job on another runner"
	}
	switch {
	case spec.Container != nil:
		return fmt.Errorf("the job asks for a container (container: %s), and its label runs it in the WASM sandbox: %s: %w", spec.Container.Image, instead, sandbox.ErrUnsupported)
	case len(spec.Services) > 0:
		return fmt.Errorf("the job asks for services (%s), and its label runs it in the WASM sandbox: %s: %w", spec.Services[0].Name, instead, sandbox.ErrUnsupported)
	}
	return nil
}

// workspaceName is the last part of owner/name as a folder's name.
func workspaceName(repository string) string {
	name := path.Base(filepath.ToSlash(repository))
	if name == "." || name == ".." || name == "/" || !filepath.IsLocal(name) {
		return "workspace"
	}
	return name
}
