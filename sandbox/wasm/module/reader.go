package module

import "unicode/utf8"

// reader reads a module's binary encoding. After the first error every read
// returns zero, and err stays.
type reader struct {
	data []byte
	at   int // offset of data[0]'s successor to be read
	base int // offset of data in the file
	what string
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = errorf(Malformed, r.base+r.at, format, args...)
	}
}

func (r *reader) left() int { return len(r.data) - r.at }

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if r.at >= len(r.data) {
		r.fail("%s ends too early", r.what)
		return 0
	}
	b := r.data[r.at]
	r.at++
	return b
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	var n uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if shift == 28 && b > 0x0f {
			break
		}
		n |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.fail("%s has a number of more than 32 bits", r.what)
	return 0
}

// s32 reads a signed LEB128 of at most 32 bits.
func (r *reader) s32() int32 {
	var n uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.byte()
		if r.err != nil {
			return 0
		}
		if rest := b & 0x78; shift == 28 && rest != 0 && rest != 0x78 {
			break
		}
		n |= uint32(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 && shift < 28 {
				n |= ^uint32(0) << (shift + 7)
			}
			return int32(n) //nolint:gosec // the same 32 bits
		}
	}
	r.fail("%s has a number of more than 32 bits", r.what)
	return 0
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(r.left()) {
		r.fail("%s ends too early: %d bytes are missing", r.what, uint64(n)-uint64(r.left()))
		return nil
	}
	b := r.data[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *reader) name() string {
	b := r.bytes(r.u32())
	if !utf8.Valid(b) {
		r.fail("%s has a name that is not UTF-8", r.what)
		return ""
	}
	return string(b)
}

// count reads a vector's length, which cannot be larger than the bytes that are
// left, and not larger than limit.
func (r *reader) count(of string, limit int) int {
	n := r.u32()
	if r.err != nil {
		return 0
	}
	if uint64(n) > uint64(limit) {
		r.err = errorf(TooLarge, r.base+r.at, "it has %d %s, and the limit is %d", n, of, limit)
		return 0
	}
	if int(n) > r.left() {
		r.fail("%s ends too early: it announces %d %s and has %d bytes", r.what, n, of, r.left())
		return 0
	}
	return int(n)
}
