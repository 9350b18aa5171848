package module

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// maxGap is how many zeros between two data segments are copied rather than
// left out: an engine copies a kilobyte in the time that it takes to begin a
// segment.
const maxGap = 128

// segment is an active data segment of the memory 0 at a constant address.
type segment struct {
	at   uint64
	data []byte
}

func (s segment) end() uint64 { return s.at + uint64(len(s.data)) }

// Join returns a module with fewer data segments that is the same in what it does:
// those that lie close to one another become one. Go's linker cuts the data at
// every eight zeros, and an engine sets up 100,000 segments for each instance. data
// is what i was scanned from; it is returned as it is where segments overlap, are
// passive or may be named by the code, or lie at computed addresses.
func (i *Info) Join(data []byte) []byte {
	var sec section
	for _, s := range i.sections {
		switch s.id {
		case 11:
			sec = s
		case 12: // the code may name segments by number
			return data
		}
	}
	if sec.id == 0 || len(i.Memories) != 1 || slices.ContainsFunc(i.Imports, func(imp Import) bool { return imp.Kind == Memory }) {
		return data // an imported memory need not be zero in the gaps
	}
	segments := activeSegments(data[sec.start:sec.end])
	joined := join(segments)
	if len(joined) == len(segments) {
		return data
	}
	content := binary.AppendUvarint(nil, uint64(len(joined)))
	for _, s := range joined {
		content = append(content, 0, i32Const)
		content = append(content, sleb(int64(int32(s.at)))...) //nolint:gosec // the same 32 bits
		content = append(content, end)
		content = binary.AppendUvarint(content, uint64(len(s.data)))
		content = append(content, s.data...)
	}
	return replaced(data, sec, content)
}

// The instructions of a constant address.
const (
	i32Const = 0x41
	end      = 0x0b
)

// activeSegments reads a data section; nil is one that has others too.
func activeSegments(content []byte) []segment {
	r := &reader{data: content}
	out := make([]segment, 0, r.count("data segments", maxSegments))
	for range cap(out) {
		if r.byte() != 0 || r.byte() != i32Const {
			return nil
		}
		s := segment{at: uint64(uint32(r.s32()))} //nolint:gosec // an address
		if r.byte() != end {
			return nil
		}
		if s.data = r.bytes(r.u32()); r.err != nil {
			return nil
		}
		out = append(out, s)
	}
	if r.err != nil || r.left() > 0 {
		return nil
	}
	return out
}

// join joins segments that lie close to one another. The zeros that this adds are at
// most as many as the bytes that there are. Where segments overlap, their order
// matters, and they are returned as they are.
func join(segments []segment) []segment {
	sorted := slices.Clone(segments)
	slices.SortStableFunc(sorted, func(a, b segment) int { return cmp.Compare(a.at, b.at) })
	spare := 0
	for n, s := range sorted {
		if n > 0 && s.at < sorted[n-1].end() {
			return segments
		}
		spare += len(s.data)
	}
	var out []segment
	for _, s := range sorted {
		if n := len(out) - 1; n >= 0 {
			last := &out[n]
			if gap := s.at - last.end(); gap <= maxGap && int(gap) <= spare {
				spare -= int(gap)
				last.data = append(append(last.data, make([]byte, gap)...), s.data...)
				continue
			}
		}
		out = append(out, segment{at: s.at, data: slices.Clone(s.data)})
	}
	return out
}
