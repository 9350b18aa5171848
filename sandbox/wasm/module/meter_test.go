package module_test

import (
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

func FuzzMeter(f *testing.F) {
	for _, m := range varied() {
		f.Add(m.Bytes())
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
		compiled, invalid := r.CompileModule(ctx, data)
		if invalid != nil {
			return
		}
		_ = compiled.Close(ctx)
		if err != nil {
			if _, taken := info.Export(module.FuelGlobal); !taken {
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
