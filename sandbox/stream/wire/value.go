package wire

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Encoder appends values to Bytes.
type Encoder struct{ Bytes []byte }

// Byte appends one byte.
func (e *Encoder) Byte(b byte) { e.Bytes = append(e.Bytes, b) }

// Bool appends a boolean.
func (e *Encoder) Bool(b bool) {
	if b {
		e.Byte(1)
	} else {
		e.Byte(0)
	}
}

// Uint appends a number.
func (e *Encoder) Uint(n uint64) { e.Bytes = binary.AppendUvarint(e.Bytes, n) }

// Int appends a number that may be negative.
func (e *Encoder) Int(n int64) { e.Bytes = binary.AppendVarint(e.Bytes, n) }

// String appends a string.
func (e *Encoder) String(s string) {
	e.Uint(uint64(len(s)))
	e.Bytes = append(e.Bytes, s...)
}

// Data appends a byte string.
func (e *Encoder) Data(b []byte) {
	e.Uint(uint64(len(b)))
	e.Bytes = append(e.Bytes, b...)
}

// Strings appends a list of strings.
func (e *Encoder) Strings(list []string) {
	e.Uint(uint64(len(list)))
	for _, s := range list {
		e.String(s)
	}
}

// Map appends a map.
func (e *Encoder) Map(m map[string]string) {
	e.Uint(uint64(len(m)))
	for k, v := range m {
		e.String(k)
		e.String(v)
	}
}

// Decoder reads values. After its first error it returns zero values only.
type Decoder struct {
	r   *bufio.Reader
	err error
}

// NewDecoder returns a decoder, which reads ahead.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{r: bufio.NewReaderSize(r, 8<<10)} }

// Err returns the first error: a *ProtocolError, or that of the stream;
// io.ErrUnexpectedEOF when it ended too early.
func (d *Decoder) Err() error { return d.err }

func (d *Decoder) fail(err error) {
	if d.err != nil {
		return
	}
	if err == io.EOF { //nolint:errorlint // as io.ReadFull compares it
		err = io.ErrUnexpectedEOF
	}
	d.err = err
}

// Violation makes what was read an error: it has no place here.
func (d *Decoder) Violation(format string, args ...any) {
	d.fail(violation(format, args...))
}

// Byte reads a byte.
func (d *Decoder) Byte() byte {
	if d.err != nil {
		return 0
	}
	b, err := d.r.ReadByte()
	if err != nil {
		d.fail(err)
	}
	return b
}

// Bool reads a boolean.
func (d *Decoder) Bool() bool {
	b := d.Byte()
	if b > 1 {
		d.Violation("%d is no boolean", b)
	}
	return b == 1
}

// Uint reads a number of at most limit.
func (d *Decoder) Uint(limit uint64) uint64 {
	n := d.number()
	if n > limit {
		d.Violation("a number is %d, the limit %d", n, limit)
		return 0
	}
	return n
}

// Int reads a number that may be negative.
func (d *Decoder) Int() int64 {
	n := d.number()
	return int64(n>>1) ^ -int64(n&1) // as package binary has them
}

// number reads a varint. Package binary's reader has no error of its own for one
// that is too long.
func (d *Decoder) number() uint64 {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.Byte()
		n |= uint64(b&0x7f) << shift
		if d.err != nil {
			return 0
		}
		if b < 0x80 {
			return n
		}
	}
	d.Violation("a number has no end")
	return 0
}

// stringStep is how much of a string is made before it has arrived: a length is
// only a claim.
const stringStep = 64 << 10

// Data reads a byte string of at most limit bytes.
func (d *Decoder) Data(limit int) []byte {
	size := int(d.Uint(uint64(limit)))
	if d.err != nil {
		return nil
	}
	data := make([]byte, 0, min(size, stringStep))
	for len(data) < size {
		step := min(size-len(data), stringStep)
		start := len(data)
		data = append(data, make([]byte, step)...)
		if _, err := io.ReadFull(d.r, data[start:]); err != nil {
			d.fail(err)
			return nil
		}
	}
	return data
}

// DataInto is Data with a buffer to use where it is large enough; limit is the
// most that is allocated at once.
func (d *Decoder) DataInto(buffer []byte, limit int) []byte {
	size := int(d.Uint(uint64(limit)))
	if d.err != nil {
		return nil
	}
	if cap(buffer) < size {
		buffer = make([]byte, size, limit)
	}
	buffer = buffer[:size]
	if _, err := io.ReadFull(d.r, buffer); err != nil {
		d.fail(err)
		return nil
	}
	return buffer
}

// String reads a string of at most limit bytes.
func (d *Decoder) String(limit int) string { return string(d.Data(limit)) }

// Strings reads a list of at most count strings of at most limit bytes each.
func (d *Decoder) Strings(count, limit int) []string {
	n := int(d.Uint(uint64(count)))
	var list []string
	for i := 0; i < n && d.err == nil; i++ {
		list = append(list, d.String(limit))
	}
	return list
}

// Map reads a map of at most count entries with strings of at most limit bytes.
func (d *Decoder) Map(count, limit int) map[string]string {
	n := int(d.Uint(uint64(count)))
	m := make(map[string]string, min(n, 64))
	for i := 0; i < n && d.err == nil; i++ {
		k := d.String(limit)
		m[k] = d.String(limit)
	}
	return m
}

// Rest returns all that comes after the values.
func (d *Decoder) Rest() io.Reader { return d.r }

// Reader returns what comes next as a reader of exactly size bytes: the error of
// a stream that ends earlier is io.ErrUnexpectedEOF, for the Decoder as well.
func (d *Decoder) Reader(size int64) io.Reader { return &part{d: d, left: size} }

type part struct {
	d    *Decoder
	left int64
}

func (p *part) Read(b []byte) (int, error) {
	if p.d.err != nil {
		return 0, p.d.err
	}
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.d.r.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if err != nil {
		p.d.fail(err)
		return n, p.d.err
	}
	return n, nil
}
