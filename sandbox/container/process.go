package container

import (
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
)

// A Process names a process among all that use an engine, and knows which of its
// jobs are on. It is safe for concurrent use.
type Process struct {
	name     string
	standbys atomic.Int64 // numbers them

	mu     sync.Mutex
	active map[string]bool // jobs
}

// NewProcess is for Options.Process of several Providers.
func NewProcess() *Process {
	return &Process{name: strings.ToLower(rand.Text()), active: map[string]bool{}}
}

func (p *Process) setActive(job string, active bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if active {
		p.active[job] = true
	} else {
		delete(p.active, job)
	}
}

func (p *Process) isActive(job string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.active[job]
}
