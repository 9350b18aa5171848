package stream

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"otelrunner/sandbox/stream/wire"
)

// maxForwarded is how many connections one port carries at a time; others wait
// inside. Each may have wire.Window bytes under way in each direction.
const maxForwarded = 16

// Forward opens a TCP port on the loopback of the far end and carries each
// connection to it to one that dial makes here, until the stream ends. It returns
// the port's address, and is called wire.MaxPorts times at most. dial is called by
// several goroutines; its context ends with the connection.
func (c *Client) Forward(ctx context.Context, dial func(context.Context) (net.Conn, error)) (string, error) {
	var address string
	err := c.call(ctx, wire.MethodListen, func(*wire.Encoder) {}, func(d *wire.Decoder) {
		address = d.String(wire.MaxAddress)
		if at, err := netip.ParseAddrPort(address); err != nil || !at.Addr().IsLoopback() || at.Port() == 0 || at.Addr().Zone() != "" {
			d.Violation("it listens on %.100q, which is no port of its loopback", address)
		}
	})
	if err != nil {
		return "", fmt.Errorf("open a port for the job's programs: %w", err)
	}
	c.background.Go(func() { c.forward(address, dial) })
	return address, nil
}

// forward asks for one connection to a port after another, for as long as the stream
// lasts.
func (c *Client) forward(address string, dial func(context.Context) (net.Conn, error)) {
	places := make(chan struct{}, maxForwarded)
	for {
		select {
		case places <- struct{}{}:
		case <-c.conn.Done():
			return
		}
		s, in := c.acceptForwarded(address)
		if s == nil {
			return
		}
		c.background.Go(func() {
			defer func() { <-places }()
			conn, err := dial(s.Context())
			if err != nil {
				s.Reset("the runner does not take the connection")
				return
			}
			wire.Join(s, in.Rest(), conn)
		})
	}
}

// acceptForwarded waits for a connection. It returns nil when there will be none:
// the stream has ended, or the far end does not take any more.
func (c *Client) acceptForwarded(address string) (*wire.Stream, *wire.Decoder) {
	e := &wire.Encoder{Bytes: []byte{byte(wire.MethodAccept)}}
	e.String(address)
	s, err := c.open(context.Background(), e.Bytes)
	if err != nil {
		return nil, nil
	}
	d := wire.NewDecoder(s)
	if status, err := wire.DecodeStatus(d); status != nil || err != nil {
		_ = c.failed(err) // a lie ends the stream, which every other call then says
		s.Reset("")
		return nil, nil
	}
	return s, d
}
