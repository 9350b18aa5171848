package module

import (
	"bytes"
	"encoding/binary"
	"math"
)

// FuelGlobal is the export of a metered module that holds what is left of its fuel:
// a mutable global of type i64. Below zero, the module has ended for want of it.
const FuelGlobal = "otelrunner.fuel"

// StartFunction is the export of a metered module that has to be called before
// _start, once FuelGlobal is set: what was the module's start function, which an
// engine would call before anybody could set it. Not every module has one.
const StartFunction = "otelrunner.start"

// Meter returns a module that counts its instructions: it takes as much from
// FuelGlobal at each entry of a function and at each turn of a loop as the function
// or the loop has instructions in it, without those of loops inside, and traps
// (unreachable) where that is below zero. The count is the same in every run; of
// the two sides of an if both are counted. data is what i was scanned from. Code
// that cannot be read is an *Error, and what an engine refuses in a module it refuses
// in what Meter returns: what is added is in nobody's reach.
//
// The encoding of instructions is chapter 5.4 of the WebAssembly core
// specification 2.0.
func (i *Info) Meter(data []byte) ([]byte, error) {
	for _, own := range []string{FuelGlobal, StartFunction} {
		if _, taken := i.Export(own); taken {
			return nil, errorf(Unsupported, -1, "it exports %q, which is the name of the sandbox's own", own)
		}
	}
	global := uint32(i.Globals) //nolint:gosec // at most maxGlobals
	for _, imp := range i.Imports {
		if imp.Kind == Global {
			global++
		}
	}
	if err := i.checkGlobals(data, global); err != nil {
		return nil, err
	}
	exports := [][]byte{exportOf(FuelGlobal, 3, global)}
	if i.Start {
		start, err := i.startFunction(data)
		if err != nil {
			return nil, err
		}
		exports = append(exports, exportOf(StartFunction, 0, start))
	}
	out := bytes.Clone(data[:8])
	hadGlobals, hadExports := false, false
	add := func(id byte, content []byte) {
		out = append(out, id)
		out = binary.AppendUvarint(out, uint64(len(content)))
		out = append(out, content...)
	}
	ours := append([]byte{0x7e, 1, 0x42}, append(sleb(math.MaxInt64), 0x0b)...)
	for _, sec := range i.sections {
		content := data[sec.start:sec.end]
		if order(sec.id) > order(6) && !hadGlobals {
			add(6, append([]byte{1}, ours...))
			hadGlobals = true
		}
		if order(sec.id) > order(7) && !hadExports {
			add(7, longer([]byte{0}, exports...))
			hadExports = true
		}
		switch sec.id {
		case 6:
			content, hadGlobals = longer(content, ours), true
		case 7:
			content, hadExports = longer(content, exports...), true
		case 8:
			continue // an export now
		case 10:
			var err error
			if content, err = meterCode(content, sec.start, global); err != nil {
				return nil, err
			}
		}
		add(sec.id, content)
	}
	return out, nil
}

// longer appends entries to a vector.
func longer(vector []byte, entries ...[]byte) []byte {
	n, size := binary.Uvarint(vector)
	out := binary.AppendUvarint(nil, n+uint64(len(entries)))
	return append(append(out, vector[size:]...), bytes.Join(entries, nil)...)
}

// exportOf is an entry of the export section.
func exportOf(name string, kind byte, index uint32) []byte {
	out := append(binary.AppendUvarint(nil, uint64(len(name))), name...)
	return binary.AppendUvarint(append(out, kind), uint64(index))
}

func sleb(n int64) []byte {
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

func meterCode(content []byte, base int, global uint32) ([]byte, error) {
	r := &reader{data: content, base: base, what: "its code section"}
	n := r.u32()
	out := binary.AppendUvarint(nil, uint64(n))
	for range n {
		size := r.u32()
		start := r.base + r.at
		body := r.bytes(size)
		if r.err != nil {
			return nil, r.err
		}
		m := &meter{r: &reader{data: body, base: start, what: "a function of it"}, global: global}
		metered := m.function()
		if m.r.err != nil {
			return nil, m.r.err
		}
		out = binary.AppendUvarint(out, uint64(len(metered)))
		out = append(out, metered...)
	}
	return out, nil
}

// meter rewrites one function.
type meter struct {
	r      *reader
	global uint32
}

// place is where what a part of a function costs is taken: at its entry, or behind
// the head of a loop.
type place struct {
	at   int // in the body
	cost int64
}

func (m *meter) function() []byte {
	for range m.r.u32() { // locals: how many, of which type
		m.r.u32()
		m.r.byte()
		if m.r.err != nil {
			return nil
		}
	}
	places := []place{{at: m.r.at}}
	open := []int{0} // for each block that is open, its place
	for len(open) > 0 && m.r.err == nil {
		op := m.r.byte()
		inner := open[len(open)-1]
		places[inner].cost++
		switch op {
		case 0x02, 0x04: // block, if
			m.leb()
			open = append(open, inner)
		case 0x03: // loop
			m.leb()
			places = append(places, place{at: m.r.at})
			open = append(open, len(places)-1)
		case 0x0b: // end
			open = open[:len(open)-1]
		default:
			m.immediates(op)
		}
	}
	if m.r.err == nil && m.r.left() > 0 {
		m.r.fail("a function of it goes on after its end")
	}
	if m.r.err != nil {
		return nil
	}
	var out []byte
	last := 0
	for _, p := range places {
		out = append(out, m.r.data[last:p.at]...)
		out = append(out, m.take(p.cost)...)
		last = p.at
	}
	return append(out, m.r.data[last:]...)
}

// take are the instructions that take fuel, and trap where there is not enough.
func (m *meter) take(cost int64) []byte {
	get := binary.AppendUvarint([]byte{0x23}, uint64(m.global))
	out := append(bytes.Clone(get), 0x42) // global.get, i64.const
	out = append(out, sleb(cost)...)
	out = append(out, 0x7d, 0x24) // i64.sub, global.set
	out = binary.AppendUvarint(out, uint64(m.global))
	out = append(out, get...)
	// i64.const 0, i64.lt_s, if, unreachable, end
	return append(out, 0x42, 0, 0x53, 0x04, 0x40, 0x00, 0x0b)
}

// leb skips a number, signed or not, of at most 64 bits.
func (m *meter) leb() {
	for range 10 {
		if m.r.byte() < 0x80 {
			return
		}
	}
	m.r.fail("a function of it has a number of more than 64 bits")
}

func (m *meter) twoLEBs() {
	m.leb()
	m.leb()
}

// immediates skips what follows an instruction's number.
func (m *meter) immediates(op byte) {
	switch {
	case op == 0x0e: // br_table
		for range m.r.count("targets", maxBody) {
			m.leb()
		}
		m.leb()
	case op == 0x1c: // select with types
		m.r.bytes(m.r.u32())
	case op == 0x11, op >= 0x28 && op <= 0x3e: // call_indirect; loads and stores
		m.twoLEBs()
	case op == 0x0c, op == 0x0d, op == 0x10, op >= 0x20 && op <= 0x22, op == 0x25, op == 0x26, op == 0x3f, op == 0x40, op == 0x41, op == 0x42, op == 0xd0, op == 0xd2:
		m.leb() // branches, call, variables, memory.size and grow, constants, references
	case op == 0x23, op == 0x24: // global.get, global.set
		m.ownGlobal(m.r.u32())
	case op == 0x43:
		m.r.bytes(4)
	case op == 0x44:
		m.r.bytes(8)
	case op == 0xfc:
		m.bulk()
	case op == 0xfd:
		m.vector()
	case op <= 0x01, op == 0x05, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
	default:
		m.r.fail("a function of it has the unknown instruction 0x%02x", op)
	}
}

func (m *meter) bulk() {
	switch sub := m.r.u32(); {
	case sub <= 7: // saturating truncation
	case sub == 8, sub == 10, sub == 12, sub == 14:
		m.twoLEBs()
	case sub <= 17:
		m.leb()
	default:
		m.r.fail("a function of it has the unknown instruction 0xfc %d", sub)
	}
}

func (m *meter) vector() {
	switch sub := m.r.u32(); {
	case sub <= 11, sub == 92, sub == 93: // loads and stores
		m.twoLEBs()
	case sub == 12, sub == 13: // constant, shuffle
		m.r.bytes(16)
	case sub >= 21 && sub <= 34: // lanes
		m.r.byte()
	case sub >= 84 && sub <= 91: // loads and stores of a lane
		m.twoLEBs()
		m.r.byte()
	case sub > 255:
		m.r.fail("a function of it has the unknown instruction 0xfd %d", sub)
	}
}
