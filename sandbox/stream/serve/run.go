package serve

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/stream/wire"
)

// run runs a command. Its answer has no status before it: it comes last.
func (s *server) run(c *call, box Box) error {
	command := wire.DecodeCommand(c.in)
	if c.in.Err() != nil {
		return c.in.Err()
	}
	c.answered = true
	ctx, cancel := context.WithCancelCause(c.stream.Context())
	defer cancel(nil)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-c.stream.Cancelled():
			cancel(wire.ErrCancelled)
		case <-ctx.Done():
		}
	})
	out := &outputs{stream: c.stream, last: time.Now()}
	if command.HasStdin {
		command.Stdin = c.in.Rest()
	}
	if command.HasStdout {
		command.Stdout = &writer{out, wire.RecordStdout}
	}
	switch {
	case command.Same:
		command.Stderr = command.Stdout
	case command.HasStderr:
		command.Stderr = &writer{out, wire.RecordStderr}
	}
	result, err := s.runOne(ctx, box, &command.Command)
	cancel(nil)
	watcher.Wait()
	out.finish(&command.Command, result, err)
	return nil
}

// runOne runs a command if none runs.
func (s *server) runOne(ctx context.Context, box Box, c *sandbox.Command) (sandbox.Result, error) {
	if !s.running.TryLock() {
		return sandbox.Result{ExitCode: -1}, errors.New("another command is running")
	}
	defer s.running.Unlock()
	return box.Run(ctx, c)
}

// outputs sends the records of one command.
type outputs struct {
	stream *wire.Stream

	mu      sync.Mutex
	encoder wire.Encoder
	last    time.Time
	closed  bool
}

// writer sends one of its outputs. It blocks while the runner gives no credit.
type writer struct {
	*outputs
	tag wire.Record
}

func (w *writer) Write(p []byte) (int, error) {
	written := 0
	for piece := range slices.Chunk(p, wire.MaxOutput) {
		if err := w.send(w.tag, piece); err != nil {
			return written, err
		}
		written += len(piece)
	}
	return written, nil
}

func (o *outputs) send(tag wire.Record, p []byte) error {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errors.New("the command has ended")
	}
	o.encoder.Bytes = o.encoder.Bytes[:0]
	o.encoder.Byte(byte(tag))
	o.encoder.Uint(uint64(max(0, now.Sub(o.last))))
	o.encoder.Data(p)
	o.last = now
	_, err := o.stream.Write(o.encoder.Bytes)
	return err
}

// finish sends what comes after the outputs.
func (o *outputs) finish(c *sandbox.Command, result sandbox.Result, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for i, name := range c.Collect {
		data, ok := result.Collected[name]
		if !ok || slices.Contains(c.Collect[:i], name) {
			continue
		}
		e := wire.Encoder{}
		e.Byte(byte(wire.RecordCollected))
		e.Uint(uint64(i))
		e.Data(data)
		if _, err := o.stream.Write(e.Bytes); err != nil {
			return
		}
	}
	e := wire.Encoder{}
	e.Byte(byte(wire.RecordResult))
	e.Int(int64(result.ExitCode))
	e.Uint(uint64(max(0, result.Usage.CPU)))
	e.Uint(uint64(max(0, result.Usage.PeakMemory)))
	wire.AppendStatus(&e, err)
	if _, err := o.stream.Write(e.Bytes); err == nil {
		o.stream.CloseWrite()
	}
}
