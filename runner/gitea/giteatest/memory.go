package giteatest

import (
	"context"
	"net"
	"sync"
	"syscall"
)

// memoryListener hands out connections that are pipes within the process: unlike
// a socket's, their waiting is one that testing/synctest understands.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "gitea.test" }

func (s *Server) dialMemory(ctx context.Context, _, _ string) (net.Conn, error) {
	refused := &net.OpError{Op: "dial", Net: "memory", Addr: memoryAddr{}, Err: syscall.ECONNREFUSED}
	s.mu.Lock()
	down, fails := s.down, s.dials
	s.mu.Unlock()
	switch {
	case fails != nil:
		return nil, &net.OpError{Op: "dial", Net: "memory", Err: fails}
	case down:
		return nil, refused
	}
	ours, theirs := net.Pipe()
	select {
	case s.memory.conns <- theirs:
		return ours, nil
	case <-s.memory.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
