package container

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// A spareNetwork keeps one network, in which nothing is, for the next job: making one
// is a fifth of what a job's begin takes. It belongs to one job and is removed with it,
// as any other.
type spareNetwork struct {
	p *Provider

	mu     sync.Mutex
	keeps  bool
	making bool
	name   string // "" while there is none
	wg     sync.WaitGroup
	ctx    context.Context //nolint:containedctx // it is the life of who makes one
	stop   context.CancelFunc
}

func newSpareNetwork(p *Provider) *spareNetwork {
	s := &spareNetwork{p: p}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// KeepNetwork keeps a network ready for the next job from now on, where jobs have
// networks of their own. It returns at once.
func (p *Provider) KeepNetwork() {
	if p.options.Network != "" {
		return
	}
	p.spare.mu.Lock()
	p.spare.keeps = true
	p.spare.mu.Unlock()
	p.spare.refill()
}

// KeptNetwork is the name of the network that is ready; "" while there is none.
func (p *Provider) KeptNetwork() string {
	p.spare.mu.Lock()
	defer p.spare.mu.Unlock()
	return p.spare.name
}

// spareJob is the job that a network's label names, which no real one is called.
func spareJob(name string) string { return strings.TrimPrefix(name, reserved) }

// refill makes one if there is none.
func (s *spareNetwork) refill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keeps || s.making || s.name != "" {
		return
	}
	s.making = true
	name := fmt.Sprintf("%sspare-%s-%d", reserved, s.p.process.name[:8], s.p.process.standbys.Add(1))
	s.p.process.setActive(spareJob(name), true)
	s.wg.Go(func() {
		err := s.p.createNetwork(s.ctx, name, s.p.labels(spareJob(name), nil), false)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.making = false
		if err != nil {
			s.p.process.setActive(spareJob(name), false) // the next job makes its own, and Sweep removes what came of it
			return
		}
		s.name = name
	})
}

// take returns the network, which is the caller's then; "" when there is none. One
// that somebody has pruned is none.
func (s *spareNetwork) take(ctx context.Context) string {
	s.mu.Lock()
	name := s.name
	s.name = ""
	s.mu.Unlock()
	if name == "" {
		return ""
	}
	_, err := within(ctx, func(ctx context.Context) (client.NetworkInspectResult, error) {
		return s.p.engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	})
	if err != nil {
		s.p.process.setActive(spareJob(name), false) // for Sweep, if it is there
		return ""
	}
	return name
}

// close ends it.
func (s *spareNetwork) close(ctx context.Context) error {
	s.mu.Lock()
	s.keeps = false
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
	s.mu.Lock()
	name := s.name
	s.name = ""
	s.mu.Unlock()
	if name == "" {
		return nil
	}
	s.p.process.setActive(spareJob(name), false)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s.p.removeNetwork(ctx, name)
}
