// Package wire is the protocol between the runner and the helper in a container:
// frames, streams of bytes with credits, and the values in them.
//
// # Frames
//
// A frame is a header of 9 bytes (length of the payload, kind, number of the
// stream; big-endian) and a payload of at most MaxPayload bytes. The helper's
// first frame is a hello, which begins with Magic and its version. After it the
// runner opens streams, one a call, with numbers that are not used again; the
// helper opens none. Both ends of a stream carry bytes in both directions. Each
// direction may have Window bytes under way; its receiver gives new credit as it
// reads, so that a slow reader slows the writer of its own stream and nothing
// else. Frames without data need no credit.
//
// # Values
//
// The bytes of a stream are values one after another, without names or types:
// unsigned integers as varints, strings and byte strings with their length before
// them. Both ends are built from the same source; another version is refused at
// the hello.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// Magic begins the hello.
	Magic = "otelrunner-helper "

	// Version is the protocol's, to be raised with every change of a frame, a
	// value or a limit. There is no negotiation: a runner brings its helper
	// along.
	Version = 4

	// MaxPayload is how long a frame's payload may be.
	MaxPayload = 64 << 10

	// Window is the credit of each direction of a new stream.
	Window = 256 << 10

	headerSize = 9
)

// Kind says what a frame is.
type Kind uint8

// The kinds of frames.
const (
	// KindHello is the helper's first frame.
	KindHello Kind = 1 + iota
	// KindOpen opens a stream and carries its first data.
	KindOpen
	// KindData carries data.
	KindData
	// KindEnd says that this direction has no more data.
	KindEnd
	// KindReset ends a stream at once, in both directions. Its payload may say
	// why.
	KindReset
	// KindWindow gives credit: 4 bytes.
	KindWindow
	// KindCancel asks for the end of the command of a stream, with the grace
	// period that the command came with.
	KindCancel
	// KindPing is answered by a KindPong with the same payload: 8 bytes.
	KindPing
	// KindPong answers a KindPing.
	KindPong
	// KindGoodbye ends the connection: from the runner, a wish that everything
	// end; from the helper, why it ends, in words.
	KindGoodbye

	kinds
)

// A ProtocolError says that the peer does not speak this protocol.
type ProtocolError struct{ Text string }

func (e *ProtocolError) Error() string { return e.Text }

func violation(format string, args ...any) error {
	return &ProtocolError{Text: fmt.Sprintf(format, args...)}
}

// Frame is one frame.
type Frame struct {
	Kind    Kind
	Stream  uint32
	Payload []byte
}

// AppendFrame appends a frame's bytes. Its payload must not be longer than
// MaxPayload.
func AppendFrame(b []byte, f Frame) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Payload)))
	b = append(b, byte(f.Kind))
	b = binary.BigEndian.AppendUint32(b, f.Stream)
	return append(b, f.Payload...)
}

// FrameReader reads frames.
type FrameReader struct {
	r       io.Reader
	payload []byte
	header  [headerSize]byte
}

// NewFrameReader returns a reader that does not read ahead.
func NewFrameReader(r io.Reader) *FrameReader { return &FrameReader{r: r} }

// Read returns the next frame, whose payload is valid until the next call. At
// the end of the stream between two frames the error is io.EOF.
func (r *FrameReader) Read() (Frame, error) {
	if _, err := io.ReadFull(r.r, r.header[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return Frame{}, fmt.Errorf("the stream ends inside a frame: %w", err)
		}
		return Frame{}, err
	}
	size := binary.BigEndian.Uint32(r.header[:])
	f := Frame{Kind: Kind(r.header[4]), Stream: binary.BigEndian.Uint32(r.header[5:])}
	if size > MaxPayload || f.Kind == 0 || f.Kind >= kinds {
		return Frame{}, violation("it sent %q, which is no frame of the protocol", r.header[:])
	}
	if err := checkSize(f.Kind, size); err != nil {
		return Frame{}, err
	}
	if int(size) > cap(r.payload) {
		r.payload = make([]byte, max(int(size), 4<<10))
	}
	f.Payload = r.payload[:size]
	if _, err := io.ReadFull(r.r, f.Payload); err != nil {
		return Frame{}, fmt.Errorf("the stream ends inside a frame: %w", err)
	}
	return f, nil
}

// checkSize checks the payloads that have a fixed size.
func checkSize(kind Kind, size uint32) error {
	want := size
	switch kind {
	case KindWindow:
		want = 4
	case KindPing, KindPong:
		want = 8
	case KindEnd, KindCancel:
		want = 0
	}
	if size != want {
		return violation("a frame of kind %d has %d bytes, want %d", kind, size, want)
	}
	return nil
}
