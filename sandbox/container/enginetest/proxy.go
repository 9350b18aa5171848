// Package enginetest stands between a test and the container engine of this
// machine: it sees what is asked of the engine, and can take it away.
package enginetest

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// engineSocket is where the engine listens.
const engineSocket = "/var/run/docker.sock"

// A Proxy is a socket before the engine's that writes down requests. It is safe for
// concurrent use.
type Proxy struct {
	socket string

	mu     sync.Mutex
	calls  []string
	last   time.Time // of the last call
	server net.Listener
	conns  []net.Conn
	cut    bool
	gone   *sync.WaitGroup // of what serves since Listen
}

// New returns a Proxy that listens until the test's end.
func New(t testing.TB) *Proxy {
	t.Helper()
	p := &Proxy{socket: filepath.Join(t.TempDir(), "docker.sock")}
	p.Listen(t)
	t.Cleanup(p.Cut)
	return p
}

// Host is the address for clients of the engine, unix://PATH.
func (p *Proxy) Host() string { return "unix://" + p.socket }

// Listen makes the engine reachable, until Cut.
func (p *Proxy) Listen(t testing.TB) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := &sync.WaitGroup{}
	p.server, p.cut, p.gone = listener, false, gone
	gone.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			gone.Go(func() { p.serve(conn) })
		}
	})
}

// Cut is the end of the engine, for who talks to it through p.
func (p *Proxy) Cut() {
	p.mu.Lock()
	p.cut = true
	_ = p.server.Close() // it may be the second time
	for _, c := range p.conns {
		_ = c.Close() // as above
	}
	p.conns = nil
	gone := p.gone
	p.mu.Unlock()
	gone.Wait()
}

func (p *Proxy) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()                                                    // its end is all there is to say
	engine, err := (&net.Dialer{}).DialContext(context.Background(), "unix", engineSocket) // ended by Cut
	if err != nil {
		return
	}
	defer func() { _ = engine.Close() }() // as above
	if !p.took(conn, engine) {
		return
	}
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		_, _ = io.Copy(conn, engine) // an end, whatever the reason
		_ = conn.Close()
	}()
	_, _ = io.Copy(engine, io.TeeReader(conn, p)) // as above
	if half, ok := engine.(*net.UnixConn); ok {
		_ = half.CloseWrite() // the engine may have ended it
	}
	<-answers
}

// took remembers connections for Cut, unless that has been.
func (p *Proxy) took(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.conns = append(p.conns, conns...)
	}
	return !p.cut
}

// Write looks for request lines. A request begins a Write: clients flush them.
func (p *Proxy) Write(b []byte) (int, error) {
	line, _, _ := bytes.Cut(b[:min(len(b), 1024)], []byte("\r\n"))
	method, rest, ok := strings.Cut(string(line), " ")
	if path, ok2 := strings.CutSuffix(rest, " HTTP/1.1"); ok && ok2 {
		path, _, _ = strings.Cut(path, "?")
		p.mu.Lock()
		p.calls, p.last = append(p.calls, method+" "+path), time.Now()
		p.mu.Unlock()
	}
	return len(b), nil
}

// Since returns the calls from the nth on, as METHOD PATH.
func (p *Proxy) Since(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls[n:])
}

// Quiet waits until no call has come for a while.
func (p *Proxy) Quiet(while time.Duration) {
	for {
		p.mu.Lock()
		left := while - time.Since(p.last)
		p.mu.Unlock()
		if left <= 0 {
			return
		}
		time.Sleep(left)
	}
}
