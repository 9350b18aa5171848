package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	wsys "github.com/tetratelabs/wazero/sys"
	"go.opentelemetry.io/otel/attribute"

	"otelrunner/otel/observe"
	"otelrunner/sandbox/wasm/module"
	"otelrunner/sandbox/wasm/wire"
	"otelrunner/sandbox/wasm/worker"
)

// cache holds modules and their compiled forms. Entries are native code, so that
// only the runner writes here; a worker reads. Its folder is one of this binary
// and this engine. For each module, by the SHA-256 of what is compiled:
//
//	HASH.wasm        the module as it is compiled: checked, its tables bounded
//	HASH.json        the name and SHA-256 of its compiled form, and for which job it was made
//	HASH.used        nothing; its time is when it was last used, its lock who reads it
//	wazero-…/…       the compiled form, where the engine looks for it
type cache struct {
	dir     string
	most    int64 // bytes that it may take; 0 is any number
	log     *slog.Logger
	compile func(ctx context.Context, data []byte, to string) error
	turns   *Turns

	compiling flights // by hash

	collecting sync.Mutex // held while entries are removed

	mu      sync.Mutex
	total   int64                // bytes of all entries when they were listed, and of those added since
	added   int64                // of those
	listed  time.Time            // when they were listed
	seen    map[string]stamps    // of entries that were found to be as they were written
	used    map[string]time.Time // when that was last written down
	stay    map[string]bool      // entries that stay, whatever jobs add: the shell
	waiting map[string]bool      // those that wait for their turn to be compiled
}

// asker is for whom a module is compiled.
type asker struct {
	job string       // its id; "" is the runner itself
	log func(string) // of the job, for what takes long
}

// stamps tell whether any of an entry's three files was changed since they were
// read: a file's change time is the kernel's, and nobody can set it back.
type stamps [3]stamp

type stamp struct {
	ino          uint64
	size         int64
	mtime, ctime int64
}

// manifest is HASH.json.
type manifest struct {
	Entry string `json:"entry"`
	Sum   string `json:"sum"`
	Job   string `json:"job"` // the asker's
}

func sumOf(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// ensure checks a module and has it compiled, unless it was before; compiling,
// which is nil for modules of jobs, is called where it was not; where it is given, the
// entry is kept whatever else is added. The verdict's Error is a sentence; where it has
// none, the entry stays until the lease ends. err is the runner's own trouble.
func (c *cache) ensure(ctx context.Context, data []byte, l Limits, by asker, compiling func()) (wire.Verdict, *lease, error) {
	return c.load(ctx, func() ([]byte, error) { return data, nil }, l, by, compiling)
}

// load is ensure for a module that has to be read or unpacked first, which takes
// longer than all else where it was compiled before.
func (c *cache) load(ctx context.Context, read func() ([]byte, error), l Limits, by asker, compiling func()) (v wire.Verdict, held *lease, err error) {
	ctx, loaded := observe.Start(ctx, observe.WASMLoad)
	defer func() {
		if v.Error != "" {
			loaded(&refusedError{v.Error})
			return
		}
		loaded(err)
	}()
	data, err := read()
	if err != nil {
		return wire.Verdict{}, nil, err
	}
	info, err := module.Scan(data, module.Limits{Size: l.ModuleSize, Memory: l.Memory, TableElements: l.TableElements})
	if err == nil {
		err = info.Runnable(worker.Functions())
	}
	if err != nil {
		return wire.Verdict{Error: worker.Plain(err.Error())}, nil, nil
	}
	sum := sumOf(data)
	observe.Attributes(ctx, attribute.String("otelrunner.module.sha256", sum))
	prepared := info.Clamp(info.Join(data), l.TableElements)
	if l.Fuel > 0 {
		if prepared, err = metered(prepared); err != nil {
			return wire.Verdict{Error: worker.Plain(err.Error())}, nil, nil
		}
	}
	hash := sumOf(prepared)
	if compiling != nil {
		c.keep(hash)
	}
	held, err = c.leased(ctx, hash, prepared, by, compiling)
	var refused *refusedError
	if errors.As(err, &refused) {
		return wire.Verdict{Error: refused.text}, nil, nil
	}
	return wire.Verdict{File: hash + moduleSuffix, Sum: sum}, held, err
}

// leased leases an entry, which it has compiled where it is not there.
func (c *cache) leased(ctx context.Context, hash string, prepared []byte, by asker, compiling func()) (*lease, error) {
	for range ensureTries {
		if err := c.compiled(ctx, hash, prepared, by, compiling); err != nil {
			return nil, err
		}
		if held, err := c.lease(ctx, hash); held != nil || err != nil {
			return held, err
		}
	}
	return nil, fmt.Errorf("a compiled WebAssembly module was removed from the cache (%s) %d times before it could be read: if nothing else removes files there, sandbox.compiled_size is too small for the jobs that run at a time", c.dir, ensureTries)
}

// ensureTries is how often a module is compiled whose entry is gone before it is read.
const ensureTries = 5

// compiled has an entry compiled where it is not there.
func (c *cache) compiled(ctx context.Context, hash string, prepared []byte, by asker, compiling func()) error {
	long := func() {
		if c.waits(hash) {
			by.log(Waiting + ": the runner compiles only so many at a time (sandbox.compiles), and other jobs are before this one")
		}
	}
	return c.compiling.do(ctx, hash, long, func(ctx context.Context) error {
		hit := c.valid(hash)
		observe.Looked(ctx, observe.CacheWASM, hit)
		if hit {
			return nil
		}
		if compiling != nil {
			compiling()
		}
		if err := c.turn(ctx, hash, by.job); err != nil {
			return err
		}
		defer c.turns.done()
		return c.add(ctx, hash, prepared, by.job)
	})
}

// Waiting begins the line that tells of a wait for a turn in Spec.Log.
const Waiting = "Waiting to compile a WebAssembly module"

// turn waits until an entry may be compiled, and takes the turn.
func (c *cache) turn(ctx context.Context, hash, job string) (err error) {
	if c.turns.atOnce() {
		return nil
	}
	ctx, waited := observe.Start(ctx, observe.WASMWait)
	defer func() { waited(err) }()
	c.setWaiting(hash, true)
	defer c.setWaiting(hash, false)
	return c.turns.wait(ctx, job)
}

func (c *cache) setWaiting(hash string, waits bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[string]bool{}
	}
	if c.waiting[hash] = waits; !waits {
		delete(c.waiting, hash)
	}
}

// waits reports whether an entry waits for its turn to be compiled.
func (c *cache) waits(hash string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting[hash]
}

// metered is a module that counts its instructions.
func metered(data []byte) ([]byte, error) {
	info, err := module.Scan(data, module.Limits{Size: math.MaxInt64, TableElements: math.MaxInt64})
	if err != nil {
		return nil, err
	}
	return info.Meter(data)
}

// refusedError is a module that does not compile.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// ErrorType is that of the spans that it ends: see observe.ErrorType.
func (*refusedError) ErrorType() string { return "module_refused" }

// again leases the entry of an earlier verdict; nil where it is not there any more.
func (c *cache) again(ctx context.Context, v wire.Verdict) (*lease, error) {
	hash := strings.TrimSuffix(v.File, moduleSuffix)
	if hash == "" || !c.valid(hash) {
		return nil, nil //nolint:nilnil // as said
	}
	return c.lease(ctx, hash)
}

// What the names of an entry's files end with.
const (
	moduleSuffix   = ".wasm"
	manifestSuffix = ".json"
	usedSuffix     = ".used"
)

// manifest reads the manifest of an entry.
func (c *cache) manifest(hash string) (m manifest, err error) {
	data, err := os.ReadFile(filepath.Join(c.dir, hash+manifestSuffix))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err == nil && !filepath.IsLocal(m.Entry) {
		err = fmt.Errorf("it names %q", m.Entry)
	}
	if err != nil {
		return m, fmt.Errorf("read the manifest of a compiled module: %w", err)
	}
	return m, nil
}

// valid reports whether a compiled form is there as it was written. What was
// changed is compiled again.
func (c *cache) valid(hash string) bool {
	m, err := c.manifest(hash)
	if err != nil {
		return false
	}
	c.touch(hash)
	files := [...]string{filepath.Join(c.dir, hash+manifestSuffix), filepath.Join(c.dir, m.Entry), filepath.Join(c.dir, hash+moduleSuffix)}
	var now stamps
	for i, name := range files {
		info, err := os.Lstat(name)
		if err != nil || !info.Mode().IsRegular() {
			return false
		}
		st := wsys.NewStat_t(info)
		now[i] = stamp{ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
	}
	c.mu.Lock()
	known := c.seen[hash] == now
	c.mu.Unlock()
	if known {
		return true
	}
	if sum, err := hashFile(files[1]); err != nil || sum != m.Sum {
		return false
	}
	if sum, err := hashFile(files[2]); err != nil || sum != hash {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]stamps{}
	}
	c.seen[hash] = now
	return true
}

// add compiles a module in a folder of its own, and moves the result here, its
// manifest last.
func (c *cache) add(ctx context.Context, hash string, data []byte, job string) (err error) {
	if err := c.use(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.dir, compileFolder)
	if err != nil {
		return fmt.Errorf("compile a WebAssembly module: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := c.compile(ctx, data, dir); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(dir, "wazero-*", "*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("compile a WebAssembly module: the engine left %d files, want 1", len(found))
	}
	compiled, err := os.ReadFile(found[0])
	if err != nil {
		return fmt.Errorf("compile a WebAssembly module: %w", err)
	}
	entry := filepath.Join(filepath.Base(filepath.Dir(found[0])), filepath.Base(found[0]))
	m, err := json.Marshal(manifest{Entry: entry, Sum: sumOf(compiled), Job: job})
	if err != nil {
		return fmt.Errorf("compile a WebAssembly module: %w", err)
	}
	size := int64(0)
	for _, f := range []struct {
		name string
		data []byte
	}{{entry, compiled}, {hash + moduleSuffix, data}, {hash + manifestSuffix, m}} {
		if err := replace(filepath.Join(c.dir, f.name), f.data); err != nil {
			return fmt.Errorf("keep a compiled WebAssembly module: %w", err)
		}
		size += onDisk(int64(len(f.data)))
	}
	c.touch(hash)
	return c.collect(hash, size)
}

// replace writes a file at once: a reader sees the old one or the new one.
func replace(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err //nolint:wrapcheck // add says what was done
	}
	f, err := os.CreateTemp(filepath.Dir(name), newFile)
	if err != nil {
		return err //nolint:wrapcheck // as above
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
