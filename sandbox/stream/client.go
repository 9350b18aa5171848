package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"otelrunner/sandbox/stream/wire"
)

// Client is the runner's end of a stream. Its methods are those of
// sandbox.Sandbox, with the same contract, but for Info and Close, which are the
// business of whoever owns the container. It is safe for concurrent use; one
// command runs at a time.
type Client struct {
	conn    *wire.Conn
	options Options
	hello   Hello
	explain func() error

	// background are the goroutines whose end may be later than that of the
	// call that began them: the keep-alive, writers that are stuck.
	background sync.WaitGroup

	mu      sync.Mutex
	setup   bool
	session Session
	staged  map[string]*stagedTree
	last    chan struct{} // closed when the last cancelled command has ended
}

// NewClient waits for the helper's hello on rwc, whose Close must end a Read and
// a Write that block. When ctx ends first, or something else answers, rwc is
// closed and the error says what came instead. Once there is a Client, Close must
// be called.
func NewClient(ctx context.Context, rwc io.ReadWriteCloser, o Options) (*Client, error) {
	if o.Peer == "" {
		o.Peer = defaultPeer
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = defaultKeepAlive
	}
	hello, err := greet(ctx, rwc)
	if err != nil {
		_ = rwc.Close()
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s has not said hello: %w", o.Peer, context.Cause(ctx))
		}
		c := &Client{options: o}
		return nil, c.explained(fmt.Errorf("%s did not start as the runner's helper: %w", o.Peer, err))
	}
	c := &Client{
		conn:    wire.NewConn(rwc, rwc, wire.Config{}),
		options: o,
		hello:   hello,
		staged:  map[string]*stagedTree{},
	}
	c.explain = sync.OnceValue(func() error { return c.explained(c.cause(c.conn.Err())) })
	return c, nil
}

// greet reads the hello. A Read that blocks ends when rwc is closed.
func greet(ctx context.Context, rwc io.ReadWriteCloser) (Hello, error) {
	type answer struct {
		hello Hello
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		hello, err := wire.ReadHello(rwc)
		answers <- answer{hello, err}
	}()
	select {
	case a := <-answers:
		return a.hello, a.err
	case <-ctx.Done():
		_ = rwc.Close()
		<-answers
		return Hello{}, context.Cause(ctx)
	}
}

// cause says in words why the connection has ended.
func (c *Client) cause(err error) error {
	var goodbye *wire.GoodbyeError
	var violation *wire.ProtocolError
	switch {
	case errors.Is(err, wire.ErrClosed), errors.Is(err, errSilent), errors.Is(err, errDisobeyed):
		return fmt.Errorf("%s: %w", c.options.Peer, err)
	case errors.As(err, &goodbye):
		return fmt.Errorf("%s has ended: %s", c.options.Peer, goodbye.Reason)
	case errors.As(err, &violation):
		return fmt.Errorf("%s does not speak the runner's protocol any more (did a step write to its standard output?): %w", c.options.Peer, err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s is gone: its stream has ended", c.options.Peer)
	}
	return fmt.Errorf("%s is gone: %w", c.options.Peer, err)
}

func (c *Client) explained(cause error) error {
	if c.options.Explain == nil || errors.Is(cause, wire.ErrClosed) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.Background(), ExplainTime)
	defer cancel()
	if better := c.options.Explain(ctx, cause); better != nil {
		return better
	}
	return cause
}

// Hello is what the helper said at its start.
func (c *Client) Hello() Hello { return c.hello }

// Done is closed when the stream has broken or was closed.
func (c *Client) Done() <-chan struct{} { return c.conn.Done() }

// Err is the one sentence for a stream that has broken, nil while it has not. It
// may wait for Options.Explain.
func (c *Client) Err() error {
	if c.conn.Err() == nil {
		return nil
	}
	return c.explain()
}

// Ping asks the helper for a sign of life.
func (c *Client) Ping(ctx context.Context) error { return c.failed(c.conn.Ping(ctx)) }

// Setup gives the place to a job. It is called once, before anything else.
func (c *Client) Setup(ctx context.Context, s Setup) (Session, error) {
	c.mu.Lock()
	if c.setup {
		defer c.mu.Unlock()
		return Session{}, errors.New("set up the job's place: it has been set up before")
	}
	c.setup = true
	c.mu.Unlock()
	var session Session
	err := c.call(ctx, wire.MethodSetup, s.Append, func(d *wire.Decoder) { session = wire.DecodeSession(d) })
	if err != nil {
		return Session{}, fmt.Errorf("set up the job's place: %w", err)
	}
	c.mu.Lock()
	c.session = session
	c.mu.Unlock()
	if c.options.KeepAlive > 0 {
		c.background.Go(c.keepAlive)
	}
	return session, nil
}

var (
	errSilent    = errors.New("it gives no sign of life")
	errDisobeyed = errors.New("it has not ended the command that it was told to end")
)

// silences is how many times KeepAlive may pass in silence.
const silences = 3

func (c *Client) keepAlive() {
	tick := time.NewTicker(c.options.KeepAlive)
	defer tick.Stop()
	for {
		select {
		case <-c.conn.Done():
			return
		case now := <-tick.C:
			silence := now.Sub(c.conn.Heard())
			if silence >= silences*c.options.KeepAlive {
				c.conn.Close(fmt.Errorf("%w for %v", errSilent, silence.Round(time.Second)))
				return
			}
			if silence >= c.options.KeepAlive/2 {
				c.conn.SendPing()
			}
		}
	}
}

// Shutdown tells the helper to end all processes and itself, and waits until the
// stream has ended.
func (c *Client) Shutdown(ctx context.Context) error {
	err := c.conn.Goodbye(ctx, "the job is over")
	if err != nil && c.conn.Err() == nil {
		return fmt.Errorf("end %s: %w", c.options.Peer, err)
	}
	select {
	case <-c.conn.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end %s: %w", c.options.Peer, context.Cause(ctx))
	}
}

// Close closes the stream, without which the helper ends all processes and
// itself. It waits for everything that the Client has started, but for Writers
// of commands that do not return.
func (c *Client) Close() error {
	c.conn.Close(nil)
	c.conn.Wait()
	c.background.Wait()
	return nil
}

// failed makes the error of a call: the one sentence when the stream is broken.
func (c *Client) failed(err error) error {
	if err == nil {
		return nil
	}
	if broken := c.conn.Err(); broken != nil && (errors.Is(err, broken) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return c.explain()
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = &wire.ProtocolError{Text: "it ended an answer in the middle"}
	}
	if violation, ok := errors.AsType[*wire.ProtocolError](err); ok {
		// One lie is enough.
		c.conn.Close(violation)
		return c.explain()
	}
	return err
}

// call opens a stream with a method and its arguments, and decodes the answer
// if its status says that there is one.
func (c *Client) call(ctx context.Context, method wire.Method, encode func(*wire.Encoder), decode func(*wire.Decoder)) error {
	e := &wire.Encoder{Bytes: []byte{byte(method)}}
	encode(e)
	s, err := c.open(ctx, e.Bytes)
	if err != nil {
		return c.failed(err)
	}
	defer s.Reset("")
	s.CloseWrite()
	return c.answer(ctx, s, decode)
}

func (c *Client) answer(ctx context.Context, s *wire.Stream, decode func(*wire.Decoder)) error {
	d := wire.NewDecoder(readerFunc(func(p []byte) (int, error) { return s.ReadContext(ctx, p) }))
	status, err := wire.DecodeStatus(d)
	if err == nil && status == nil && decode != nil {
		decode(d)
		err = d.Err()
	}
	if ctx.Err() != nil && (err != nil || status != nil) {
		return context.Cause(ctx)
	}
	if err != nil {
		return c.failed(err)
	}
	return status
}

// open opens a stream and sends the first data, however long.
func (c *Client) open(ctx context.Context, data []byte) (*wire.Stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	first := data[:min(len(data), wire.MaxPayload)]
	s, err := c.conn.Open(ctx, first)
	if err != nil {
		return nil, err
	}
	if rest := data[len(first):]; len(rest) > 0 {
		if _, err := s.WriteContext(ctx, rest); err != nil {
			s.Reset("")
			return nil, err
		}
	}
	return s, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
