package wasm_test

import (
	"errors"
	"strings"
	"testing"

	"otelrunner/sandbox"
	"otelrunner/sandbox/wasm"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// TestFuel bounds instructions exactly: what is enough once is enough always, and
// one less never is.
func TestFuel(t *testing.T) {
	// 4 at the entry (const, set, loop, end), and 5 for each turn of the loop (get,
	// const, sub, tee, br_if) with its end.
	countdown := func(rounds int32) []byte {
		return program(1, "", w.Const(rounds), w.Set(0), w.While(w.Get(0), w.Const(1), w.Sub(), w.Tee(0))).Bytes()
	}
	const needed = 4 + 6*100
	j := open(t, newProvider(t, func(o *wasm.Options) { o.Limits.Fuel = 1_000_000 }))
	run := func(m []byte, fuel string) error {
		c := j.put(m)
		c.Env = map[string]string{"SANDBOX_LIMIT_FUEL": fuel}
		_, err := j.Run(t.Context(), c)
		return err
	}
	var limit *sandbox.LimitError
	for range 3 {
		if err := run(countdown(100), "604"); err != nil {
			t.Errorf("%d instructions: %v", needed, err)
		}
		if err := run(countdown(100), "603"); !errors.As(err, &limit) || limit.Limit != "fuel" || limit.Text != "fuel limit of 603 instructions reached" {
			t.Errorf("one less: %v", err)
		}
	}
	if err := run(countdown(1<<30), ""); !errors.As(err, &limit) || limit.Text != "fuel limit of 1000000 instructions reached" {
		t.Errorf("the operator's: %v", err)
	}
	if err := run(exponential().Bytes(), ""); !errors.As(err, &limit) || limit.Limit != "fuel" {
		t.Errorf("calls: %v", err)
	}
	// The start function, which an engine would call before there is any fuel.
	begin := func(body ...[]byte) []byte {
		m := program(0, "")
		m.Start, m.Funcs = true, []w.Func{{Locals: 1, Body: w.Cat(body...)}}
		return m.Bytes()
	}
	for range 2 { // it runs twice: as the start function, and as _start
		if err := run(begin(w.Const(100), w.Set(0), w.While(w.Get(0), w.Const(1), w.Sub(), w.Tee(0))), "1208"); err != nil {
			t.Errorf("a start function with what it takes: %v", err)
		}
		if err := run(begin(w.Const(100), w.Set(0), w.While(w.Get(0), w.Const(1), w.Sub(), w.Tee(0))), "1207"); !errors.As(err, &limit) || limit.Limit != "fuel" {
			t.Errorf("a start function with one less: %v", err)
		}
	}
	if err := run(begin(w.Loop()), "1000"); !errors.As(err, &limit) || limit.Limit != "fuel" || limit.Text != "fuel limit of 1000 instructions reached" {
		t.Errorf("an endless start function: %v", err)
	}
	if _, _, res, err := j.run(program(0, "", w.Unreachable()).Bytes()); err != nil || res.ExitCode != 134 {
		t.Errorf("a trap of its own: exit code %d, %v", res.ExitCode, err)
	}
	out, _, _, err := j.run(hello())
	want(t, "output after it", out, "hello\n")
	want(t, "error after it", err, nil)

	without := open(t, newProvider(t, nil))
	c := without.put(hello())
	c.Env = map[string]string{"SANDBOX_LIMIT_FUEL": "5"}
	if _, err := without.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "sandbox.fuel") {
		t.Errorf("a runner that counts none: %v", err)
	}
}

// TestFuelShell runs the shell with fuel: a large module, metered.
func TestFuelShell(t *testing.T) {
	box := shell(t)
	j := open(t, newProvider(t, func(o *wasm.Options) {
		o.Toolbox, o.Limits.Memory, o.Limits.Fuel = box, 512<<20, 2_000_000_000
	}))
	var out strings.Builder
	if _, err := j.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "seq 3 | sort -r | tr '\\n' ' '"}, Stdout: &out}); err != nil || out.String() != "3 2 1 " {
		t.Errorf("%q, %v", out.String(), err)
	}
	_, err := j.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "while :; do :; done"}})
	var limit *sandbox.LimitError
	if !errors.As(err, &limit) || limit.Limit != "fuel" {
		t.Errorf("an endless loop: %v", err)
	}
}
