// Package pipes has a net.Listener whose connections never leave this process: what
// a sandbox carries to the runner ends at one.
package pipes

import (
	"context"
	"net"
	"sync"
)

// Listener is a net.Listener of connections inside this process. It costs no port
// and no file descriptor, and is safe for concurrent use.
type Listener struct {
	come   chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// New makes a Listener.
func New() *Listener { return &Listener{come: make(chan net.Conn), closed: make(chan struct{})} }

// Dial opens a connection, and waits until it has been taken.
func (p *Listener) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.come <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (p *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-p.come:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *Listener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *Listener) Addr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "pipe" }
func (address) String() string  { return "pipe" }
