package sandbox

import (
	"context"
	"net"
)

// A Forwarder is a Sandbox whose programs have a loopback of their own, which can
// be given a port that leads to this process.
type Forwarder interface {
	Sandbox

	// Forward opens a TCP port on the loopback of the sandbox's programs, and
	// carries each connection to it to one that dial makes, until the sandbox
	// is closed or retired. It returns the port's address. It is called at most
	// four times, each time for a port of its own, from any goroutine. dial is called by several goroutines, for as many
	// connections at a time as the sandbox allows, and its context ends with
	// the connection. Programs of RunContainer, which share the job's network, reach the
	// port too.
	Forward(ctx context.Context, dial func(context.Context) (net.Conn, error)) (address string, err error)
}
