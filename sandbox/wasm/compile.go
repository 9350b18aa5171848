package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"otelrunner/otel/observe"
	"otelrunner/sandbox/wasm/rootfs"
	"otelrunner/sandbox/wasm/wire"
	"otelrunner/sandbox/wasm/worker"
)

// compileMemory bounds what compiling one module takes.
const compileMemory = 3 << 30

// compile compiles a module in a process of its own, which can write to one
// folder and nothing else. Its error is a *refusedError where the module is the
// reason.
func (p *Provider) compile(ctx context.Context, data []byte, to string) (err error) {
	ctx, end := observe.Start(ctx, observe.WASMCompile, attribute.Int("otelrunner.module.bytes", len(data)))
	defer func() { end(err) }()
	w, err := p.start(ctx, wire.Setup{Cache: to, Compile: true})
	if err != nil {
		return err
	}
	defer w.end()
	l := p.options.Limits
	l.CPU, l.Memory = l.Compile, compileMemory
	if err := w.limit(l); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*l.Compile+10*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, w.kill)
	defer stop()
	out, err := w.compileOne(data)
	switch {
	case err == nil && out.Refused == "":
		return nil
	case err == nil:
		return &refusedError{"the module does not compile: " + worker.Plain(out.Refused)}
	}
	w.end()
	switch {
	case w.cpuLimitHit() || errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return &refusedError{fmt.Sprintf("CPU limit of %v for compiling a module reached", l.Compile)}
	case w.last.outOfMemory():
		return &refusedError{fmt.Sprintf("memory limit of %s for compiling a module reached", rootfs.Size(compileMemory))}
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("compile a WebAssembly module: %w: %s", err, worker.Plain(w.last.String()))
}

func (w *process) compileOne(data []byte) (out wire.Outcome, err error) {
	if err := w.conn.Send(wire.Compile, data); err != nil {
		return out, err
	}
	kind, payload, err := w.conn.Receive(0)
	if err != nil {
		return out, err
	}
	if kind != wire.Done {
		return out, fmt.Errorf("a frame of kind %d", kind)
	}
	return out, json.Unmarshal(payload, &out)
}
