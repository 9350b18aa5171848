package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// ErrReset is wrapped by the error of a stream that was ended at once.
var ErrReset = errors.New("the call was ended")

// resetError is what a peer said as it ended a stream.
type resetError struct{ reason string }

func (e *resetError) Error() string {
	if e.reason == "" {
		return ErrReset.Error()
	}
	return e.reason
}

func (e *resetError) Unwrap() error { return ErrReset }

// Stream is one stream of a Conn. One goroutine may read and one may write at a
// time; the other methods are safe for concurrent use.
type Stream struct {
	conn *Conn
	id   uint32
	ctx  context.Context
	stop context.CancelCauseFunc

	readable chan struct{} // cap 1
	writable chan struct{} // cap 1
	cancel   chan struct{} // cap 1

	mu     sync.Mutex
	buffer []byte // received; never longer than Window
	start  int    // what of it has been read
	owed   int    // bytes read for which no credit has been given
	credit int    // bytes that may be sent
	ended  bool   // the peer sends no more
	closed bool   // this side sends no more
	err    error
}

func newStream(c *Conn, id uint32) *Stream {
	s := &Stream{
		conn:     c,
		id:       id,
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
		cancel:   make(chan struct{}, 1),
		credit:   Window,
	}
	s.ctx, s.stop = context.WithCancelCause(context.Background())
	return s
}

// Number is the stream's number.
func (s *Stream) Number() uint32 { return s.id }

// Context ends when the stream is over: by a reset, the end of the connection, or
// both directions' end.
func (s *Stream) Context() context.Context { return s.ctx }

// Cancelled gets a value when the peer asks for the end of the command.
func (s *Stream) Cancelled() <-chan struct{} { return s.cancel }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Read waits for data. io.EOF is the peer's regular end.
func (s *Stream) Read(p []byte) (int, error) {
	return s.ReadContext(context.Background(), p)
}

// ReadContext is Read that ends with ctx.
func (s *Stream) ReadContext(ctx context.Context, p []byte) (int, error) {
	for {
		n, err := s.tryRead(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		select {
		case <-s.readable:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// creditStep is how much is read before new credit is given: a frame for every
// quarter of the window.
const creditStep = Window / 4

func (s *Stream) tryRead(p []byte) (int, error) {
	s.mu.Lock()
	n := copy(p, s.buffer[s.start:])
	s.start += n
	if s.start == len(s.buffer) {
		s.buffer, s.start = s.buffer[:0], 0
	}
	s.owed += n
	var give int
	if s.owed >= creditStep && !s.ended && s.err == nil {
		give, s.owed = s.owed, 0
	}
	var err error
	if n == 0 {
		if err = s.err; err == nil && s.ended {
			err = io.EOF
		}
	}
	s.mu.Unlock()
	if give > 0 {
		s.conn.sendControl(Frame{KindWindow, s.id, binary.BigEndian.AppendUint32(nil, uint32(give))})
	}
	return n, err
}

// Write sends data as credit comes.
func (s *Stream) Write(p []byte) (int, error) {
	return s.WriteContext(context.Background(), p)
}

// WriteContext is Write that ends with ctx.
func (s *Stream) WriteContext(ctx context.Context, p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := s.reserve(ctx, len(p)-written)
		if err != nil {
			return written, err
		}
		if err := s.conn.sendData(ctx, Frame{KindData, s.id, p[written : written+n]}); err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// reserve waits for credit and takes at most want of it.
func (s *Stream) reserve(ctx context.Context, want int) (int, error) {
	for {
		s.mu.Lock()
		n, err := min(want, s.credit, MaxPayload), s.err
		if err == nil && s.closed {
			err = io.ErrClosedPipe
		}
		if err == nil {
			s.credit -= n
		}
		s.mu.Unlock()
		if err != nil || n > 0 {
			return n, err
		}
		select {
		case <-s.writable:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// CloseWrite says that no more data comes from this side.
func (s *Stream) CloseWrite() {
	s.mu.Lock()
	if s.closed || s.err != nil {
		s.mu.Unlock()
		return
	}
	s.closed = true
	over := s.ended
	s.mu.Unlock()
	s.conn.sendControl(Frame{KindEnd, s.id, nil})
	if over {
		s.over()
	}
}

// Cancel asks the peer to end the command.
func (s *Stream) Cancel() { s.conn.sendControl(Frame{KindCancel, s.id, nil}) }

// Reset ends the stream at once, if it is not over, and tells the peer.
func (s *Stream) Reset(reason string) {
	s.mu.Lock()
	done := s.err != nil || s.closed && s.ended
	s.mu.Unlock()
	if done {
		return
	}
	s.conn.sendControl(Frame{KindReset, s.id, []byte(cut(reason))})
	s.conn.forget(s.id)
	s.fail(ErrReset)
}

// fail ends the stream on this side.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.stop(err)
	signal(s.readable)
	signal(s.writable)
}

// over is the regular end of both directions.
func (s *Stream) over() {
	s.conn.forget(s.id)
	s.stop(io.EOF)
}

// take handles a frame of the stream; it does not block.
func (s *Stream) take(f Frame) error {
	switch f.Kind {
	case KindData:
		return s.takeData(f.Payload)
	case KindEnd:
		s.mu.Lock()
		s.ended = true
		over := s.closed
		s.mu.Unlock()
		signal(s.readable)
		if over {
			s.over()
		}
	case KindReset:
		s.conn.forget(s.id)
		s.fail(&resetError{reason: clean(cut(string(f.Payload)))})
	case KindWindow:
		s.mu.Lock()
		s.credit += int(binary.BigEndian.Uint32(f.Payload))
		tooMuch := s.credit > Window
		s.mu.Unlock()
		if tooMuch {
			return violation("it gave more than %d bytes of credit", Window)
		}
		signal(s.writable)
	case KindCancel:
		signal(s.cancel)
	}
	return nil
}

func (s *Stream) takeData(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return violation("it sent data after the end")
	}
	// What is in the buffer and what no credit has been given for is all that
	// can be under way.
	if len(s.buffer)-s.start+s.owed+len(p) > Window {
		return violation("it sent more than its credit")
	}
	if s.err != nil {
		return nil
	}
	if s.start > 0 && len(s.buffer)+len(p) > cap(s.buffer) {
		s.buffer = s.buffer[:copy(s.buffer, s.buffer[s.start:])]
		s.start = 0
	}
	s.buffer = append(s.buffer, p...)
	signal(s.readable)
	return nil
}
