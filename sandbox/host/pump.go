package host

import (
	"io"
	"os"
	"sync"
	"time"
)

const (
	// pumpBuffer is as much as a pipe holds on Linux: one read empties it.
	pumpBuffer = 64 << 10

	// quiet is how long an open pipe must have been empty after its process
	// has ended before it is taken to be a background process's. It serves
	// `exec > >(tee log)`, whose tee writes its last lines after the shell
	// has ended.
	quiet = 250 * time.Millisecond

	// patience ends the wait for quiet when a background process never is:
	// it is over when this time has passed and all that the process itself
	// wrote is in, because the pipe has been empty since, or more has been
	// read than a pipe can hold.
	patience    = time.Second
	pipeMaximum = 1 << 20
)

// buffers are those of pumps that have ended, for the next: to make one takes as
// long as all else that a short command does to memory. It is safe for concurrent
// use.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[pumpBuffer]byte {
	if old, ok := b.pool.Get().(*[pumpBuffer]byte); ok {
		return old
	}
	return new([pumpBuffer]byte)
}

// pump copies a pipe to a Writer, as fast as the Writer takes it.
type pump struct {
	pipe    *os.File
	writer  io.Writer
	buffers *buffers
	done    chan struct{} // closed when the pipe is at its end

	mu       sync.Mutex
	waiting  time.Time // since when it waits for data; zero while it writes
	read     int64
	drained  bool // the pipe was empty once after its process had ended
	detached bool
}

func (p *pump) run() {
	defer close(p.done)
	defer func() { _ = p.pipe.Close() }()
	own := p.buffers.get()
	defer p.buffers.pool.Put(own)
	buffer := own[:]
	var failed bool
	for {
		p.wait()
		n, err := p.pipe.Read(buffer)
		if n > 0 && p.take(n) && !failed {
			// A Writer that fails gets no more, but its process must
			// not die of a broken pipe for it.
			_, werr := p.writer.Write(buffer[:n])
			failed = werr != nil
		}
		if err != nil {
			return
		}
	}
}

func (p *pump) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = time.Now()
}

// take counts n bytes and reports whether the Writer may still be called.
func (p *pump) take(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = time.Time{}
	p.read += int64(n)
	return !p.detached
}

// settle returns true when the pipe has reached its end, and false when it has
// detached the Writer from a pipe that others hold open.
func (p *pump) settle(ended time.Time) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(time.Millisecond):
	}
	p.mu.Lock()
	before := p.read
	p.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return true
		case now := <-tick.C:
			if p.leave(now, ended, before) {
				return false
			}
		}
	}
}

// leave detaches the Writer if it is time.
func (p *pump) leave(now, ended time.Time, before int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.IsZero() {
		return false // a Writer is at work: its slowness is not silence
	}
	since := p.waiting
	if since.Before(ended) {
		since = ended
	}
	empty := isEmpty(p.pipe)
	p.drained = p.drained || empty
	silent := empty && now.Sub(since) >= quiet
	endless := now.Sub(ended) >= patience && (p.drained || p.read-before > pipeMaximum)
	p.detached = silent || endless
	return p.detached
}

// detach keeps the Writer from being called again; a call in progress goes on.
func (p *pump) detach() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.detached = true
}

// endTime is what a pump gets to end whose pipe nobody can hold any more.
const endTime = 200 * time.Millisecond

// end ends a detached pump. What may keep it is a Writer that never returns, and
// where pipes have no deadlines, a process that could not be killed.
func (p *pump) end() {
	_ = p.pipe.SetReadDeadline(time.Unix(1, 0))
	select {
	case <-p.done:
	case <-time.After(endTime):
	}
}
