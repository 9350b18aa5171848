package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// ErrClosed is the error of a Conn that this side has closed.
var ErrClosed = errors.New("the stream is closed")

// A GoodbyeError says that the peer has ended the connection, and why.
type GoodbyeError struct{ Reason string }

func (e *GoodbyeError) Error() string { return e.Reason }

const (
	// maxStreams is how many streams a peer may have open.
	maxStreams = 1 << 10
	// maxReason bounds the words of a reset and a goodbye.
	maxReason = 4 << 10
)

// Config are a Conn's ways.
type Config struct {
	// Accept takes a stream that the peer opens, in a goroutine of its own. nil:
	// the peer may open none.
	Accept func(*Stream)
}

// Conn carries streams over one io.ReadWriteCloser. Its methods are safe for
// concurrent use. Nothing that the peer does, or fails to do, blocks its reading
// loop.
type Conn struct {
	rwc    io.ReadWriteCloser
	config Config
	done   chan struct{}  // closed with err
	wg     sync.WaitGroup // its own goroutines
	calls  sync.WaitGroup // those of Config.Accept; added to with mu held, while err is nil

	data    chan outgoing // taken by the writer
	control chan struct{} // cap 1: something is in pending or pong

	mu      sync.Mutex
	streams map[uint32]*Stream
	last    uint32 // the highest number of a stream so far
	err     error
	pending []byte // encoded frames without data
	pong    []byte
	heard   time.Time // of the last frame
	pings   map[uint64]chan struct{}
	nonce   uint64
}

// NewConn starts a connection. reader is where frames come from: what has read
// the hello from rwc, or a new reader of rwc.
func NewConn(rwc io.ReadWriteCloser, reader io.Reader, config Config) *Conn {
	c := &Conn{
		rwc:     rwc,
		config:  config,
		done:    make(chan struct{}),
		data:    make(chan outgoing),
		control: make(chan struct{}, 1),
		streams: map[uint32]*Stream{},
		heard:   time.Now(),
		pings:   map[uint64]chan struct{}{},
	}
	c.wg.Go(func() { c.readLoop(reader) })
	c.wg.Go(c.writeLoop)
	return c
}

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection has ended, nil while it has not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Heard returns when the last frame came.
func (c *Conn) Heard() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// Close ends the connection with err, ErrClosed when it is nil, and does not wait.
func (c *Conn) Close(err error) {
	if err == nil {
		err = ErrClosed
	}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = err
	streams := c.streams
	c.streams = map[uint32]*Stream{}
	close(c.done)
	c.mu.Unlock()
	for _, s := range streams {
		s.fail(err)
	}
	_ = c.rwc.Close()
}

// Wait waits for the connection's goroutines, after it has ended. It returns
// only when rwc.Close ends a Read and a Write that block.
func (c *Conn) Wait() {
	c.WaitAccepted()
	c.wg.Wait()
}

// WaitAccepted waits, after the connection has ended, for the calls of
// Config.Accept.
func (c *Conn) WaitAccepted() { c.calls.Wait() }

// Open opens a stream and sends its first data, of at most MaxPayload bytes.
func (c *Conn) Open(ctx context.Context, first []byte) (*Stream, error) {
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return nil, c.err
	}
	if len(c.streams) >= maxStreams || c.last == 1<<32-1 {
		defer c.mu.Unlock()
		return nil, fmt.Errorf("more than %d calls at a time", maxStreams)
	}
	c.last++
	s := newStream(c, c.last)
	s.credit -= len(first)
	c.streams[s.id] = s
	c.mu.Unlock()
	if err := c.sendData(ctx, Frame{KindOpen, s.id, first}); err != nil {
		s.Reset("")
		return nil, err
	}
	return s, nil
}

// Ping asks the peer for an answer and waits for it.
func (c *Conn) Ping(ctx context.Context) error {
	c.mu.Lock()
	c.nonce++
	nonce := c.nonce
	answered := make(chan struct{})
	c.pings[nonce] = answered
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.pings, nonce)
	}()
	c.sendControl(Frame{KindPing, 0, binary.BigEndian.AppendUint64(nil, nonce)})
	select {
	case <-answered:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return c.Err()
	}
}

// SendPing asks the peer for an answer, which moves Heard.
func (c *Conn) SendPing() {
	c.sendControl(Frame{KindPing, 0, make([]byte, 8)})
}

// Goodbye tells the peer that the connection is to end. It returns when that has
// been written, or could not be.
func (c *Conn) Goodbye(ctx context.Context, reason string) error {
	f := Frame{KindGoodbye, 0, []byte(cut(reason))}
	written := make(chan struct{})
	if err := c.send(ctx, outgoing{AppendFrame(nil, f), written}); err != nil {
		return err
	}
	select {
	case <-written:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return c.Err()
	}
}

// outgoing is an encoded frame; written, if any, is closed when it has been
// written.
type outgoing struct {
	encoded []byte
	written chan struct{}
}

func cut(reason string) string { return reason[:min(len(reason), maxReason)] }

// sendData hands a frame to the writer.
func (c *Conn) sendData(ctx context.Context, f Frame) error {
	return c.send(ctx, outgoing{encoded: AppendFrame(make([]byte, 0, headerSize+len(f.Payload)), f)})
}

func (c *Conn) send(ctx context.Context, o outgoing) error {
	select {
	case c.data <- o:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.done:
		return c.Err()
	}
}

// maxPending bounds the frames without data that wait for a peer that does not
// read: one that does needs a few bytes for each 128 KiB of data.
const maxPending = 1 << 20

// sendControl queues a frame without data; it does not block.
func (c *Conn) sendControl(f Frame) {
	c.mu.Lock()
	full := len(c.pending) > maxPending
	if c.err == nil && !full {
		c.pending = AppendFrame(c.pending, f)
	}
	c.mu.Unlock()
	if full {
		c.Close(violation("it sends without reading what it is sent"))
		return
	}
	c.wake()
}

func (c *Conn) wake() {
	select {
	case c.control <- struct{}{}:
	default:
	}
}

// writeLoop writes frames: those without data first.
func (c *Conn) writeLoop() {
	for {
		// Without this, a busy channel of data might be preferred.
		if batch := c.takeControl(); len(batch) > 0 {
			if !c.write(batch) {
				return
			}
			continue
		}
		select {
		case <-c.control:
		case o := <-c.data:
			// Before any control frame: its sender may be queueing the end
			// of the stream by now.
			if !c.write(o.encoded) {
				return
			}
			if o.written != nil {
				close(o.written)
			}
		case <-c.done:
			return
		}
	}
}

func (c *Conn) takeControl() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch := c.pending
	c.pending = nil
	if c.pong != nil {
		batch = AppendFrame(batch, Frame{KindPong, 0, c.pong})
		c.pong = nil
	}
	return batch
}

func (c *Conn) write(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if _, err := c.rwc.Write(b); err != nil {
		c.Close(fmt.Errorf("write to it: %w", err))
		return false
	}
	return true
}

func (c *Conn) readLoop(reader io.Reader) {
	frames := NewFrameReader(bufio.NewReaderSize(reader, MaxPayload))
	for {
		f, err := frames.Read()
		if err == nil {
			err = c.take(f)
		}
		if err != nil {
			c.Close(err)
			return
		}
	}
}

// take handles one frame; it does not block.
func (c *Conn) take(f Frame) error {
	c.mu.Lock()
	c.heard = time.Now()
	s := c.streams[f.Stream]
	c.mu.Unlock()
	switch f.Kind {
	case KindOpen:
		return c.accept(f)
	case KindPing:
		c.mu.Lock()
		c.pong = append([]byte(nil), f.Payload...) // of many, the last is answered
		c.mu.Unlock()
		c.wake()
		return nil
	case KindPong:
		c.answer(binary.BigEndian.Uint64(f.Payload))
		return nil
	case KindGoodbye:
		return &GoodbyeError{Reason: clean(cut(string(f.Payload)))}
	case KindHello:
		return violation("it said hello twice")
	}
	if s == nil {
		return nil // it was reset here while the frame was under way
	}
	return s.take(f)
}

func (c *Conn) answer(nonce uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answered, ok := c.pings[nonce]; ok {
		close(answered)
		delete(c.pings, nonce)
	}
}

func (c *Conn) accept(f Frame) error {
	if c.config.Accept == nil {
		return violation("it opened a stream")
	}
	c.mu.Lock()
	// Frames of streams that are opened at the same time may come in any order.
	if _, twice := c.streams[f.Stream]; twice || len(c.streams) >= maxStreams {
		defer c.mu.Unlock()
		return violation("it opened stream %d with %d open", f.Stream, len(c.streams))
	}
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	s := newStream(c, f.Stream)
	s.buffer = append(s.buffer, f.Payload...)
	c.streams[s.id] = s
	c.calls.Add(1)
	c.mu.Unlock()
	go func() {
		defer c.calls.Done()
		c.config.Accept(s)
	}()
	return nil
}

// forget drops a stream that is over.
func (c *Conn) forget(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, id)
}
