package module

// checkGlobals looks at every place outside of code that names a global: none may be
// the one that Meter adds, or one behind it. own is the number of the module's own,
// with imported ones.
func (i *Info) checkGlobals(data []byte, own uint32) error {
	for _, sec := range i.sections {
		r := &reader{data: data[sec.start:sec.end], base: sec.start, what: "its " + sectionName(sec.id) + " section"}
		m := &meter{r: r, global: own}
		switch sec.id {
		case 6:
			m.globals()
		case 7:
			m.exports()
		case 9:
			m.elements()
		case 11:
			m.data()
		default:
			continue
		}
		if r.err == nil && r.left() > 0 {
			r.fail("%s has %d bytes too many", r.what, r.left())
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// ownGlobal checks the index of a global.
func (m *meter) ownGlobal(index uint32) {
	if m.r.err == nil && index >= m.global {
		m.r.fail("it names the global %d, and has %d", index, m.global)
	}
}

// each reads a vector.
func (m *meter) each(entry func()) {
	for n := m.r.u32(); n > 0 && m.r.err == nil; n-- {
		entry()
	}
}

// index reads one that is not a global's.
func (m *meter) index() { m.r.u32() }

// constant reads a constant expression to its end.
func (m *meter) constant() {
	for m.r.err == nil {
		op := m.r.byte()
		if op == 0x0b {
			return
		}
		m.immediates(op)
	}
}

func (m *meter) globals() {
	m.each(func() {
		m.r.byte() // type
		m.r.byte() // whether it is mutable
		m.constant()
	})
}

func (m *meter) exports() {
	m.each(func() {
		m.r.name()
		kind, index := m.r.byte(), m.r.u32()
		if kind == 3 {
			m.ownGlobal(index)
		}
	})
}

// elements reads segments of the eight forms of the specification, chapter 5.5.12.
func (m *meter) elements() {
	m.each(func() {
		form := m.r.u32()
		if form > 7 {
			m.r.fail("it has an element segment of the unknown form %d", form)
			return
		}
		if form&3 == 2 {
			m.index() // of the table
		}
		if form&1 == 0 {
			m.constant() // where it starts
		}
		if form&3 != 0 {
			m.r.byte() // kind or type
		}
		if form&4 != 0 {
			m.each(m.constant)
		} else {
			m.each(m.index)
		}
	})
}

func (m *meter) data() {
	m.each(func() {
		form := m.r.u32()
		if form > 2 {
			m.r.fail("it has a data segment of the unknown form %d", form)
			return
		}
		if form == 2 {
			m.index() // of the memory
		}
		if form != 1 {
			m.constant() // where it starts
		}
		m.r.bytes(m.r.u32())
	})
}
