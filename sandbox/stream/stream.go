// Package stream is a sandbox whose files and processes are reached only through
// one byte stream: the standard input and output of a container's first process,
// which is our helper. This package is the runner's half; package serve is the
// helper's, and package wire has the protocol that both speak.
//
// # Trust
//
// The helper shares its container with the job, which can replace it, speak in
// its place or fall silent. Nothing that arrives is believed: every length has a
// bound, what is buffered is bounded by credits that this side gives, and every
// wait ends with its context. A stream that breaks a rule is closed, and every
// call then returns one error, which Options.Explain may make better.
package stream

import (
	"context"
	"time"

	"otelrunner/sandbox/stream/wire"
)

// Options configure a Client.
type Options struct {
	// Peer names the far end in errors. Default: "the container's first
	// process".
	Peer string

	// Explain makes the one sentence for a stream that has broken, from what
	// the owner of the container can find out: killed for its memory, removed,
	// the daemon gone. It is called at most once, with a context of its own
	// that ends after ExplainTime, and cause says what this side saw. nil, or
	// a nil error, leaves cause as it is.
	Explain func(ctx context.Context, cause error) error

	// KeepAlive is how often a silent helper is asked for a sign of life once
	// Setup has been called; after three of these times without one, the
	// stream is broken. Default: 20 s. Negative: never.
	KeepAlive time.Duration
}

const (
	// ExplainTime bounds Options.Explain.
	ExplainTime = 5 * time.Second

	defaultPeer      = "the container's first process"
	defaultKeepAlive = 20 * time.Second
)

type (
	// Hello is what the helper says of the place where it runs.
	Hello = wire.Hello
	// Setup gives the place to a job.
	Setup = wire.Setup
	// Session is what became of a Setup.
	Session = wire.Session
)

// TimedWriter is what Command.Stdout and Command.Stderr may implement to learn
// when the program wrote, instead of when its output arrived. Times never go
// back, and are this machine's: the helper's clock is not asked for the time of
// day.
type TimedWriter interface {
	WriteTimed(t time.Time, p []byte) (int, error)
}
