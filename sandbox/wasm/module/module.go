// Package module reads a WebAssembly module before anything compiles it: what it
// imports and exports, how large its memories and tables are, and whether it can
// run in the sandbox at all. It reads headers and declarations, bounded by
// limits, and no instruction; a compiler validates the rest.
//
// Rules come from the WebAssembly core specification 2.0, chapter 5 (binary
// format), and from what wazero runs: WASI preview 1, no components, no threads,
// no 64-bit memories.
package module

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// Reason says what kind of refusal an Error is.
type Reason string

// The reasons.
const (
	Malformed   Reason = "malformed"   // not a module, or a damaged one
	Unsupported Reason = "unsupported" // a module for something else
	TooLarge    Reason = "too large"   // a limit is exceeded
)

// Error says why a module cannot run: one sentence for the workflow's author.
type Error struct {
	Reason Reason
	Offset int // of the byte in the file where it was found; -1 where that says nothing
	Text   string
}

func (e *Error) Error() string {
	if e.Offset < 0 {
		return e.Text
	}
	return fmt.Sprintf("%s (at byte %d)", e.Text, e.Offset)
}

func errorf(reason Reason, offset int, format string, args ...any) *Error {
	return &Error{Reason: reason, Offset: offset, Text: fmt.Sprintf(format, args...)}
}

// Limits bound what a module may declare; 0 takes the default.
type Limits struct {
	Size          int64 // of the file, in bytes; default 64 MiB
	Memory        int64 // initial size of all memories, in bytes; default 4 GiB
	TableElements int64 // of all tables together; default 10,000,000
}

// The default limits, and those that nobody needs to change.
const (
	DefaultSize          = 64 << 20
	DefaultMemory        = 4 << 30
	DefaultTableElements = 10_000_000

	maxCustom    = 32 << 20
	maxTypes     = 1_000_000
	maxFunctions = 1_000_000
	maxImports   = 10_000
	maxExports   = 100_000
	maxGlobals   = 1_000_000
	maxSegments  = 1_000_000
	maxTables    = 16
	maxLocals    = 50_000
	maxBody      = 8 << 20
	pageSize     = 64 << 10
)

func (l Limits) withDefaults() Limits {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Size, DefaultSize)
	set(&l.Memory, DefaultMemory)
	set(&l.TableElements, DefaultTableElements)
	return l
}

// Kind is the kind of an import or export.
type Kind string

// The kinds.
const (
	Func   Kind = "func"
	Table  Kind = "table"
	Memory Kind = "memory"
	Global Kind = "global"
)

// Import is one import.
type Import struct {
	Module, Name string
	Kind         Kind
}

// Export is one export.
type Export struct {
	Name string
	Kind Kind
}

// Range is the size of a memory in pages of 64 KiB, or of a table in elements.
type Range struct {
	Min    uint32
	Max    uint32
	HasMax bool
}

// Info is what a module declares.
type Info struct {
	Size      int
	Imports   []Import
	Exports   []Export
	Memories  []Range
	Tables    []Range
	Functions int // its own, without imports
	Globals   int // its own
	Start     bool
	Code      int // bytes
	Data      int // bytes
	Custom    int // bytes

	sections []section
}

// section is a part of the file: id, and where its content is.
type section struct {
	id         byte
	header     int // offset of the id
	start, end int
}

// sectionNames are the specification's, by id.
func sectionName(id byte) string {
	names := [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start", "element", "code", "data", "data count"}
	if int(id) < len(names) {
		return names[id]
	}
	return fmt.Sprintf("unknown (%d)", id)
}

// Scan reads a module. Its error is an *Error. What it returns holds strings of
// the module, at most as many bytes as the file has.
func Scan(data []byte, l Limits) (*Info, error) {
	l = l.withDefaults()
	if int64(len(data)) > l.Size {
		return nil, errorf(TooLarge, -1, "the module is %d bytes long, and the limit is %d", len(data), l.Size)
	}
	if err := header(data); err != nil {
		return nil, err
	}
	s := &scan{data: data, limits: l, info: &Info{Size: len(data)}}
	if err := s.sections(); err != nil {
		return nil, err
	}
	for _, sec := range s.info.sections {
		if err := s.section(sec); err != nil {
			return nil, err
		}
	}
	if s.bodies != s.info.Functions {
		return nil, errorf(Malformed, -1, "it declares %d functions and has code for %d", s.info.Functions, s.bodies)
	}
	return s.info, nil
}

// header checks the first eight bytes and says what the file is instead.
func header(data []byte) error {
	magic := []byte("\x00asm")
	if len(data) == 0 {
		return errorf(Malformed, -1, "the file is empty")
	}
	if !bytes.HasPrefix(data, magic) {
		switch head := bytes.TrimLeft(data[:min(len(data), 64)], " \t\r\n"); {
		case bytes.HasPrefix(magic, data):
			return errorf(Malformed, -1, "the file is truncated: it ends within the header")
		case bytes.HasPrefix(head, []byte("(module")), bytes.HasPrefix(head, []byte("(component")), bytes.HasPrefix(head, []byte(";;")):
			return errorf(Unsupported, -1, "the file is WebAssembly text: assemble it with wat2wasm")
		case bytes.HasPrefix(head, []byte("#!")):
			return errorf(Unsupported, -1, "the file is a script, not a WebAssembly module")
		case bytes.HasPrefix(head, []byte("\x7fELF")):
			return errorf(Unsupported, -1, "the file is a Linux program, not a WebAssembly module: build it for wasip1")
		case bytes.HasPrefix(head, []byte("version https://git-lfs")):
			return errorf(Unsupported, -1, "the file is a Git LFS pointer, not a WebAssembly module: fetch the file itself")
		}
		return errorf(Malformed, -1, "the file is not a WebAssembly module: it does not start with \\0asm")
	}
	if len(data) < 8 {
		return errorf(Malformed, -1, "the file is truncated: it ends within the header")
	}
	switch version := binary.LittleEndian.Uint32(data[4:]); {
	case version == 1:
		return nil
	case data[6] == 1:
		return errorf(Unsupported, -1, "the file is a WebAssembly component (preview 2), and modules of WASI preview 1 run here: build it for wasip1")
	default:
		return errorf(Unsupported, -1, "the file has version %d of the binary format, and version 1 runs here", version)
	}
}

type scan struct {
	data   []byte
	limits Limits
	info   *Info
	bodies int
}

// order is the place of a section among the others; custom ones have none.
func order(id byte) int {
	// The data count section (12) stands before the code (10).
	return [...]int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 10}[id]
}

func (s *scan) sections() error {
	r := &reader{data: s.data, at: 8, what: "the file"}
	last := 0
	for r.left() > 0 {
		sec := section{header: r.at}
		sec.id = r.byte()
		size := r.u32()
		if r.err != nil {
			return r.err
		}
		if sec.id == 13 {
			return errorf(Unsupported, sec.header, "it uses exceptions (a tag section), which do not run here: build it without")
		}
		if sec.id > 12 {
			return errorf(Malformed, sec.header, "it has a section of the unknown kind %d", sec.id)
		}
		if uint64(size) > uint64(r.left()) {
			return errorf(Malformed, sec.header, "the file is truncated: its %s section has %d bytes, and %d are there", sectionName(sec.id), size, r.left())
		}
		sec.start, sec.end = r.at, r.at+int(size)
		r.at = sec.end
		if sec.id == 0 {
			if s.info.Custom += int(size); s.info.Custom > maxCustom {
				return errorf(TooLarge, sec.header, "its custom sections have more than %d bytes: strip the module of debug information", maxCustom)
			}
			continue
		}
		if order(sec.id) <= last {
			return errorf(Malformed, sec.header, "its %s section is there twice or at the wrong place", sectionName(sec.id))
		}
		last = order(sec.id)
		s.info.sections = append(s.info.sections, sec)
	}
	return nil
}

func (s *scan) section(sec section) error {
	r := &reader{data: s.data[sec.start:sec.end], base: sec.start, what: "its " + sectionName(sec.id) + " section"}
	switch sec.id {
	case 1:
		r.count("types", maxTypes)
		return r.err // a compiler reads them
	case 2:
		s.imports(r)
	case 3:
		s.info.Functions = r.count("functions", maxFunctions)
		return r.err
	case 4:
		s.tables(r)
	case 5:
		s.memories(r)
	case 6:
		s.info.Globals = r.count("globals", maxGlobals)
		return r.err
	case 7:
		s.exports(r)
	case 8:
		s.info.Start = true
		r.u32()
	case 9:
		r.count("element segments", maxSegments)
		return r.err
	case 10:
		s.code(r)
	case 11:
		r.count("data segments", maxSegments)
		s.info.Data = len(r.data)
		return r.err
	case 12:
		r.u32()
	}
	if r.err == nil && r.left() > 0 {
		r.fail("%s has %d bytes too many", r.what, r.left())
	}
	return r.err
}

func (s *scan) imports(r *reader) {
	n := r.count("imports", maxImports)
	for range n {
		mod := r.name()
		imp := Import{Module: mod, Name: r.name()}
		switch kind := r.byte(); kind {
		case 0:
			imp.Kind = Func
			r.u32()
		case 1:
			imp.Kind = Table
			r.byte()
			s.limit(r)
		case 2:
			imp.Kind = Memory
			s.limit(r)
		case 3:
			imp.Kind = Global
			r.byte()
			r.byte()
		default:
			r.fail("its import %q has the unknown kind %d", clip(imp.Name), kind)
		}
		if r.err != nil {
			return
		}
		s.info.Imports = append(s.info.Imports, imp)
	}
}

// limit reads the limits of a table or memory.
func (s *scan) limit(r *reader) (out Range) {
	flags := r.byte()
	switch {
	case r.err != nil:
		return out
	case flags&4 != 0:
		r.err = errorf(Unsupported, r.base+r.at, "it has a 64-bit memory, which does not run here: build it for wasm32")
	case flags&2 != 0:
		r.err = errorf(Unsupported, r.base+r.at, "it has a shared memory (threads), which does not run here: build it without threads")
	case flags > 1:
		r.fail("its limits have the unknown flags %#x", flags)
	}
	out.Min = r.u32()
	if flags&1 != 0 {
		out.HasMax, out.Max = true, r.u32()
		if r.err == nil && out.Max < out.Min {
			r.fail("%s has a maximum (%d) under its minimum (%d)", r.what, out.Max, out.Min)
		}
	}
	return out
}

func (s *scan) tables(r *reader) {
	n := r.count("tables", maxTables)
	total := int64(0)
	for range n {
		if kind := r.byte(); r.err == nil && kind != 0x70 && kind != 0x6f {
			r.err = errorf(Unsupported, r.base+r.at, "it has a table of a kind (%#x) that does not run here", kind)
		}
		t := s.limit(r)
		if r.err != nil {
			return
		}
		if total += int64(t.Min); total > s.limits.TableElements {
			r.err = errorf(TooLarge, r.base+r.at, "its tables have %d elements, and the limit is %d", total, s.limits.TableElements)
			return
		}
		s.info.Tables = append(s.info.Tables, t)
	}
}

func (s *scan) memories(r *reader) {
	n := r.count("memories", 1)
	for range n {
		m := s.limit(r)
		if r.err != nil {
			return
		}
		if m.Min > 1<<16 || m.HasMax && m.Max > 1<<16 {
			r.fail("its memory has more than 65536 pages")
			return
		}
		if size := int64(m.Min) * pageSize; size > s.limits.Memory {
			r.err = errorf(TooLarge, r.base+r.at, "its memory starts with %s, and the limit is %s", binarySize(size), binarySize(s.limits.Memory))
			return
		}
		s.info.Memories = append(s.info.Memories, m)
	}
}

func (s *scan) exports(r *reader) {
	n := r.count("exports", maxExports)
	for range n {
		name, kind := r.name(), r.byte()
		r.u32()
		if r.err == nil && kind > 3 {
			r.fail("its export %q has the unknown kind %d", clip(name), kind)
		}
		if r.err != nil {
			return
		}
		s.info.Exports = append(s.info.Exports, Export{name, [...]Kind{Func, Table, Memory, Global}[kind]})
	}
}

// code reads the headers of function bodies: their sizes and numbers of locals,
// which a compiler would allocate before it looks at an instruction.
func (s *scan) code(r *reader) {
	s.bodies = r.count("function bodies", maxFunctions)
	s.info.Code = len(r.data)
	for range s.bodies {
		size := r.u32()
		if r.err == nil && size > maxBody {
			r.err = errorf(TooLarge, r.base+r.at, "one of its functions has %d bytes, and the limit is %d", size, maxBody)
		}
		offset := r.base + r.at
		body := &reader{data: r.bytes(size), base: offset, what: "a function"}
		if r.err != nil {
			return
		}
		locals := uint64(0)
		for range body.count("groups of locals", maxLocals) {
			locals += uint64(body.u32())
			body.byte()
			if locals > maxLocals {
				r.err = errorf(TooLarge, offset, "one of its functions has %d local variables, and the limit is %d", locals, maxLocals)
				return
			}
		}
		if body.err != nil {
			r.err = body.err
			return
		}
	}
}

// Export finds an export.
func (i *Info) Export(name string) (Export, bool) {
	for _, e := range i.Exports {
		if e.Name == name {
			return e, true
		}
	}
	return Export{}, false
}

// clip bounds a name of the module for a sentence.
func clip(name string) string {
	const most = 80
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// binarySize spells a size, in KiB below ten MiB.
func binarySize(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
