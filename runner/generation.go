package runner

import (
	"errors"
	"reflect"
	"sync"

	"otelrunner/runner/config"
	"otelrunner/runner/label"
)

// terms are what a job runs under, from its beginning to its end, whatever is
// reloaded meanwhile.
type terms struct {
	cfg       *config.Config
	engine    engine
	secrets   []string   // of the runner, masked in every job
	copies    *jobLogs   // nil: none are kept
	telemetry *telemetry // nil: none
}

// generation is what serves jobs under one configuration. A reload makes the next
// one, of new parts where what they are made from has changed; the last one's go on
// for the jobs that run in them.
type generation struct {
	terms
	labels  label.List
	docker  *containers
	wasms   *wasms
	modules *moduleRunner
	resists error // what of dead runners could not be removed when it was made

	parts []*part
	users int // jobs, and 1 while it is the one in force; guarded by generations.mu
}

func (g *generation) resisted(err error) { g.resists = errors.Join(g.resists, err) }

// part is something of a generation that the next one may go on using.
type part struct {
	key   any // what it was made from
	it    sandboxPart
	users int // generations; guarded by generations.mu
}

// sandboxPart is a sandbox for jobs. retire is called when no generation that is in
// force has it: few jobs will come to it any more. close is called after the last.
type sandboxPart interface {
	retire()
	close()
}

// share gives g the part of old that was made from key, or a new one; fresh says
// which. old may be nil.
func share[T sandboxPart](g, old *generation, key any, build func() T) (it T, fresh bool) {
	if old != nil {
		for _, p := range old.parts {
			if it, ok := p.it.(T); ok && reflect.DeepEqual(p.key, key) {
				g.parts = append(g.parts, p)
				return it, false
			}
		}
	}
	it = build()
	g.parts = append(g.parts, &part{key: key, it: it})
	return it, true
}

// generations knows which generation is in force, and ends the parts that nobody
// uses any more. It is safe for concurrent use.
type generations struct {
	mu      sync.Mutex
	current *generation
	ending  sync.WaitGroup
}

// now is the generation in force. A job that begins takes lease instead.
func (s *generations) now() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// lease is the generation in force, for a job, until release.
func (s *generations) lease() (g *generation, release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g = s.current
	g.users++
	return g, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left(g)
	}
}

// put brings a generation into force.
func (s *generations) put(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current
	s.current = g
	kept := map[*part]bool{}
	if g != nil {
		g.users++
		for _, p := range g.parts {
			kept[p] = true
			p.users++
		}
	}
	if old == nil {
		return
	}
	for _, p := range old.parts {
		if !kept[p] {
			s.ending.Go(p.it.retire)
		}
	}
	s.left(old)
}

// left notes that g has a user less; mu is held.
func (s *generations) left(g *generation) {
	if g.users--; g.users > 0 {
		return
	}
	for _, p := range g.parts {
		if p.users--; p.users == 0 {
			s.ending.Go(p.it.close)
		}
	}
}

// drop ends the parts of a generation that was not put.
func (s *generations) drop(g *generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range g.parts {
		if p.users == 0 {
			s.ending.Go(p.it.close)
		}
	}
}

// close ends all and waits for it. No job may be running.
func (s *generations) close() {
	s.put(nil)
	s.ending.Wait()
}
