package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"otelrunner/sandbox/stream/wire"
)

// forward is a port in the place whose connections go to the runner. It takes one
// only when the runner asks for one, which bounds how many there are; others wait
// in the kernel.
type forward struct {
	mu       sync.Mutex
	listener net.Listener
	closed   bool
}

// listen opens the port, once.
func (f *forward) listen() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.listener != nil || f.closed {
		return "", errors.New("there is such a port already")
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a port on the loopback of the job's place: %w", err)
	}
	f.listener = l
	return l.Addr().String(), nil
}

// close ends the port, and whoever waits for a connection.
func (f *forward) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.listener != nil {
		_ = f.listener.Close() // the process is about to end
	}
}

// accept waits for a connection, and carries it to its end.
func (f *forward) accept(c *call) error {
	f.mu.Lock()
	l := f.listener
	f.mu.Unlock()
	if l == nil {
		return errors.New("there is no port to take connections from")
	}
	conn, err := l.Accept()
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	c.answered = true
	status := &wire.Encoder{}
	wire.AppendStatus(status, nil)
	if _, err := c.stream.Write(status.Bytes); err != nil {
		_ = conn.Close()
		return err // which nobody is there to read
	}
	wire.Join(c.stream, c.in.Rest(), conn)
	return nil
}
