// Package wasmtest assembles small WebAssembly modules for tests, hostile ones
// above all: what it is told to write it writes, valid or not.
package wasmtest

import "encoding/binary"

// Value types.
const (
	I32 byte = 0x7f
	I64 byte = 0x7e
)

// Func is a function.
type Func struct {
	Params, Results []byte
	Locals          int    // of type i32
	Body            []byte // without the final end
}

// Import is an imported function.
type Import struct {
	Module, Name    string
	Params, Results []byte
}

// WASI is a function of WASI preview 1 with n parameters of type i32 that
// returns an errno.
func WASI(name string, n int) Import {
	i := Import{Module: "wasi_snapshot_preview1", Name: name, Results: []byte{I32}}
	for range n {
		i.Params = append(i.Params, I32)
	}
	return i
}

// ProcExit is proc_exit(status).
func ProcExit() Import {
	return Import{Module: "wasi_snapshot_preview1", Name: "proc_exit", Params: []byte{I32}}
}

// Data is what a memory holds at the start.
type Data struct {
	At   int32
	Data []byte
}

// Module is a module; its last function is exported as _start.
type Module struct {
	Imports []Import
	Funcs   []Func
	Pages   uint32      // of memory, exported as memory; there is always one
	Tables  [][2]uint32 // minimum and maximum; a maximum of 0 is none
	Globals int         // of type i64, mutable, 0
	Data    []Data
	Start   bool              // the last function is the start function too
	Names   map[int]string    // of functions, for the name section
	Custom  map[string][]byte // custom sections
	Exports map[string]int    // more functions
}

// Bytes encodes the module.
func (m Module) Bytes() []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	var types, imports, funcs, code [][]byte
	typeOf := func(params, results []byte) []byte {
		types = append(types, cat([]byte{0x60}, vec(params), vec(results)))
		return U(uint64(len(types) - 1))
	}
	for _, i := range m.Imports {
		imports = append(imports, cat(Name(i.Module), Name(i.Name), []byte{0}, typeOf(i.Params, i.Results)))
	}
	for _, f := range m.Funcs {
		funcs = append(funcs, typeOf(f.Params, f.Results))
		locals := []byte{0}
		if f.Locals > 0 {
			locals = cat([]byte{1}, U(uint64(f.Locals)), []byte{I32})
		}
		code = append(code, vec(cat(locals, f.Body, []byte{0x0b})))
	}
	out = append(out, Section(1, list(types))...)
	out = append(out, Section(2, list(imports))...)
	out = append(out, Section(3, list(funcs))...)
	var tables [][]byte
	for _, t := range m.Tables {
		if t[1] == 0 {
			tables = append(tables, cat([]byte{0x70, 0}, U(uint64(t[0]))))
		} else {
			tables = append(tables, cat([]byte{0x70, 1}, U(uint64(t[0])), U(uint64(t[1]))))
		}
	}
	if len(tables) > 0 {
		out = append(out, Section(4, list(tables))...)
	}
	out = append(out, Section(5, cat([]byte{1, 0}, U(uint64(m.Pages))))...)
	if m.Globals > 0 {
		var globals [][]byte
		for range m.Globals {
			globals = append(globals, []byte{I64, 1, 0x42, 0, 0x0b})
		}
		out = append(out, Section(6, list(globals))...)
	}
	last := uint64(len(m.Imports) + len(m.Funcs) - 1)
	exports := [][]byte{cat(Name("memory"), []byte{2, 0}), cat(Name("_start"), []byte{0}, U(last))}
	for name, f := range m.Exports {
		exports = append(exports, cat(Name(name), []byte{0}, U(uint64(f))))
	}
	out = append(out, Section(7, list(exports))...)
	if m.Start {
		out = append(out, Section(8, U(last))...)
	}
	out = append(out, Section(10, list(code))...)
	if len(m.Data) > 0 {
		var data [][]byte
		for _, d := range m.Data {
			data = append(data, cat([]byte{0}, Const(d.At), []byte{0x0b}, vec(d.Data)))
		}
		out = append(out, Section(11, list(data))...)
	}
	if len(m.Names) > 0 {
		var names [][]byte
		for i := range len(m.Imports) + len(m.Funcs) {
			if n, ok := m.Names[i]; ok {
				names = append(names, cat(U(uint64(i)), Name(n)))
			}
		}
		out = append(out, Section(0, cat(Name("name"), []byte{1}, vec(list(names))))...)
	}
	for name, content := range m.Custom {
		out = append(out, Section(0, cat(Name(name), content))...)
	}
	return out
}

// U is an unsigned LEB128.
func U(n uint64) []byte { return binary.AppendUvarint(nil, n) }

// S is a signed LEB128.
func S(n int64) []byte {
	var out []byte
	for {
		b := byte(n & 0x7f)
		n >>= 7
		if n == 0 && b&0x40 == 0 || n == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// Name is a name with its length.
func Name(s string) []byte { return vec([]byte(s)) }

// Section is a section with its length.
func Section(id byte, content []byte) []byte { return cat([]byte{id}, vec(content)) }

func vec(b []byte) []byte { return cat(U(uint64(len(b))), b) }

func list(items [][]byte) []byte { return cat(U(uint64(len(items))), cat(items...)) }

func cat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// Cat joins instructions.
func Cat(parts ...[]byte) []byte { return cat(parts...) }

// Op is an instruction without immediates, or with those given.
func Op(b ...byte) []byte { return b }

// Const is i32.const.
func Const(n int32) []byte { return cat([]byte{0x41}, S(int64(n))) }

// Const64 is i64.const.
func Const64(n int64) []byte { return cat([]byte{0x42}, S(n)) }

// Call is call.
func Call(f int) []byte { return cat([]byte{0x10}, U(uint64(f))) }

// Loop is a loop that runs for ever, unless its body branches out or traps.
func Loop(body ...[]byte) []byte {
	return cat([]byte{0x03, 0x40}, cat(body...), []byte{0x0c, 0, 0x0b})
}

// While is a loop that runs while its body leaves a value other than 0.
func While(body ...[]byte) []byte {
	return cat([]byte{0x03, 0x40}, cat(body...), []byte{0x0d, 0, 0x0b})
}

// Get is local.get.
func Get(n int) []byte { return cat([]byte{0x20}, U(uint64(n))) }

// Set is local.set.
func Set(n int) []byte { return cat([]byte{0x21}, U(uint64(n))) }

// Tee is local.tee.
func Tee(n int) []byte { return cat([]byte{0x22}, U(uint64(n))) }

// Unreachable is unreachable.
func Unreachable() []byte { return Op(0x00) }

// Drop is drop.
func Drop() []byte { return Op(0x1a) }

// Load is i32.load from the address on the stack.
func Load() []byte { return Op(0x28, 2, 0) }

// Store is i32.store.
func Store() []byte { return Op(0x36, 2, 0) }

// Add is i32.add.
func Add() []byte { return Op(0x6a) }

// Sub is i32.sub.
func Sub() []byte { return Op(0x6b) }

// If runs a body when the value on the stack is not 0.
func If(body ...[]byte) []byte { return cat([]byte{0x04, 0x40}, cat(body...), []byte{0x0b}) }
