package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/image"
)

// standby keeps fresh containers for jobs to come: made, started, and never used.
// Each has a network and a volume of its own, knows nothing of any job, serves one
// and is removed with it.
type standby struct {
	p     *Provider
	count int

	mu     sync.Mutex
	closed bool
	ready  map[string][]*waiting // by the image's name
	images map[string]bool       // that are kept
	making map[string]int

	stop context.CancelFunc
	ctx  context.Context //nolint:containedctx // it is the life of the fillers
	wg   sync.WaitGroup
}

// waiting is one of them.
type waiting struct {
	*running
	job        string // its label
	ownNetwork string
}

func newStandby(p *Provider, count int) *standby {
	s := &standby{p: p, count: count, ready: map[string][]*waiting{}, images: map[string]bool{}, making: map[string]int{}}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Warm keeps Options.Standby containers of an image ready from now on. Jobs whose
// container needs nothing but this image, variables and services take them. It
// returns at once; failures are logged, and tried again when a job has taken one.
func (p *Provider) Warm(name string) {
	s := p.standby
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count > 0 {
		s.images[name] = true
		s.refill(name)
	}
}

// Warmed is how many containers of an image are ready.
func (p *Provider) Warmed(name string) int {
	p.standby.mu.Lock()
	defer p.standby.mu.Unlock()
	return len(p.standby.ready[name])
}

// refill starts what is missing. The caller holds mu.
func (s *standby) refill(name string) {
	for !s.closed && len(s.ready[name])+s.making[name] < s.count {
		s.making[name]++
		s.wg.Go(func() {
			w, err := s.make(name)
			if err != nil && s.ctx.Err() == nil {
				s.p.options.Log.WarnContext(s.ctx, "keep a container ready", "image", name, "error", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.making[name]--
			if w != nil {
				s.ready[name] = append(s.ready[name], w)
			}
		})
	}
}

func (s *standby) make(name string) (*waiting, error) {
	p, ctx := s.p, s.ctx
	quiet := func(string) {}
	arch, err := p.engine.reach(ctx, quiet)
	if err != nil {
		return nil, err
	}
	set, err := p.options.base()
	if err != nil {
		return nil, err
	}
	img, err := p.ensure(ctx, imageWish{name: name}, quiet)
	if err != nil {
		return nil, err
	}
	w := &waiting{job: fmt.Sprintf("standby-%s-%d", strings.ToLower(p.process.name[:8]), p.process.standbys.Add(1))}
	labels := p.labels(w.job, nil)
	p.process.setActive(w.job, true)
	network := p.options.Network
	if network == "" {
		network = reserved + w.job
		if err := p.createNetwork(ctx, network, labels, false); err != nil {
			p.process.setActive(w.job, false)
			return nil, err
		}
		w.ownNetwork = network
	}
	bind, err := p.makeBind(w.job)
	if err == nil {
		w.running, err = p.start(ctx, place{name: reserved + w.job, image: img, settings: set, network: network, labels: labels, arch: arch, bind: bind})
	}
	if err != nil {
		return nil, errors.Join(err, s.discard(ctx, w))
	}
	return w, nil
}

func (s *standby) discard(ctx context.Context, w *waiting) error {
	var errs []error
	if w.running != nil {
		errs = append(errs, s.p.discard(ctx, w.running))
	}
	if w.ownNetwork != "" {
		errs = append(errs, s.p.removeNetwork(ctx, w.ownNetwork))
	}
	s.p.process.setActive(w.job, false)
	return errors.Join(errs...)
}

// refillAfter is longer than a job needs to begin.
const refillAfter = 250 * time.Millisecond

// take returns a container that lives, and has another one made.
func (s *standby) take(name string) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	defer s.wg.Go(func() {
		// The job that has taken one begins first: making the next one would
		// take processors from it.
		select {
		case <-time.After(refillAfter):
		case <-s.ctx.Done():
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refill(name)
	})
	for len(s.ready[name]) > 0 {
		w := s.ready[name][0]
		s.ready[name] = s.ready[name][1:]
		select {
		case <-w.stream.Done():
			s.drop(w)
		default:
			return w
		}
	}
	return nil
}

// drop removes one that cannot be used. The caller holds mu.
func (s *standby) drop(w *waiting) {
	drop := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), time.Minute)
		defer cancel()
		if err := s.discard(ctx, w); err != nil {
			s.p.options.Log.WarnContext(ctx, "remove a container that was kept ready", "error", err)
		}
	}
	if s.closed { // nobody may wait for it any more
		drop()
		return
	}
	s.wg.Go(drop)
}

func (s *standby) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
	s.mu.Lock()
	ready := s.ready
	s.ready = map[string][]*waiting{}
	s.mu.Unlock()
	errs := make(chan error)
	count := 0
	for _, list := range ready {
		for _, w := range list {
			count++
			go func() { errs <- s.discard(ctx, w) }()
		}
	}
	var all error
	for range count {
		all = errors.Join(all, <-errs)
	}
	return all
}

// takeStandby takes a container that was kept ready, if the job can use one and
// its image is still the one that the name means.
func (o *opening) takeStandby(ctx context.Context) (*waiting, image.InspectResponse) {
	s := o.p.standby
	if c := o.spec.Container; s.count == 0 || o.settings.network != "" ||
		c != nil && (c.Options != "" || len(c.Volumes)+len(c.Ports) > 0 || c.Username != "") {
		return nil, image.InspectResponse{}
	}
	s.mu.Lock()
	kept := s.images[o.wish.name]
	s.mu.Unlock()
	if !kept {
		return nil, image.InspectResponse{}
	}
	w := s.take(o.wish.name)
	if w == nil {
		return nil, image.InspectResponse{}
	}
	img, err := o.p.ensure(ctx, o.wish, o.spec.Log)
	if err != nil || img.ID != w.image.ID {
		s.mu.Lock()
		s.drop(w)
		s.mu.Unlock()
		return nil, image.InspectResponse{}
	}
	// Its things are the job's now, also when the job's end cannot remove them.
	o.job.standby = w.job
	return w, img
}
