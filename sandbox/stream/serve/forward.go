package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"otelrunner/sandbox/stream/wire"
)

// forward has the ports in the place whose connections go to the runner. It takes
// one only when the runner asks for one, which bounds how many there are; others
// wait in the kernel.
type forward struct {
	mu     sync.Mutex
	ports  map[string]net.Listener // by their addresses
	closed bool
}

// listen opens a port.
func (f *forward) listen() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.ports) == wire.MaxPorts {
		return "", fmt.Errorf("there are %d such ports already", wire.MaxPorts)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a port on the loopback of the job's place: %w", err)
	}
	if f.ports == nil {
		f.ports = map[string]net.Listener{}
	}
	f.ports[l.Addr().String()] = l
	return l.Addr().String(), nil
}

// close ends the ports, and whoever waits for a connection.
func (f *forward) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, l := range f.ports {
		_ = l.Close() // the process is about to end
	}
}

// accept waits for a connection to a port, and carries it to its end.
func (f *forward) accept(c *call) error {
	address := c.in.String(wire.MaxAddress)
	if c.in.Err() != nil {
		return c.in.Err()
	}
	f.mu.Lock()
	l := f.ports[address]
	f.mu.Unlock()
	if l == nil {
		return errors.New("there is no such port to take connections from")
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
