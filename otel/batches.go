package otel

import (
	"context"
	"errors"
	"sync"
	"time"

	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// The defaults of the variables that time and cut exports of log records, as the
// specification has them.
const (
	logBatch     = 512
	logBatchBy   = "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE"
	logDelay     = time.Second
	logDelayBy   = "OTEL_BLRP_SCHEDULE_DELAY"
	logTimeout   = 30 * time.Second
	logTimeoutBy = "OTEL_BLRP_EXPORT_TIMEOUT"
)

// batches is a log processor that keeps records until a batch of them is full or
// the first has waited long enough. It has the variables and the promises of the
// SDK's, which holds the memory of a full queue from its start on (11 MB at the
// bound of logQueue) where this one holds what waits. It is not bounded itself:
// see boundedLogs. All methods may be called by several goroutines.
type batches struct {
	exporter       sdklog.Exporter
	size           int
	delay, timeout time.Duration

	began  chan struct{} // a batch has its first record
	filled chan struct{} // one is full
	flush  chan order
	end    chan order    // with room for the one that comes
	done   chan struct{} // closed when the exporter has been shut down

	mu     sync.Mutex
	full   [][]sdklog.Record
	open   []sdklog.Record
	spare  []sdklog.Record // the memory of a batch that has been exported
	closed bool
}

// An order is a call of ForceFlush or Shutdown.
type order struct {
	ctx   context.Context //nolint:containedctx // of the call that waits for the answer
	ended chan error
}

func newBatches(exporter sdklog.Exporter, e env, limit int64) *batches {
	b := &batches{
		exporter: exporter,
		size:     min(e.positive(logBatchBy, logBatch), int(limit)),
		delay:    time.Duration(e.positive(logDelayBy, int(logDelay/time.Millisecond))) * time.Millisecond,
		timeout:  time.Duration(e.positive(logTimeoutBy, int(logTimeout/time.Millisecond))) * time.Millisecond,
		began:    make(chan struct{}, 1), filled: make(chan struct{}, 1),
		flush: make(chan order), end: make(chan order, 1), done: make(chan struct{}),
	}
	go b.run()
	return b
}

// Enabled implements sdklog.Processor.
func (*batches) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// OnEmit implements sdklog.Processor. It waits for nothing.
func (b *batches) OnEmit(_ context.Context, r *sdklog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	if b.open == nil {
		b.open, b.spare = b.spare, nil
	}
	b.open = append(b.open, r.Clone())
	if len(b.open) == 1 {
		signalTo(b.began)
	}
	if len(b.open) == b.size {
		b.full, b.open = append(b.full, b.open), nil
		signalTo(b.filled)
	}
	return nil
}

func signalTo(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has not been noticed yet
	}
}

// run is the only one that calls the exporter.
func (b *batches) run() {
	defer close(b.done)
	timer := time.NewTimer(b.delay)
	timer.Stop()
	for {
		select {
		case <-b.began:
			timer.Reset(b.delay)
		case <-b.filled:
			_ = b.export(context.Background(), false) // the exporter counts its failures
		case <-timer.C:
			_ = b.export(context.Background(), true) // as above
		case o := <-b.flush:
			o.ended <- errors.Join(b.export(o.ctx, true), b.exporter.ForceFlush(o.ctx))
		case o := <-b.end:
			o.ended <- errors.Join(b.export(o.ctx, true), b.exporter.ForceFlush(o.ctx), b.exporter.Shutdown(o.ctx))
			return
		}
	}
}

// export sends all full batches, and what is not one yet if all is set. What ctx
// leaves no time for is given up: its exports fail at once.
func (b *batches) export(ctx context.Context, all bool) error {
	var errs []error
	for batch := b.take(all); batch != nil; batch = b.take(all) {
		within, cancel := context.WithTimeout(ctx, b.timeout)
		errs = append(errs, b.exporter.Export(within, batch))
		cancel()
		clear(batch)
		b.mu.Lock()
		b.spare = batch[:0]
		b.mu.Unlock()
	}
	return errors.Join(append(errs, ctx.Err())...)
}

func (b *batches) take(all bool) (batch []sdklog.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case len(b.full) > 0:
		batch = b.full[0]
		b.full[0] = nil // its memory is not to wait for that of the others
		b.full = b.full[1:]
	case all && len(b.open) > 0:
		batch, b.open = b.open, nil
	}
	return batch
}

// ForceFlush implements sdklog.Processor.
func (b *batches) ForceFlush(ctx context.Context) error {
	o := order{ctx, make(chan error, 1)}
	select {
	case b.flush <- o:
		return o.wait(ctx)
	case <-b.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx) //nolint:wrapcheck // this is a processor, too
	}
}

// Shutdown implements sdklog.Processor. What is emitted from now on is dropped; a
// second call does nothing.
func (b *batches) Shutdown(ctx context.Context) error {
	b.mu.Lock()
	was := b.closed
	b.closed = true
	b.mu.Unlock()
	if was {
		return nil
	}
	o := order{ctx, make(chan error, 1)}
	b.end <- o
	return o.wait(ctx)
}

func (o order) wait(ctx context.Context) error {
	select {
	case err := <-o.ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx) //nolint:wrapcheck // as above
	}
}
