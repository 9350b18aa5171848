package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unsafe"

	"otelrunner/sandbox/wasm/guest/shell"
	"otelrunner/sandbox/wasm/guest/tool"
)

// The host module that ../ABI.md describes. No call blocks.

//go:wasmimport otelrunner spawn
func hostSpawn(req unsafe.Pointer, reqLen uint32, handle unsafe.Pointer) uint32

//go:wasmimport otelrunner write
func hostWrite(handle uint32, buf unsafe.Pointer, length uint32, n unsafe.Pointer) uint32

//go:wasmimport otelrunner close_stdin
func hostCloseStdin(handle uint32) uint32

//go:wasmimport otelrunner read
func hostRead(handle, stream uint32, buf unsafe.Pointer, length uint32, n unsafe.Pointer) uint32

//go:wasmimport otelrunner close_out
func hostCloseOut(handle, stream uint32) uint32

//go:wasmimport otelrunner wait
func hostWait(handle uint32, status unsafe.Pointer) uint32

//go:wasmimport otelrunner kill
func hostKill(handle uint32) uint32

//go:wasmimport otelrunner close
func hostClose(handle uint32) uint32

//go:wasmimport otelrunner last_error
func hostLastError(buf unsafe.Pointer, length uint32, n unsafe.Pointer) uint32

const (
	errnoOK    = 0
	errnoAgain = 6
)

func spawner() shell.Spawner { return hostSpawner{} }

type hostSpawner struct{}

// Spawn runs a module through the host: one goroutine each for its streams, and
// this one waits for its end.
func (hostSpawner) Spawn(ctx context.Context, path string, args []string, s tool.Streams) (int, error) {
	req, err := json.Marshal(map[string]any{"path": path, "args": args, "env": s.Env, "dir": s.Dir})
	if err != nil {
		return 0, err
	}
	var handle uint32
	if errno := hostSpawn(unsafe.Pointer(&req[0]), uint32(len(req)), unsafe.Pointer(&handle)); errno != errnoOK {
		// The shell says itself which command it is about.
		return 0, errors.New(strings.TrimPrefix(lastError(errno), args[0]+": "))
	}
	defer hostClose(handle)
	var outputs sync.WaitGroup
	outputs.Go(func() { output(handle, 1, s.Stdout) })
	outputs.Go(func() { output(handle, 2, s.Stderr) })
	ended := make(chan struct{})
	// It may wait in a Read of our own stdin when the child has ended; it then
	// ends with the next byte or with the process.
	go input(handle, s.Stdin, ended)
	var status uint32
	var p pause
	for hostWait(handle, unsafe.Pointer(&status)) == errnoAgain {
		if ctx.Err() != nil {
			hostKill(handle)
		}
		p.wait()
	}
	close(ended)
	outputs.Wait()
	return int(status), nil
}

func lastError(errno uint32) string {
	var buf [1024]byte
	var n uint32
	if hostLastError(unsafe.Pointer(&buf[0]), uint32(len(buf)), unsafe.Pointer(&n)) == errnoOK && n > 0 {
		return string(buf[:n])
	}
	return fmt.Sprintf("cannot start the module (errno %d)", errno)
}

// pause waits a little longer each time, up to 2 ms.
type pause time.Duration

func (p *pause) wait() {
	*p = min(max(*p*2, pause(20*time.Microsecond)), pause(2*time.Millisecond))
	time.Sleep(time.Duration(*p))
}

func input(handle uint32, r io.Reader, ended <-chan struct{}) {
	defer hostCloseStdin(handle)
	if r == nil {
		return
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Read(buf)
		for data := buf[:n]; len(data) > 0; {
			select {
			case <-ended:
				return
			default:
			}
			var done uint32
			var p pause
			switch hostWrite(handle, unsafe.Pointer(&data[0]), uint32(len(data)), unsafe.Pointer(&done)) {
			case errnoOK:
				data = data[done:]
			case errnoAgain:
				p.wait()
			default:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func output(handle, stream uint32, w io.Writer) {
	buf := make([]byte, 16<<10)
	var p pause
	for {
		var n uint32
		switch hostRead(handle, stream, unsafe.Pointer(&buf[0]), uint32(len(buf)), unsafe.Pointer(&n)) {
		case errnoAgain:
			p.wait()
			continue
		case errnoOK:
			if n == 0 {
				return
			}
		default:
			return
		}
		p = 0
		if _, err := w.Write(buf[:n]); err != nil {
			hostCloseOut(handle, stream)
			return
		}
	}
}
