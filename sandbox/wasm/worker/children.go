package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/api"
	wexp "github.com/tetratelabs/wazero/experimental/sys"

	"otelrunner/sandbox/wasm/module"
)

// errno is an error number of WASI preview 1.
type errno = uint32

// The errors that ABI.md promises.
const (
	eAgain   errno = 6
	eBadf    errno = 8
	eFault   errno = 21
	eInval   errno = 28
	eMfile   errno = 33
	eNoent   errno = 44
	eNoexec  errno = 45
	ePipe    errno = 64
	maxSpawn       = 1 << 20 // bytes of a request
)

// Functions are the functions of the host module otelrunner (see ABI.md), as
// module.name.
func Functions() []string {
	var names []string
	for name := range functions() {
		names = append(names, "otelrunner."+name)
	}
	slices.Sort(names)
	return names
}

// functions are the host module's, by name. All parameters are i32.
func functions() map[string]any {
	return map[string]any{
		"spawn": func(ctx context.Context, m api.Module, req, reqLen, handle uint32) errno {
			return of(ctx).spawn(m.Memory(), req, reqLen, handle)
		},
		"write": func(ctx context.Context, m api.Module, handle, buf, size, n uint32) errno {
			return of(ctx).transfer(m.Memory(), handle, 0, buf, size, n)
		},
		"read": func(ctx context.Context, m api.Module, handle, stream, buf, size, n uint32) errno {
			if stream != 1 && stream != 2 {
				return eInval
			}
			return of(ctx).transfer(m.Memory(), handle, stream, buf, size, n)
		},
		"close_stdin": func(ctx context.Context, handle uint32) errno {
			return of(ctx).with(handle, func(c *child) errno { c.stdin.end(); return 0 })
		},
		"close_out": func(ctx context.Context, handle, stream uint32) errno {
			return of(ctx).with(handle, func(c *child) errno { return c.closeOut(stream) })
		},
		"wait": func(ctx context.Context, m api.Module, handle, status uint32) errno {
			return of(ctx).with(handle, func(c *child) errno { return c.wait(m.Memory(), status) })
		},
		"kill": func(ctx context.Context, handle uint32) errno {
			return of(ctx).with(handle, func(c *child) errno { c.kill(exitKilled); return 0 })
		},
		"close": func(ctx context.Context, handle uint32) errno { return of(ctx).forget(handle) },
		"last_error": func(ctx context.Context, m api.Module, buf, size, n uint32) errno {
			return of(ctx).tellError(m.Memory(), buf, size, n)
		},
		"http_request": func(ctx context.Context, m api.Module, req, reqLen, body, bodyLen, handle uint32) errno {
			return of(ctx).httpRequest(m.Memory(), req, reqLen, body, bodyLen, handle)
		},
		"http_head": func(ctx context.Context, m api.Module, handle, buf, size, n uint32) errno {
			return of(ctx).httpHead(m.Memory(), handle, buf, size, n)
		},
		"http_read": func(ctx context.Context, m api.Module, handle, buf, size, n uint32) errno {
			return of(ctx).httpRead(m.Memory(), handle, buf, size, n)
		},
		"http_close": func(ctx context.Context, handle uint32) errno { return of(ctx).httpClose(handle) },
	}
}

func of(ctx context.Context) *instance {
	return ctx.Value(instanceKey{}).(*instance) // execute has put it there
}

// hostModule makes the functions importable.
func (w *worker) hostModule(ctx context.Context) error {
	b := w.runtime.NewHostModuleBuilder("otelrunner")
	for name, f := range functions() {
		b = b.NewFunctionBuilder().WithFunc(f).Export(name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return fmt.Errorf("make the host functions: %w", err)
	}
	return nil
}

// child is an instance that another one has started.
type child struct {
	instance       *instance
	stdin          *pipe
	stdout, stderr *outPipe
	done           chan struct{}
	status         int // valid once done is closed
}

// outPipe is a child's output. Where nobody reads it any more, a write ends the
// child, as SIGPIPE would.
type outPipe struct {
	*pipe
	kill func(status int32)
}

func (o *outPipe) Write(b []byte) (int, error) {
	n, err := o.pipe.Write(b)
	if err != nil {
		o.kill(exitPipe)
	}
	return n, err
}

// request is what spawn gets.
type request struct {
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
}

func (i *instance) spawn(mem api.Memory, req, reqLen, handle uint32) errno {
	data, ok := mem.Read(req, min(reqLen, maxSpawn+1))
	if _, fits := mem.ReadUint32Le(handle); !ok || !fits {
		return eFault
	}
	var r request
	err := json.Unmarshal(data, &r)
	switch {
	case err != nil || reqLen > maxSpawn:
		return i.failed(eInval, "spawn: the request is not JSON of at most 1 MiB")
	case !path.IsAbs(r.Path) || len(r.Args) == 0 || r.Dir != "" && !path.IsAbs(r.Dir):
		return i.failed(eInval, "spawn: the request needs an absolute path, args, and an absolute dir or none")
	case hasNUL(r.Args) || hasNUL(r.Env):
		return i.failed(eInval, "spawn: a NUL character in args or env")
	case int(i.run.running.Load()) >= i.run.step.Limits.Children:
		return i.failed(eMfile, fmt.Sprintf("limit of %d programs at a time reached", i.run.step.Limits.Children))
	}
	if r.Dir == "" {
		r.Dir = "/"
	}
	image, err := i.run.readModule(r.Path)
	if err != nil {
		return i.failed(reasonOf(err), r.Args[0]+": "+err.Error())
	}
	// The runner applies the operator's limits, before it compiles anything.
	info, err := module.Scan(image, module.Limits{Size: math.MaxInt64, TableElements: math.MaxInt64})
	if err == nil {
		err = info.Runnable(Functions())
	}
	if err != nil {
		return i.failed(eNoexec, r.Args[0]+": "+err.Error())
	}
	mem.WriteUint32Le(handle, i.start(r))
	return 0
}

func hasNUL(list []string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.ContainsRune(s, 0) })
}

func reasonOf(err error) errno {
	if errors.Is(err, wexp.ENOENT) || errors.Is(err, wexp.ENOTDIR) {
		return eNoent
	}
	return eNoexec
}

func (i *instance) failed(e errno, text string) errno {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.lastError = text
	return e
}

// start starts a child, which gets ready and runs on a goroutine of its own. The
// process is its owner: the runner ends it where a child goes on.
func (i *instance) start(r request) uint32 {
	c := &child{stdin: newPipe(), done: make(chan struct{})}
	c.instance = &instance{run: i.run, args: r.Args, env: r.Env, dir: r.Dir, stdin: c.stdin}
	kill := func(status int32) { c.instance.killed.CompareAndSwap(0, status) }
	c.stdout, c.stderr = &outPipe{newPipe(), kill}, &outPipe{newPipe(), kill}
	c.instance.stdout, c.instance.stderr = c.stdout, c.stderr
	i.mu.Lock()
	if i.children == nil {
		i.children = map[uint32]*child{}
	}
	i.lastChild++
	handle := i.lastChild
	i.children[handle] = c
	i.mu.Unlock()
	i.run.running.Add(1)
	go func() {
		defer i.run.running.Add(-1)
		defer close(c.done)
		c.run(r.Path)
	}()
	return handle
}

func (c *child) run(name string) {
	defer c.stdout.end()
	defer c.stderr.end()
	defer c.stdin.breakOff()
	defer c.instance.endChildren()
	m, err := c.instance.run.module(name)
	if err != nil {
		c.status = exitRefused
		_, _ = fmt.Fprintf(c.stderr.pipe, "%s: %v\n", c.instance.args[0], err)
		return
	}
	var trap string
	if c.status, trap = c.instance.execute(m); trap != "" {
		_, _ = fmt.Fprintf(c.stderr.pipe, "%s: %s\n", c.instance.args[0], Plain(trap))
	}
}

// kill ends a child at its next call of the host, or now where it waits in one.
func (c *child) kill(status int32) {
	c.instance.killed.CompareAndSwap(0, status)
	c.stdin.breakOff()
	c.stdout.breakOff()
	c.stderr.breakOff()
}

func (c *child) closeOut(stream uint32) errno {
	switch stream {
	case 1:
		c.stdout.breakOff()
	case 2:
		c.stderr.breakOff()
	default:
		return eInval
	}
	return 0
}

func (c *child) wait(mem api.Memory, status uint32) errno {
	select {
	case <-c.done:
	default:
		return eAgain
	}
	if !mem.WriteUint32Le(status, uint32(c.status)) { //nolint:gosec // 0 … 255
		return eFault
	}
	return 0
}

func (i *instance) with(handle uint32, do func(*child) errno) errno {
	i.mu.Lock()
	c := i.children[handle]
	i.mu.Unlock()
	if c == nil {
		return eBadf
	}
	return do(c)
}

// transfer moves bytes to a child's stdin (stream 0) or from its output.
func (i *instance) transfer(mem api.Memory, handle, stream, buf, size, n uint32) errno {
	return i.with(handle, func(c *child) errno {
		data, ok := mem.Read(buf, min(size, pipeSize))
		if _, fits := mem.ReadUint32Le(n); !ok || !fits {
			return eFault
		}
		var moved int
		var e errno
		switch stream {
		case 0:
			moved, e = c.stdin.tryWrite(data)
		case 1:
			moved, e = c.stdout.tryRead(data)
		default:
			moved, e = c.stderr.tryRead(data)
		}
		mem.WriteUint32Le(n, uint32(moved)) //nolint:gosec // at most pipeSize
		return e
	})
}

func (i *instance) forget(handle uint32) errno {
	i.mu.Lock()
	c := i.children[handle]
	delete(i.children, handle)
	i.mu.Unlock()
	if c == nil {
		return eBadf
	}
	c.kill(exitKilled)
	return 0
}

// endChildren ends what an instance has started and not waited for.
func (i *instance) endChildren() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for handle, c := range i.children {
		c.kill(exitKilled)
		delete(i.children, handle)
	}
}

func (i *instance) tellError(mem api.Memory, buf, size, n uint32) errno {
	i.mu.Lock()
	text := i.lastError
	i.mu.Unlock()
	text = text[:min(len(text), int(size))]
	if !mem.WriteString(buf, text) || !mem.WriteUint32Le(n, uint32(len(text))) { //nolint:gosec // at most size
		return eFault
	}
	return 0
}
