package job

import (
	"bytes"
	"unicode/utf8"
)

// maxLine bounds what one line may hold in memory, in bytes. A longer line is
// handed on in pieces; the report splits rows much further down.
const maxLine = 1 << 20

// lineWriter assembles the lines of a program's output from pieces of any size.
// A line ends as it does for GitHub's runner: with "\n", "\r\n" or a lone "\r" (a
// progress bar is a row each time it is drawn). A lone "\r" with nothing before
// it draws nothing and gives no line.
//
// It is not safe for concurrent use.
type lineWriter struct {
	// emit takes a line without its end. The bytes are valid only until it
	// returns. rest is set for every piece of a very long line but its first.
	emit func(line []byte, rest bool)
	// cut, if set, says where a line that is too long may be cut: no secret
	// lies across. It gets the beginning of the line and returns more than 0.
	cut func(line []byte) int

	buf  []byte
	rest bool

	// The last piece ended with a "\r"; a "\n" that follows belongs to it.
	// skipLF: its line was emitted. emptyCR: its line is empty and was not.
	skipLF, emptyCR bool
}

// Write takes a piece. It never fails and keeps nothing of p.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	if n > 0 && (w.skipLF || w.emptyCR) {
		if p[0] == '\n' {
			if w.emptyCR {
				w.emit(nil, false)
			}
			p = p[1:]
		}
		w.skipLF, w.emptyCR = false, false
	}
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, newline)
		if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
			p = w.carriageReturn(p, cr)
			continue
		}
		if !ended {
			w.hold(p)
			break
		}
		w.end(line)
		p = rest
	}
	return n, nil
}

var newline = []byte{'\n'}

// Close hands on a last line that has no end. The writer can be used again.
func (w *lineWriter) Close() {
	if len(w.buf) > 0 {
		w.end(nil)
	}
	w.rest, w.skipLF, w.emptyCR = false, false, false
}

// carriageReturn ends the line before p[cr], a "\r", and returns what is left.
func (w *lineWriter) carriageReturn(p []byte, cr int) []byte {
	line, left := p[:cr], p[cr+1:]
	lf := len(left) > 0 && left[0] == '\n'
	if lf {
		left = left[1:]
	}
	empty := cr == 0 && len(w.buf) == 0 && !w.rest
	if !empty || lf {
		w.end(line)
	}
	if !lf && len(left) == 0 {
		w.skipLF, w.emptyCR = !empty, empty
	}
	return left
}

// end hands on what is held and p as the end of a line.
func (w *lineWriter) end(p []byte) {
	if len(w.buf) == 0 && len(p) <= maxLine {
		if len(p) > 0 || !w.rest {
			w.emit(p, w.rest)
		}
	} else {
		w.hold(p)
		if len(w.buf) > 0 {
			w.emit(w.buf, w.rest)
		}
		w.buf = w.buf[:0]
	}
	w.rest = false
}

// hold keeps the beginning of a line until its end comes, in pieces of at most
// maxLine bytes that end at a rune's bound.
func (w *lineWriter) hold(p []byte) {
	for len(w.buf)+len(p) > maxLine {
		room := maxLine - len(w.buf)
		w.buf = append(w.buf, p[:room]...)
		p = p[room:]
		w.buf = withoutNULs(w.buf)
		if len(w.buf) < maxLine {
			continue
		}
		cut := len(w.buf)
		if w.cut != nil {
			cut = w.cut(w.buf)
		}
		cut = runeBound(w.buf[:cut])
		w.emit(w.buf[:cut], w.rest)
		w.rest = true
		w.buf = append(w.buf[:0], w.buf[cut:]...)
	}
	w.buf = append(w.buf, p...)
}

// withoutNULs takes the NUL bytes out of b, in its place: rows have none, and
// between the letters of a secret they would hide it from what looks for it.
func withoutNULs(b []byte) []byte {
	if bytes.IndexByte(b, 0) < 0 {
		return b
	}
	kept := b[:0]
	for _, c := range b {
		if c != 0 {
			kept = append(kept, c)
		}
	}
	return kept
}

// runeBound returns how much of b is left when a rune that its end cuts is taken
// off.
func runeBound(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if !utf8.RuneStart(b[i]) {
			continue
		}
		if i > 0 && !utf8.FullRune(b[i:]) {
			return i
		}
		break
	}
	return len(b)
}
