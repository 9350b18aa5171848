package worker

import (
	"io"
	"sync"
)

// pipeSize is how much a pipe holds, as on Linux.
const pipeSize = 64 << 10

// pipe connects an instance with a child: the child's end blocks, the other end
// never does.
type pipe struct {
	mu     sync.Mutex
	change sync.Cond
	data   []byte
	ended  bool // nobody writes any more
	broken bool // nobody reads any more
}

func newPipe() *pipe {
	p := &pipe{}
	p.change.L = &p.mu
	return p
}

// Read blocks until there is something, or the end.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.data) == 0 && !p.ended && !p.broken && len(b) > 0 {
		p.change.Wait()
	}
	if len(p.data) == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return p.take(b), nil
}

func (p *pipe) take(b []byte) int {
	n := copy(b, p.data)
	p.data = p.data[n:]
	if len(p.data) == 0 {
		p.data = nil
	}
	p.change.Broadcast()
	return n
}

// Write blocks until there was room for everything.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(b) {
		for len(p.data) >= pipeSize && !p.broken {
			p.change.Wait()
		}
		if p.broken {
			return n, io.ErrClosedPipe
		}
		n += p.put(b[n:])
	}
	return n, nil
}

func (p *pipe) put(b []byte) int {
	n := min(len(b), pipeSize-len(p.data))
	p.data = append(p.data, b[:n]...)
	p.change.Broadcast()
	return n
}

// tryRead is Read that answers EAGAIN instead of blocking.
func (p *pipe) tryRead(b []byte) (int, errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.data) == 0 && !p.ended {
		return 0, eAgain
	}
	return p.take(b), 0
}

// tryWrite takes what there is room for.
func (p *pipe) tryWrite(b []byte) (int, errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.broken || p.ended:
		return 0, ePipe
	case len(b) == 0:
		return 0, 0
	case len(p.data) >= pipeSize:
		return 0, eAgain
	}
	return p.put(b), 0
}

// end says that nobody writes any more.
func (p *pipe) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.change.Broadcast()
}

// breakOff says that nobody reads any more.
func (p *pipe) breakOff() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = true
	p.change.Broadcast()
}
