package wasm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"otelrunner/otel/observe"
	"otelrunner/sandbox/wasm/wire"
)

// process is a worker process that has said that it is ready.
type process struct {
	cmd   *exec.Cmd
	conn  *wire.Conn
	ours  []*os.File // our ends of its pipes
	last  *tail
	state wire.State
	idle  int64 // bytes of data that it has when it runs nothing

	noNamespaces error // why it has none of its own; nil where it has

	exited chan struct{} // closed once it was waited for
	err    error         // of Wait, valid then
}

// startTime bounds how long a worker may take until it is ready.
const startTime = 30 * time.Second

// start starts a worker and waits until it is ready. Its environment is empty, and
// nothing but three pipes is passed.
func (p *Provider) start(ctx context.Context, setup wire.Setup) (_ *process, err error) {
	ctx, end := observe.Start(ctx, observe.WASMWorkerStart)
	defer func() { end(err) }()
	setup.Secure = p.options.Secure
	stdin, toWorker, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start a WASM worker: %w", err)
	}
	fromWorker, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a WASM worker: %w", err), stdin.Close(), toWorker.Close())
	}
	w := &process{
		conn: wire.NewConn(fromWorker, toWorker), ours: []*os.File{toWorker, fromWorker},
		last: &tail{}, exited: make(chan struct{}),
	}
	w.cmd, w.noNamespaces, err = p.launch(func(namespaces bool) *exec.Cmd {
		cmd := exec.Command(p.options.Command[0], p.options.Command[1:]...) //nolint:gosec,noctx // ourselves; kill ends it
		cmd.Env = []string{}
		cmd.Dir = "/"
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, w.last
		cmd.WaitDelay = time.Second
		isolate(cmd, namespaces)
		return cmd
	})
	_ = stdin.Close()
	_ = stdout.Close()
	if err != nil {
		w.closePipes()
		return nil, fmt.Errorf("start a WASM worker (%s): %w", strings.Join(p.options.Command, " "), err)
	}
	go func() {
		w.err = w.cmd.Wait()
		close(w.exited)
	}()
	if err := w.ready(ctx, setup); err != nil {
		w.end()
		if said := w.last.String(); said != "" {
			err = fmt.Errorf("%w: it said: %s", err, said)
		}
		return nil, err
	}
	return w, nil
}

func (w *process) ready(ctx context.Context, setup wire.Setup) error {
	done := make(chan error, 1)
	go func() { done <- w.greet(setup) }()
	timer := time.NewTimer(startTime)
	defer timer.Stop()
	var err error
	select {
	case err = <-done:
		return err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = fmt.Errorf("start a WASM worker: it was not ready within %v", startTime)
	}
	w.kill()
	<-done //nolint:errcheck // the reason is known already
	return err
}

func (w *process) greet(setup wire.Setup) error {
	if err := w.conn.SendJSON(wire.Init, setup); err != nil {
		return err
	}
	kind, payload, err := w.conn.Receive(0)
	if err != nil {
		return fmt.Errorf("start a WASM worker: it ended before it was ready: %w", err)
	}
	if kind != wire.Ready || json.Unmarshal(payload, &w.state) != nil {
		return errors.New("start a WASM worker: what it answers is not the worker's protocol")
	}
	if w.state.Error != "" {
		return errors.New(w.state.Error)
	}
	w.idle = dataSize(w.cmd.Process.Pid)
	return nil
}

// kill ends the process at once, whatever it does.
func (w *process) kill() { _ = w.cmd.Process.Kill() }

// end kills the process and waits for it.
func (w *process) end() {
	w.kill()
	<-w.exited
	w.closePipes()
}

func (w *process) closePipes() {
	for _, f := range w.ours {
		_ = f.Close()
	}
}

func (w *process) dead() bool {
	select {
	case <-w.exited:
		return true
	default:
		return false
	}
}

// tail keeps the first and last of what a worker says on stderr: a dying Go
// runtime names the reason first.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if room := maxTail - len(t.text); room > 0 {
		t.text = append(t.text, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

// outOfMemory reports whether the worker's runtime died for want of memory.
func (t *tail) outOfMemory() bool {
	said := t.String()
	return strings.Contains(said, "out of memory") || strings.Contains(said, "cannot allocate memory")
}
