package module_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"github.com/tetratelabs/wazero"

	"otelrunner/sandbox/wasm/module"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// varied are modules with instructions of every kind of encoding.
func varied() []w.Module {
	body := func(parts ...[]byte) w.Module {
		return w.Module{Imports: []w.Import{w.ProcExit()}, Funcs: []w.Func{{Locals: 2, Body: w.Cat(parts...)}}, Pages: 1, Tables: [][2]uint32{{4, 8}}, Globals: 2}
	}
	vector := append([]byte{0xfd, 12}, make([]byte, 16)...)
	return []w.Module{
		ok(),
		body(),
		body(w.Op(0x01), w.Const64(-1), w.Drop(), w.Op(0x43, 0, 0, 0, 0), w.Drop(), w.Op(0x44, 0, 0, 0, 0, 0, 0, 0, 0), w.Drop()),
		body(w.Op(0x02, 0x40), w.Const(1), w.Op(0x0e, 1, 0, 0), w.Op(0x0b)), // br_table
		body(w.Const(1), w.Op(0x04, 0x7f), w.Const(2), w.Op(0x05), w.Const(3), w.Op(0x0b), w.Drop()),
		body(w.Const(1), w.Const(2), w.Const(0), w.Op(0x1c, 1, 0x7f), w.Drop()),
		body(w.Op(0xd0, 0x70), w.Op(0xd1), w.Drop(), w.Op(0xd0, 0x70), w.Const(1), w.Op(0xfc, 15, 0), w.Drop()),
		body(w.Const(0), w.Const(0), w.Const(4), w.Op(0xfc, 10, 0, 0), w.Const(0), w.Const(0), w.Const(4), w.Op(0xfc, 11, 0)),
		body(w.Op(0x44, 0, 0, 0, 0, 0, 0, 0, 0), w.Op(0xfc, 2), w.Drop()),
		body(vector, w.Op(0xfd, 21, 3), w.Drop(), w.Const(0), w.Op(0xfd, 0, 4, 0), w.Drop(), w.Const(0), vector, w.Op(0xfd, 84, 0, 0, 1), w.Drop()),
		body(vector, vector, append([]byte{0xfd, 13}, make([]byte, 16)...), w.Op(0xfd, 0x53), w.Drop()),
		body(w.Loop(w.Loop(w.Const(0), w.Op(0x0d, 1)), w.Op(0x0c, 1))),
		body(w.Op(0x23, 1), w.Op(0x24, 0), w.Op(0x3f, 0), w.Drop()),
	}
}

// TestMeter compiles what it makes, where the engine compiles the module itself.
func TestMeter(t *testing.T) {
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	defer func() { _ = r.Close(ctx) }()
	for i, m := range varied() {
		data := m.Bytes()
		if _, err := r.CompileModule(ctx, data); err != nil {
			t.Errorf("module %d is not valid itself: %v", i, err)
			continue
		}
		info, err := module.Scan(data, module.Limits{})
		if err != nil {
			t.Fatalf("module %d: %v", i, err)
		}
		metered, err := info.Meter(data)
		if err != nil {
			t.Errorf("module %d: %v", i, err)
			continue
		}
		compiled, err := r.CompileModule(ctx, metered)
		if err != nil {
			t.Errorf("module %d, metered: %v", i, err)
			continue
		}
		if _, ok := compiled.ExportedMemories()["memory"]; !ok {
			t.Errorf("module %d: its memory is not exported any more", i)
		}
		again, err := module.Scan(metered, module.Limits{})
		if err != nil {
			t.Fatalf("module %d, metered: %v", i, err)
		}
		if _, err := again.Meter(metered); err == nil {
			t.Errorf("module %d: metered twice", i)
		}
	}
}

// ours is the global that Meter adds to a module of one, and its index.
const ours = 1

// reaching are modules that are not valid, and would be with what Meter adds.
func reaching() map[string]w.Module {
	body := func(parts ...[]byte) w.Module {
		return w.Module{Imports: []w.Import{w.ProcExit()}, Funcs: []w.Func{{Body: w.Cat(parts...)}}, Pages: 1, Tables: [][2]uint32{{4, 8}}, Globals: ours}
	}
	with := func(change func(*w.Module)) w.Module {
		m := body()
		change(&m)
		return m
	}
	return map[string]w.Module{
		"global.set":           body(w.Const64(1<<60), w.Op(0x24, ours)),
		"global.get":           body(w.Op(0x23, ours), w.Drop()),
		"global.set in a loop": body(w.Loop(w.Const64(1<<60), w.Op(0x24, ours))),
		"a start function with a parameter": with(func(m *w.Module) {
			m.Funcs, m.Start = []w.Func{{}, {Params: []byte{w.I32}}}, true
		}),
	}
}

// TestMeterRefuses meters what only Meter's additions would make valid.
func TestMeterRefuses(t *testing.T) {
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	defer func() { _ = r.Close(ctx) }()
	for name, m := range reaching() {
		if err := refusedMetered(ctx, r, m.Bytes()); err == nil {
			t.Errorf("%s: it runs, metered", name)
		}
	}
	for name, data := range reachingBytes() {
		if _, err := r.CompileModule(ctx, data); err == nil {
			t.Errorf("%s: it is valid itself", name)
		}
		if err := refusedMetered(ctx, r, data); err == nil {
			t.Errorf("%s: it runs, metered", name)
		}
	}
}

// reachingBytes are such modules that Module cannot spell.
func reachingBytes() map[string][]byte {
	header := []byte("\x00asm\x01\x00\x00\x00")
	types, funcs := w.Section(1, w.Op(1, 0x60, 0, 0)), w.Section(3, w.Op(1, 0))
	table, memory := w.Section(4, w.Op(1, 0x70, 0, 4)), w.Section(5, w.Op(1, 0, 1))
	global := w.Section(6, w.Op(1, w.I64, 1, 0x42, 0, 0x0b))
	start := w.Cat(w.Name("_start"), w.Op(0, 0))
	exports := w.Section(7, w.Cat(w.Op(1), start))
	code := w.Section(10, w.Op(1, 2, 0, 0x0b))
	all := func(parts ...[]byte) []byte {
		return w.Cat(append([][]byte{header, types, funcs, table, memory}, parts...)...)
	}
	element := func(content ...byte) []byte { return all(global, exports, w.Section(9, content), code) }
	data := func(content ...byte) []byte { return all(global, exports, code, w.Section(11, content)) }
	return map[string][]byte{
		"an export":                          all(global, w.Section(7, w.Cat(w.Op(2), start, w.Name("fuel"), w.Op(3, ours))), code),
		"another global":                     all(w.Section(6, w.Op(1, w.I64, 1, 0x23, ours, 0x0b)), exports, code),
		"more globals than counted":          all(w.Section(6, w.Op(1, w.I64, 1, 0x42, 0, 0x0b, w.I64, 1, 0x42, 0, 0x0b)), exports, code),
		"an element's offset":                element(1, 0, 0x23, ours, 0x0b, 1, 0),
		"an element":                         element(1, 5, 0x70, 1, 0x23, ours, 0x0b),
		"the data's offset":                  data(1, 0, 0x23, ours, 0x0b, 1, 'x'),
		"a start function that is not there": all(global, exports, w.Section(8, w.Op(7)), code),
	}
}

// refusedMetered is what is wrong with a module, metered.
func refusedMetered(ctx context.Context, r wazero.Runtime, data []byte) error {
	info, err := module.Scan(data, module.Limits{})
	if err != nil {
		return err
	}
	metered, err := info.Meter(data)
	if err != nil {
		return err
	}
	compiled, err := r.CompileModule(ctx, metered)
	if err != nil {
		return err
	}
	return compiled.Close(ctx)
}

// withoutCustom leaves out the custom sections, as Meter does: what is wrong in one
// is no reason to refuse a module.
func withoutCustom(data []byte) []byte {
	out := bytes.Clone(data[:8])
	for rest := data[8:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest[1:])
		end := 1 + n + int(size) //nolint:gosec // Scan has read it
		if rest[0] != 0 {
			out = append(out, rest[:end]...)
		}
		rest = rest[end:]
	}
	return out
}

func FuzzMeter(f *testing.F) {
	for _, m := range varied() {
		f.Add(m.Bytes())
	}
	for _, m := range reaching() {
		f.Add(m.Bytes())
	}
	for _, data := range reachingBytes() {
		f.Add(data)
	}
	ctx := f.Context()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := module.Scan(data, module.Limits{Memory: 1 << 20, TableElements: 1000})
		if err != nil {
			return
		}
		metered, err := info.Meter(data)
		if len(data) > 1<<12 {
			return // a compiler's time
		}
		compiled, invalid := r.CompileModule(ctx, withoutCustom(data))
		if invalid != nil {
			if err == nil && refusedMetered(ctx, r, data) == nil {
				t.Fatalf("a module that is not valid runs, metered: %v", invalid)
			}
			return
		}
		_ = compiled.Close(ctx)
		if err != nil {
			_, fuel := info.Export(module.FuelGlobal)
			if _, start := info.Export(module.StartFunction); !fuel && !start {
				t.Fatalf("a valid module: %v", err)
			}
			return
		}
		again, invalid := r.CompileModule(ctx, metered)
		if invalid != nil {
			t.Fatalf("metered: %v", invalid)
		}
		_ = again.Close(ctx)
	})
}
