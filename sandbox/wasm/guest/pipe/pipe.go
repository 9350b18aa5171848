// Package pipe is the in-memory pipe of the shell. WASI preview 1 has no pipes
// and no processes, so a pipeline's commands are goroutines, and what connects
// them must behave as a kernel's pipe does where scripts can tell:
//
//   - a writer runs ahead of its reader by up to Capacity bytes;
//   - a reader gets what is there, and end of file after the writer has closed;
//   - a writer whose reader has gone gets io.ErrClosedPipe, and dies of it.
//
// The last rule is softened. In a kernel `echo x | true` succeeds, because echo
// has usually written before true has ended; goroutines on one thread start in
// another order. So for a short grace after the reader has gone, what would
// have fitted into the buffer is swallowed.
package pipe

import (
	"io"
	"os"
	"sync"
	"time"
)

// Capacity is how many bytes a pipe holds, as on Linux.
const Capacity = 64 << 10

// Grace is how long writes still succeed after the reader has closed.
const Grace = 20 * time.Millisecond

type state struct {
	mu       sync.Mutex
	readable sync.Cond
	writable sync.Cond

	buf      []byte // ring
	start, n int

	writerClosed bool
	readerClosed bool
	closedAt     time.Time
	swallowed    int

	deadline time.Time
}

// New returns the two ends of a pipe. Both are safe for concurrent use.
func New() (*Reader, *Writer) {
	s := &state{}
	s.readable.L = &s.mu
	s.writable.L = &s.mu
	return &Reader{s}, &Writer{s}
}

// Reader is a pipe's read end.
type Reader struct{ s *state }

// Read blocks until there is a byte, the writer has closed (io.EOF), the
// deadline has passed (os.ErrDeadlineExceeded) or the reader itself was closed.
func (r *Reader) Read(p []byte) (int, error) {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readerClosed:
			return 0, io.ErrClosedPipe
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case s.n > 0:
			return s.take(p), nil
		case s.writerClosed:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		s.readable.Wait()
	}
}

// take copies out of the ring; s.mu is held and s.n > 0.
func (s *state) take(p []byte) int {
	total := 0
	for len(p) > 0 && s.n > 0 {
		end := min(s.start+s.n, len(s.buf))
		k := copy(p, s.buf[s.start:end])
		p = p[k:]
		total += k
		s.n -= k
		s.start = (s.start + k) % len(s.buf)
	}
	s.writable.Broadcast()
	return total
}

// SetReadDeadline makes reads fail from t on; only a time that has passed
// already, or the zero time, is of use: nothing wakes a waiting Read later.
func (r *Reader) SetReadDeadline(t time.Time) error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.deadline = t
	r.s.readable.Broadcast()
	return nil
}

// Close makes the writer fail, after the grace that the package comment tells
// of. Closing again does nothing.
func (r *Reader) Close() error {
	s := r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readerClosed {
		return nil
	}
	s.readerClosed = true
	s.closedAt = time.Now()
	s.swallowed = s.n
	s.buf, s.start, s.n = nil, 0, 0
	s.readable.Broadcast()
	s.writable.Broadcast()
	return nil
}

// Writer is a pipe's write end.
type Writer struct{ s *state }

// Write blocks while the pipe is full. It fails with io.ErrClosedPipe when the
// reader has gone or the writer was closed.
func (w *Writer) Write(p []byte) (int, error) {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for {
		if s.writerClosed {
			return total, io.ErrClosedPipe
		}
		if s.readerClosed {
			s.swallowed += len(p)
			if s.swallowed > Capacity || time.Since(s.closedAt) > Grace {
				return total, io.ErrClosedPipe
			}
			return total + len(p), nil
		}
		k := s.put(p)
		p = p[k:]
		total += k
		if len(p) == 0 {
			return total, nil
		}
		s.writable.Wait()
	}
}

// put copies into the ring as much as fits; s.mu is held.
func (s *state) put(p []byte) int {
	s.reserve(len(p))
	total := 0
	for len(p) > 0 && s.n < len(s.buf) {
		at := (s.start + s.n) % len(s.buf)
		end := len(s.buf)
		if at < s.start {
			end = s.start
		}
		k := copy(s.buf[at:end], p)
		p = p[k:]
		total += k
		s.n += k
	}
	if total > 0 {
		s.readable.Broadcast()
	}
	return total
}

// reserve grows the ring for k more bytes, up to Capacity: most pipes of a
// script carry a line.
func (s *state) reserve(k int) {
	need := s.n + k
	if need <= len(s.buf) || len(s.buf) == Capacity {
		return
	}
	size := max(512, len(s.buf))
	for size < need && size < Capacity {
		size *= 2
	}
	grown := make([]byte, min(size, Capacity))
	k = copy(grown, s.buf[s.start:min(s.start+s.n, len(s.buf))])
	copy(grown[k:], s.buf[:s.n-k])
	s.buf, s.start = grown, 0
}

// Close gives the reader end of file once it has read what is in the pipe.
// Closing again does nothing.
func (w *Writer) Close() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.writerClosed = true
	w.s.readable.Broadcast()
	w.s.writable.Broadcast()
	return nil
}

// Broken reports whether a Write would fail because the reader has gone.
func (w *Writer) Broken() bool {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.readerClosed && time.Since(w.s.closedAt) > Grace
}
