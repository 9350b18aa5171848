package wasm_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
	"otelrunner/sandbox/wasm/wire"
)

// brokenArgument makes this program a worker that a guest has taken over, with what
// it does as its second argument.
const brokenArgument = "__broken-worker"

// brokenWorker says that it is ready, and then what its kind says.
func brokenWorker(kind string) {
	conn := wire.NewConn(os.Stdin, os.Stdout)
	_, _, _ = conn.Receive(0)
	_ = conn.SendJSON(wire.Ready, wire.State{})
	switch kind {
	case "reads nothing":
	case "closes its end":
		_ = os.Stdin.Close()
	case "tells the end unasked":
		_ = conn.SendJSON(wire.Done, wire.Outcome{})
	case "tells nonsense":
		_, _, _ = conn.Receive(0)
		_ = conn.Send(wire.Tells, []byte("{"))
	case "boasts":
		_, _, _ = conn.Receive(0)
		_ = conn.SendJSON(wire.Tells, wire.Progress{PeakMemory: 1 << 60, Denied: []string{"\n::error::forged"}})
		_ = conn.SendJSON(wire.Done, wire.Outcome{Exit: 0, PeakMemory: 1 << 60, CPU: 1 << 60})
	}
	time.Sleep(time.Minute)
}

// TestBrokenWorker has workers that do not keep to the protocol. None keeps the
// runner waiting.
func TestBrokenWorker(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for kind, says := range map[string]string{
		"reads nothing":         "time limit of 1s reached",
		"closes its end":        "the WASM worker is gone",
		"tells the end unasked": "",
		"tells nonsense":        "read what a WASM worker tells",
		"boasts":                "",
	} {
		t.Run(kind, func(t *testing.T) {
			j := open(t, newProvider(t, func(o *wasm.Options) {
				o.Command, o.Limits.Wall = []string{self, brokenArgument, kind}, time.Second
			}))
			c := j.put(hello())
			c.Env = map[string]string{"LONG": strings.Repeat("x", 3<<20)} // more than a pipe holds
			began := time.Now()
			res, err := j.Run(t.Context(), c)
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
				t.Errorf("error %v, want %q", err, says)
			}
			if res.Usage.PeakMemory > 64<<20 || res.Usage.CPU > time.Minute {
				t.Errorf("its word for what it used is taken: %+v", res.Usage)
			}
			if strings.Contains(strings.Join(res.Details, ""), "::error") {
				t.Errorf("details %q", res.Details)
			}
		})
	}
}

// TestLargeStep has more environment than fits into the worker's first bound, and
// more than is passed on.
func TestLargeStep(t *testing.T) {
	j := open(t, newProvider(t, nil))
	c := j.put(hello())
	var out bytes.Buffer
	c.Stdout, c.Env = &out, map[string]string{"LONG": strings.Repeat("x", 3<<20)}
	if _, err := j.Run(t.Context(), c); err != nil || out.String() != "hello\n" {
		t.Errorf("3 MiB: %q, %v", out.String(), err)
	}
	c.Env = map[string]string{"LONG": strings.Repeat("x", 5<<20)}
	_, err := j.Run(t.Context(), c)
	var limit *sandbox.LimitError
	if !errors.As(err, &limit) || !strings.Contains(limit.Text, "have 5.0 MiB") || !strings.Contains(limit.Text, "at most 4 MiB") {
		t.Errorf("5 MiB: %v", err)
	}
	trap := program(0, "", w.Unreachable())
	trap.Names = map[int]string{first: strings.Repeat("\n", 900<<10)} // twice as long as JSON
	_, errOut, res, err := j.run(trap.Bytes())
	if err != nil || res.ExitCode != 134 || !strings.Contains(errOut, "unreachable") {
		t.Errorf("a long name: exit code %d, %v, %.200q", res.ExitCode, err, errOut)
	}
}

// TestOutcomeFits has every text of an outcome as long as it gets, in characters that
// JSON spells longest.
func TestOutcomeFits(t *testing.T) {
	text := strings.Repeat("\x01", wire.MaxText)
	data, err := json.Marshal(wire.Outcome{Trap: text, Refused: text, Denied: []string{text, text, text, text}})
	if err != nil || len(data) > 1<<20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// TestKilledReport tells what a step has done that was killed.
func TestKilledReport(t *testing.T) {
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Limits.Wall = time.Second }))
	const link = "../../../../etc"
	m := program(0, link+"up"+strings.Repeat("x", 5000),
		w.Const(100), w.Op(0x40, 0), w.Drop(), // 102 pages
		openat(3, 1024+int32(len(link)), 1, create, rw), w.Drop(), // the file u
		w.Const(0), w.Const(1024), w.Store(), w.Const(4), w.Const(5000), w.Store(),
		w.Const(16), w.Load(), w.Const(0), w.Const(1), w.Const(8), w.Call(fWrite), w.Drop(),
		w.Const(1024), w.Const(int32(len(link))), w.Const(3), w.Const(1024+int32(len(link))), w.Const(2), w.Call(fSymlink), w.Drop(),
		openat(3, 1024+int32(len(link)), 2, 0, rightsRead), w.Drop(),
		w.Loop()).Bytes()
	sum := fmt.Sprintf("%x", sha256.Sum256(m))
	_, _, res, err := j.run(m)
	var limit *sandbox.LimitError
	if !errors.As(err, &limit) || limit.Limit != "time" {
		t.Errorf("error %v", err)
	}
	details := strings.Join(res.Details, "\n")
	for _, part := range []string{"Module: sha256:" + sum + " (", "6.4 MiB of memory at its peak", "wrote 4.9 KiB; files, folders and links made: 2", `Denied: leave: 1 times, first "work/hello/up"`, "before it was killed"} {
		if !strings.Contains(details, part) {
			t.Errorf("%q is not in\n%s", part, details)
		}
	}
	if res.Usage.PeakMemory != 102<<16 {
		t.Errorf("peak memory is %d", res.Usage.PeakMemory)
	}
	if facts := j.Sandbox.(sandbox.Attester).Attest(); !strings.Contains(facts[len(facts)-1].Value, sum) {
		t.Errorf("attested is %v", facts)
	}
}
