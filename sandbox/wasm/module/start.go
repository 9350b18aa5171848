package module

// startFunction is the index of a module's start function, which takes nothing and
// returns nothing: as an export, it could have any type. data is what i was scanned
// from.
func (i *Info) startFunction(data []byte) (uint32, error) {
	of := func(id byte) *reader {
		for _, sec := range i.sections {
			if sec.id == id {
				return &reader{data: data[sec.start:sec.end], base: sec.start, what: "its " + sectionName(id) + " section"}
			}
		}
		return &reader{data: []byte{0}}
	}
	r := of(8)
	index := r.u32()
	if r.err != nil {
		return 0, r.err
	}
	typ, err := functionType(of(2), of(3), index)
	if err != nil {
		return 0, err
	}
	empty, err := isEmpty(of(1), typ)
	if err != nil {
		return 0, err
	}
	if !empty {
		return 0, errorf(Malformed, r.base, "its start function %d has parameters or results", index)
	}
	return index, nil
}

// functionType finds the type of a function among those that are imported and the
// module's own.
func functionType(imports, own *reader, index uint32) (uint32, error) {
	s := &scan{info: &Info{}}
	left := index
	for n := imports.u32(); n > 0 && imports.err == nil; n-- {
		imports.name()
		imports.name()
		switch imports.byte() {
		case 0:
			typ := imports.u32()
			if left == 0 {
				return typ, imports.err
			}
			left--
		case 1:
			imports.byte()
			s.limit(imports)
		case 2:
			s.limit(imports)
		default:
			imports.byte()
			imports.byte()
		}
	}
	for n := own.u32(); n > 0 && own.err == nil; n-- {
		typ := own.u32()
		if left == 0 {
			return typ, own.err
		}
		left--
	}
	if imports.err != nil {
		return 0, imports.err
	}
	if own.err != nil {
		return 0, own.err
	}
	return 0, errorf(Malformed, -1, "its start function is %d, which is not there", index)
}

// isEmpty reports whether a type has neither parameters nor results.
func isEmpty(types *reader, index uint32) (bool, error) {
	for n, at := types.u32(), uint32(0); at < n && types.err == nil; at++ {
		if form := types.byte(); types.err == nil && form != 0x60 {
			types.fail("it has a type of the unknown form %#x", form)
		}
		params := types.u32()
		types.bytes(params)
		results := types.u32()
		types.bytes(results)
		if at == index && types.err == nil {
			return params == 0 && results == 0, nil
		}
	}
	if types.err != nil {
		return false, types.err
	}
	return false, errorf(Malformed, -1, "its start function has the type %d, which is not there", index)
}
