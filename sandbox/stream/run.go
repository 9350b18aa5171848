package stream

import (
	"context"
	"io"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/stream/wire"
)

const (
	// giveUp is how long after its grace period a cancelled command's Writer
	// may still be stuck before output is dropped.
	giveUp = 350 * time.Millisecond
	// obey is how long after the grace period Run waits for how a cancelled
	// command ended. The contract of Run leaves 1 s.
	obey = 950 * time.Millisecond
	// disobey is how long after the grace period the helper may take to end a
	// command, on a busy machine, before it is taken to be one that never will.
	disobey = 15 * time.Second
)

// Run runs one command to its end. A helper that does not end a command which
// was cancelled breaks the stream: nothing else can be trusted to end it.
func (c *Client) Run(ctx context.Context, cmd *sandbox.Command) (sandbox.Result, error) {
	none := sandbox.Result{ExitCode: -1}
	if err := checkFiles(cmd.Files); err != nil {
		return none, err
	}
	if err := c.waitForLast(ctx); err != nil {
		return none, err
	}
	call := wire.Command{Command: *cmd, HasStdin: cmd.Stdin != nil, HasStdout: cmd.Stdout != nil, HasStderr: cmd.Stderr != nil,
		Same: sameWriter(cmd.Stdout, cmd.Stderr)}
	if call.CollectLimit == 0 {
		call.CollectLimit = sandbox.DefaultCollectLimit
	}
	e := &wire.Encoder{Bytes: []byte{byte(wire.MethodRun)}}
	call.Append(e)
	s, err := c.open(ctx, e.Bytes)
	if err != nil {
		return none, c.failed(err)
	}
	if cmd.Stdin == nil {
		s.CloseWrite()
	} else {
		// It ends with the Reader, for which nothing can wait.
		go func() {
			_, _ = io.Copy(streamWriter{s}, cmd.Stdin) // the program need not read all
			s.CloseWrite()
		}()
	}
	r := &run{client: c, stream: s, command: &call, start: time.Now(), result: none, done: make(chan struct{})}
	return r.wait(ctx)
}

// waitForLast waits for the command before, where that has been cancelled and not
// ended in time.
func (c *Client) waitForLast(ctx context.Context) error {
	c.mu.Lock()
	last := c.last
	c.mu.Unlock()
	if last == nil {
		return nil
	}
	select {
	case <-last:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// streamWriter hides ReadFrom and the like.
type streamWriter struct{ io.Writer }

// sameWriter reports a == b; values that cannot be compared are not the same.
func sameWriter(a, b io.Writer) (same bool) {
	defer func() {
		if recover() != nil {
			same = false
		}
	}()
	return a != nil && a == b
}

// run is one command on its way. Its answer is read by one goroutine, and
// written to the Writers by another, which may be stuck in one of them.
type run struct {
	client  *Client
	stream  *wire.Stream
	command *wire.Command
	start   time.Time

	// What follows is the reader's until done is closed.
	done   chan struct{}
	result sandbox.Result
	status error // the helper's
	err    error // of the answer
}

// output is a piece of output on its way to a Writer.
type output struct {
	to   wire.Record
	at   time.Time
	data []byte
}

func (r *run) wait(ctx context.Context) (sandbox.Result, error) {
	pieces := make(chan output)
	drop := make(chan struct{}) // closed when Writers have had their time
	written := make(chan struct{})
	r.client.background.Go(func() {
		r.err = r.read(pieces, drop)
		close(pieces)
		r.stream.Reset("")
		close(r.done)
	})
	go func() { // a Writer that never returns keeps it: see Client.Close
		defer close(written)
		r.write(pieces, drop)
	}()
	select {
	case <-r.done:
		return r.finish(ctx, written)
	case <-ctx.Done():
	}
	r.client.mu.Lock()
	r.client.last = r.done
	r.client.mu.Unlock()
	r.stream.Cancel()
	grace := max(0, r.command.Grace)
	r.client.background.Go(func() { r.watch(grace+disobey, func() { r.client.conn.Close(errDisobeyed) }) })
	enough := time.NewTimer(grace + giveUp)
	defer enough.Stop()
	late := time.NewTimer(grace + obey)
	defer late.Stop()
	select {
	case <-r.done:
		select {
		case <-written:
		case <-enough.C:
		}
		close(drop)
	case <-enough.C:
		close(drop)
		select {
		case <-r.done:
		case <-late.C:
			return sandbox.Result{ExitCode: -1}, context.Cause(ctx)
		}
	}
	if r.err != nil {
		_ = r.client.failed(r.err) // a lie closes the stream
	}
	return r.result, context.Cause(ctx)
}

// watch calls alarm when the command has not ended in time.
func (r *run) watch(limit time.Duration, alarm func()) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		alarm()
	}
}

// finish is the end of a command that was not cancelled, unless it is while its
// last output is written.
func (r *run) finish(ctx context.Context, written <-chan struct{}) (sandbox.Result, error) {
	select {
	case <-written:
	case <-ctx.Done():
		select {
		case <-written:
		case <-time.After(giveUp):
		}
		return r.result, context.Cause(ctx)
	}
	if r.err != nil {
		return r.result, r.client.failed(r.err)
	}
	name := ""
	if len(r.command.Args) > 0 {
		name = r.command.Args[0]
	}
	return r.result, rename(r.status, name)
}

// write writes output until it ends. A Writer that fails gets no more, and none
// gets any once it has been dropped.
func (r *run) write(pieces <-chan output, drop <-chan struct{}) {
	var failed [wire.RecordStderr + 1]bool
	for p := range pieces {
		select {
		case <-drop:
			continue
		default:
		}
		if !failed[p.to] {
			failed[p.to] = r.writeOne(p) != nil
		}
	}
}

func (r *run) writeOne(p output) error {
	to := r.command.Stdout
	if p.to == wire.RecordStderr {
		to = r.command.Stderr
	}
	if timed, ok := to.(TimedWriter); ok {
		_, err := timed.WriteTimed(p.at, p.data)
		return err
	}
	_, err := to.Write(p.data)
	return err
}

// read reads the answer to its end.
func (r *run) read(pieces chan<- output, drop <-chan struct{}) error {
	d := wire.NewDecoder(r.stream)
	last := r.start
	// A piece that has been handed over is at the Writer while the next one
	// is read.
	var buffers [2][]byte
	for i := 0; ; i++ {
		switch tag := wire.Record(d.Byte()); tag {
		case wire.RecordStdout, wire.RecordStderr:
			last = r.time(last, d.Uint(maxRun))
			buffer := d.DataInto(buffers[i%2], wire.MaxOutput)
			if d.Err() != nil || !r.wants(d, tag) {
				return d.Err()
			}
			buffers[i%2] = buffer
			select {
			case pieces <- output{tag, last, buffer}:
			case <-drop:
			}
		case wire.RecordCollected:
			r.collected(d)
		case wire.RecordResult:
			return r.ended(d)
		default:
			d.Violation("it answered with a record of kind %d", tag)
		}
		if d.Err() != nil {
			return d.Err()
		}
	}
}

// maxRun is longer than any command runs.
const maxRun = 1 << 62

// time is the time of a piece of output: never before the last one's, nor in the
// future.
func (r *run) time(last time.Time, since uint64) time.Time {
	now := time.Now()
	if since >= uint64(now.Sub(last)) {
		return now
	}
	return last.Add(time.Duration(since))
}

// wants checks that a stream was asked for.
func (r *run) wants(d *wire.Decoder, tag wire.Record) bool {
	if tag == wire.RecordStdout && r.command.HasStdout || tag == wire.RecordStderr && r.command.HasStderr {
		return true
	}
	d.Violation("it sent output that was not asked for")
	return false
}

// collected takes one file.
func (r *run) collected(d *wire.Decoder) {
	index := int(d.Uint(wire.MaxCount))
	data := d.Data(int(min(r.command.CollectLimit, wire.MaxFile)))
	if d.Err() != nil {
		return
	}
	if index >= len(r.command.Collect) {
		d.Violation("it sent a file that was not asked for")
		return
	}
	name := r.command.Collect[index]
	if _, twice := r.result.Collected[name]; twice {
		d.Violation("it sent the file %s twice", name)
		return
	}
	if r.result.Collected == nil {
		r.result.Collected = map[string][]byte{}
	}
	r.result.Collected[name] = data
}

const (
	minCode, maxCode = -1, 255 // exit codes, 128 + a signal's number among them
	maxCPU           = 1 << 56 // nanoseconds: two years
	maxMemory        = 1 << 50
)

// ended takes the result.
func (r *run) ended(d *wire.Decoder) error {
	code := d.Int()
	usage := sandbox.Usage{CPU: time.Duration(d.Uint(maxCPU)), PeakMemory: int64(d.Uint(maxMemory))}
	status, err := wire.DecodeStatus(d)
	if err != nil {
		return err
	}
	if code < minCode || code > maxCode {
		d.Violation("its exit code is %d", code)
		return d.Err()
	}
	r.result.ExitCode, r.result.Usage, r.status = int(code), usage, status
	return nil
}
