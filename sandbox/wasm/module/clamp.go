package module

import (
	"encoding/binary"
)

// Clamp returns a module whose tables cannot grow over limit elements in all:
// wazero bounds memories and no tables. data is what i was scanned from; it is
// returned as it is where there is nothing to bound.
func (i *Info) Clamp(data []byte, limit int64) []byte {
	at := -1
	for n, sec := range i.sections {
		if sec.id == 4 {
			at = n
		}
	}
	if at < 0 || len(i.Tables) == 0 {
		return data
	}
	spare := limit
	for _, t := range i.Tables {
		spare -= int64(t.Min)
	}
	sec := i.sections[at]
	r := &reader{data: data[sec.start:sec.end], what: "its table section"}
	content := binary.AppendUvarint(nil, uint64(r.u32()))
	for _, t := range i.Tables {
		kind := r.byte()
		if flags := r.byte(); flags&1 != 0 {
			r.u32()
		}
		r.u32()
		// Each may take an equal share of what the minimums leave.
		most := int64(t.Min) + max(0, spare)/int64(len(i.Tables))
		if t.HasMax {
			most = min(most, int64(t.Max))
		}
		content = append(content, kind, 1)
		content = binary.AppendUvarint(content, uint64(t.Min))
		content = binary.AppendUvarint(content, uint64(most))
	}
	return replaced(data, sec, content)
}

// replaced returns a module with another content in one of its sections.
func replaced(data []byte, sec section, content []byte) []byte {
	out := make([]byte, 0, len(data)+len(content)+binary.MaxVarintLen64)
	out = append(out, data[:sec.header]...)
	out = append(out, sec.id)
	out = binary.AppendUvarint(out, uint64(len(content)))
	out = append(out, content...)
	return append(out, data[sec.end:]...)
}
