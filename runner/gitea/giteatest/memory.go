package giteatest

import (
	"context"
	"errors"
	"net"
	"syscall"

	"otelrunner/sandbox/pipes"
)

// memoryListener hands out connections that are pipes within the process: unlike
// a socket's, their waiting is one that testing/synctest understands.
type memoryListener struct{ *pipes.Listener }

func newMemoryListener() memoryListener { return memoryListener{pipes.New()} }

// Addr implements net.Listener.
func (memoryListener) Addr() net.Addr { return memoryAddr{} }

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
	conn, err := s.memory.Dial(ctx)
	switch {
	case errors.Is(err, net.ErrClosed):
		return nil, refused
	case err != nil:
		return nil, ctx.Err() // as a socket's dialer has it
	}
	return conn, nil
}
