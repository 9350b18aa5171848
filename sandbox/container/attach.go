package container

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/moby/moby/client"
)

// An attached is the stream of a container's first process: its standard output
// to Read, its standard input to Write. The engine sends standard output and error
// in frames of one connection; the last of the errors are kept for a message.
type attached struct {
	conn   client.HijackedResponse
	header [8]byte
	rest   uint32 // of a frame of standard output
	errors tail
	once   sync.Once
}

// Streams in the engine's frames.
const (
	streamOut = 1
	streamErr = 2
)

func (a *attached) Read(p []byte) (int, error) {
	for a.rest == 0 {
		if _, err := io.ReadFull(a.conn.Reader, a.header[:]); err != nil {
			return 0, ended(err)
		}
		length := binary.BigEndian.Uint32(a.header[4:])
		if a.header[0] == streamErr {
			if _, err := io.CopyN(&a.errors, a.conn.Reader, int64(length)); err != nil {
				return 0, ended(err)
			}
			continue
		}
		a.rest = length
	}
	if uint64(len(p)) > uint64(a.rest) {
		p = p[:a.rest]
	}
	n, err := a.conn.Reader.Read(p)
	a.rest -= uint32(n)
	return n, err
}

// ended makes a stream that breaks off inside a frame one that ends: the reason
// is the container's, not the frame's.
func ended(err error) error {
	if err == io.ErrUnexpectedEOF { //nolint:errorlint // as io.ReadFull returns it
		return io.EOF
	}
	return err
}

func (a *attached) Write(p []byte) (int, error) { return a.conn.Conn.Write(p) }

func (a *attached) Close() error {
	a.once.Do(a.conn.Close)
	return nil
}

// tail keeps the end of what is written to it. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	data []byte
}

// tailSize is enough for the last lines.
const tailSize = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p[max(0, len(p)-tailSize):]...)
	if extra := len(t.data) - tailSize; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}
