package module_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/tetratelabs/wazero"

	"otelrunner/sandbox/wasm/module"
	w "otelrunner/sandbox/wasm/wasmtest"
)

// memoryOf is what a module's memory holds once it is instantiated; nil where that
// fails.
func memoryOf(t *testing.T, data []byte) []byte {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer func() { _ = r.Close(ctx) }()
	_, err := r.NewHostModuleBuilder("wasi_snapshot_preview1").NewFunctionBuilder().WithFunc(func(uint32) {}).Export("proc_exit").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.InstantiateWithConfig(ctx, data, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return nil
	}
	memory, _ := m.Memory().Read(0, m.Memory().Size())
	return bytes.Clone(memory)
}

func joined(t *testing.T, data []byte) []byte {
	t.Helper()
	info, err := module.Scan(data, module.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return info.Join(data)
}

// TestJoin compares what memories hold with and without it, for segments in any
// order, with gaps, overlapping, and beyond the memory.
func TestJoin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	changed := 0
	for round := range 300 {
		m := ok()
		at := int32(0)
		for range 1 + random.IntN(20) {
			piece := bytes.Repeat([]byte{byte(1 + random.IntN(255))}, random.IntN(60))
			m.Data = append(m.Data, w.Data{At: at, Data: piece})
			at += int32(len(piece) + random.IntN(200)) //nolint:gosec // small
			if round%10 == 0 && random.IntN(4) == 0 {
				at -= 30 // the next one overlaps
			}
			at = max(at, 0)
		}
		if round%50 == 7 {
			m.Data = append(m.Data, w.Data{At: 65530, Data: []byte("beyond")}, w.Data{At: 65536, Data: []byte("x")})
		}
		random.Shuffle(len(m.Data), func(i, j int) { m.Data[i], m.Data[j] = m.Data[j], m.Data[i] })
		plain := m.Bytes()
		after := joined(t, plain)
		if !bytes.Equal(plain, after) {
			changed++
		}
		if want, got := memoryOf(t, plain), memoryOf(t, after); !bytes.Equal(want, got) {
			t.Fatalf("round %d: the memories of %d segments differ", round, len(m.Data))
		}
	}
	if changed < 200 {
		t.Errorf("%d of 300 modules were changed", changed)
	}
}

// TestJoinLeaves lists modules that stay as they are.
func TestJoinLeaves(t *testing.T) {
	near := []w.Data{{At: 10, Data: []byte("abcdefgh")}, {At: 20, Data: []byte("b")}}
	m := ok()
	m.Data = near
	plain := m.Bytes()
	code := w.Section(10, []byte{1, 6, 0, 0x41, 0, 0x10, 0, 0x0b})
	at := bytes.LastIndex(plain, w.Cat([]byte{2, 0}, w.Const(10)))
	if at < 0 || !bytes.Contains(plain, code) {
		t.Fatalf("the test knows another encoding: % x", plain)
	}
	counted := bytes.Clone(plain) // the code may name the segments
	counted = bytes.Replace(counted, code, append(w.Section(12, []byte{2}), code...), 1)
	passive := bytes.Clone(plain)
	passive[at+1] = 1
	computed := bytes.Clone(plain)
	computed[at+2] = 0x23 // global.get
	far := ok()
	far.Data = []w.Data{{At: 10, Data: bytes.Repeat([]byte("a"), 500)}, {At: 1000, Data: []byte("b")}}
	for name, data := range map[string][]byte{"far": far.Bytes(), "passive": passive, "computed": computed, "counted": counted, "none": ok().Bytes()} {
		if after := joined(t, data); !bytes.Equal(after, data) {
			t.Errorf("%s: it is changed", name)
		}
	}
	if after := joined(t, plain); bytes.Equal(after, plain) {
		t.Error("near segments are not joined")
	}
}
