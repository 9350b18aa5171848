package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/pipes"
	"otelrunner/sandbox/stream"
	"otelrunner/sandbox/stream/serve"
	"otelrunner/sandbox/stream/wire"
)

// talker is a place whose only command writes a lot.
type talker struct{ serve.Box }

func (talker) Hello() wire.Hello                                  { return hello() }
func (t talker) Open(wire.Setup) (serve.Box, wire.Session, error) { return t, wire.Session{}, nil }
func (talker) Close(context.Context) error                        { return nil }
func (talker) Run(_ context.Context, c *sandbox.Command) (sandbox.Result, error) {
	for range 100 {
		if _, err := c.Stdout.Write(make([]byte, 20<<10)); err != nil {
			return sandbox.Result{}, err
		}
	}
	return sandbox.Result{}, nil
}

// forwarding is a place in this process, with a port that leads to dial. end ends
// it; the test does, if it has not.
func forwarding(t *testing.T, dial func(context.Context) (net.Conn, error)) (c *stream.Client, address string, end func()) {
	t.Helper()
	near, far := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() {
		// The client may go while the helper writes.
		if err := serve.Serve(far, talker{}, nil); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the helper: %v", err)
		}
	})
	c, err := stream.NewClient(t.Context(), near, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		_ = c.Close()
		served.Wait()
	})
	t.Cleanup(end)
	if _, err := c.Setup(t.Context(), stream.Setup{}); err != nil {
		t.Fatal(err)
	}
	if address, err = c.Forward(t.Context(), dial); err != nil {
		t.Fatal(err)
	}
	return c, address, end
}

// listenHere serves connections of this machine, and returns how to dial it.
func listenHere(t *testing.T, handle func(*net.TCPConn)) func(context.Context) (net.Conn, error) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				handle(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}
}

func connect(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	return conn.(*net.TCPConn)
}

// TestForwardEcho: more bytes than any window, both ways, with an end on either
// side first, over many connections.
func TestForwardEcho(t *testing.T) {
	_, address, end := forwarding(t, listenHere(t, func(c *net.TCPConn) {
		_, _ = io.Copy(c, c)
		_ = c.CloseWrite()
	}))
	sent := bytes.Repeat([]byte("0123456789abcdef"), wire.Window/4)
	var all sync.WaitGroup
	for range 40 { // more than are carried at a time
		conn := connect(t, address)
		all.Go(func() {
			_, _ = conn.Write(sent)
			_ = conn.CloseWrite()
		})
		all.Go(func() {
			got, err := io.ReadAll(conn)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("%d bytes came back of %d, %v", len(got), len(sent), err)
			}
			_ = conn.Close()
		})
	}
	all.Wait()
	end()
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
		_ = conn.Close()
		t.Error("the port is open after the job's end")
	}
}

// TestForwardHTTP: over connections inside the process, which have no half that
// could be closed, each client that goes makes room for the next.
func TestForwardHTTP(t *testing.T) {
	l := pipes.New()
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		if n != 300<<10 {
			t.Errorf("%d bytes of a request", n)
		}
		_, _ = io.WriteString(w, "taken")
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	_, address, _ := forwarding(t, l.Dial)
	began := time.Now()
	for range 120 {
		client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
		res, err := client.Post("http://"+address, "", bytes.NewReader(make([]byte, 300<<10)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil || string(body) != "taken" {
			t.Fatalf("the answer is %q, %v", body, err)
		}
		client.CloseIdleConnections()
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %v: connections keep their places", d)
	}
}

// TestForwardFlood: programs that send to who does not read, over as many
// connections as they can open, hold up neither the output of steps nor the end of
// the job, and no more is dialled than the bound.
func TestForwardFlood(t *testing.T) {
	var dialled atomic.Int32
	stuck := make(chan struct{})
	dial := listenHere(t, func(*net.TCPConn) { <-stuck })
	t.Cleanup(func() { close(stuck) })
	full := make(chan struct{})
	c, address, end := forwarding(t, func(ctx context.Context) (net.Conn, error) {
		if dialled.Add(1) == 16 {
			close(full)
		}
		return dial(ctx)
	})
	var floods sync.WaitGroup
	for range 30 {
		conn := connect(t, address)
		floods.Go(func() {
			for {
				if _, err := conn.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		})
	}
	<-full
	for range 5 {
		var out bytes.Buffer
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := c.Run(ctx, &sandbox.Command{Args: []string{"talk"}, Stdout: &out})
		cancel()
		if err != nil || out.Len() != 100*20<<10 {
			t.Fatalf("%d bytes of output, %v", out.Len(), err)
		}
	}
	if n := dialled.Load(); n != 16 {
		t.Errorf("%d connections are carried at a time, want 16", n)
	}
	end()
	floods.Wait() // the helper has ended them
}

// TestForwardRefused: a dial that fails ends the connection inside, and not the
// port.
func TestForwardRefused(t *testing.T) {
	c, address, _ := forwarding(t, func(context.Context) (net.Conn, error) { return nil, errors.New("no") })
	for range 20 {
		if n, err := connect(t, address).Read(make([]byte, 1)); n != 0 || err == nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

// TestForwardPorts: a job has several ports, each of which leads elsewhere, and no
// more of them than there may be.
func TestForwardPorts(t *testing.T) {
	greet := func(word string) func(context.Context) (net.Conn, error) {
		return listenHere(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, word) })
	}
	c, address, _ := forwarding(t, greet("port 0"))
	addresses := []string{address}
	for i := 1; i < wire.MaxPorts; i++ {
		address, err := c.Forward(t.Context(), greet(fmt.Sprint("port ", i)))
		if err != nil {
			t.Fatal(err)
		}
		addresses = append(addresses, address)
	}
	for i, address := range addresses {
		if got, err := io.ReadAll(connect(t, address)); err != nil || string(got) != fmt.Sprint("port ", i) {
			t.Errorf("port %d leads to %q, %v", i, got, err)
		}
	}
	if _, err := c.Forward(t.Context(), nil); err == nil {
		t.Error("there is one port too many")
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
}

// TestForwardLinger: a connection of which one side has ended does not keep its
// place for ever when the other goes on.
func TestForwardLinger(t *testing.T) {
	dial := listenHere(t, func(c *net.TCPConn) { _ = c.CloseWrite(); _, _ = io.Copy(io.Discard, c) })
	_, address, _ := forwarding(t, dial)
	conn := connect(t, address)
	if rest, err := io.ReadAll(conn); err != nil || len(rest) > 0 {
		t.Fatal(rest, err)
	}
	for { // the test's deadline bounds it
		if _, err := conn.Write(make([]byte, 1<<10)); err != nil {
			if errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "timeout") {
				t.Error("the connection is kept")
			}
			return
		}
	}
}

// TestForwardLies has a peer that breaks the rules of a forward.
func TestForwardLies(t *testing.T) {
	listening := func(e *wire.Encoder) { wire.AppendStatus(e, nil); e.String("127.0.0.1:1") }
	for name, c := range map[string]struct {
		listen  func(*wire.Encoder)
		then    func(p *peer, id uint32) // with the first accept
		refused bool                     // Forward fails
		broken  bool                     // the stream is closed
	}{
		"another machine's address": {listen: func(e *wire.Encoder) { wire.AppendStatus(e, nil); e.String("10.0.0.1:80") }, refused: true, broken: true},
		"a name":                    {listen: func(e *wire.Encoder) { wire.AppendStatus(e, nil); e.String("localhost:80\nX=y") }, refused: true, broken: true},
		"no port":                   {listen: func(e *wire.Encoder) { wire.AppendStatus(e, nil); e.String("127.0.0.1:0") }, refused: true, broken: true},
		"a refusal":                 {listen: func(e *wire.Encoder) { wire.AppendStatus(e, errors.New("no")) }, refused: true},
		"a stream of its own":       {listen: listening, then: func(p *peer, id uint32) { p.send(wire.Frame{Kind: wire.KindOpen, Stream: id + 1}) }, broken: true},
		"no status":                 {listen: listening, then: func(p *peer, id uint32) { p.send(wire.Frame{Kind: wire.KindEnd, Stream: id}) }, broken: true},
		"a status that is none":     {listen: listening, then: func(p *peer, id uint32) { p.send(data(id, func(e *wire.Encoder) { e.Byte(99); e.Byte(0); e.Byte(0) })) }, broken: true},
		"more than its credit": {listen: listening, then: func(p *peer, id uint32) {
			p.send(data(id, func(e *wire.Encoder) { wire.AppendStatus(e, nil) }))
			for range 40 {
				p.send(wire.Frame{Kind: wire.KindData, Stream: id, Payload: make([]byte, wire.MaxPayload)})
			}
		}, broken: true},
		"an accept that fails": {listen: listening, then: func(p *peer, id uint32) {
			p.send(data(id, func(e *wire.Encoder) { wire.AppendStatus(e, errors.New("no")) }))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, end := dial(t, stream.Options{}, func(p *peer) {
					id := p.call()
					p.send(data(id, c.listen), wire.Frame{Kind: wire.KindEnd, Stream: id})
					if c.then != nil {
						accept := p.call()
						go p.swallow()
						c.then(p, accept)
						return
					}
					p.swallow()
				})
				defer end()
				deaf, far := net.Pipe() // nobody reads it
				defer far.Close()
				_, err := client.Forward(t.Context(), func(context.Context) (net.Conn, error) { return deaf, nil })
				if (err != nil) != c.refused {
					t.Errorf("Forward: %v", err)
				}
				synctest.Wait()
				if broken := client.Err() != nil; broken != c.broken {
					t.Errorf("the stream's error is %v", client.Err())
				}
			})
		})
	}
}
