package container

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// Sweep removes what dead processes of this runner (Options.Runner) have left on
// the engine, and what jobs of this process could not remove when they ended:
// containers, services too, networks, volumes and folders. It is for the start of a runner
// and for its idle times, and is safe at any time: what a living job of this
// process has is left alone. It returns how many things were removed. What cannot be
// removed on an engine that answers is a *LeftoverError; it is tried again by the next
// Sweep. Other errors are those of an engine that fails.
func (p *Provider) Sweep(ctx context.Context) (int, error) {
	if p.options.Runner == "" {
		return 0, nil
	}
	filters := func() client.Filters {
		return client.Filters{}.Add("label", runnerLabel+"="+p.options.Runner)
	}
	containers, err := p.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters()})
	if err != nil {
		return 0, p.engine.sentence(ctx, "look for containers that a dead runner left", err)
	}
	s := &sweeping{p: p}
	for _, c := range containers.Items {
		if !p.living(c.Labels) {
			s.remove("container", func() error { return p.remove(ctx, c.ID) })
		}
	}
	s.wg.Wait()
	p.sweepFolders(ctx, s)
	networks, err := p.engine.NetworkList(ctx, client.NetworkListOptions{Filters: filters()})
	if err != nil {
		return s.count, p.engine.sentence(ctx, "look for networks that a dead runner left", err)
	}
	for _, n := range networks.Items {
		if !p.living(n.Labels) {
			s.remove("network", func() error { return p.removeNetwork(ctx, n.ID) })
		}
	}
	volumes, err := p.engine.VolumeList(ctx, client.VolumeListOptions{Filters: filters()})
	if err != nil {
		s.wg.Wait()
		return s.count, p.engine.sentence(ctx, "look for volumes that a dead runner left", err)
	}
	for _, v := range volumes.Items {
		if !p.living(v.Labels) {
			s.remove("volume", func() error {
				_, err := p.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
				if gone(err) {
					return nil
				}
				return err
			})
		}
	}
	s.wg.Wait()
	p.sweepHelpers(ctx)
	p.pruneImages(ctx)
	if len(s.errs) > 0 {
		return s.count, &LeftoverError{errors.Join(s.errs...)}
	}
	return s.count, nil
}

// LeftoverError says what resists its removal.
type LeftoverError struct{ Err error }

func (e *LeftoverError) Error() string { return e.Err.Error() }

// Unwrap returns what was wrong.
func (e *LeftoverError) Unwrap() error { return e.Err }

// helperAge is how long the helper of another version of the runner is kept.
const helperAge = 24 * time.Hour

// sweepHelpers removes helpers of other versions that no container uses. A runner
// that still needs one fills it anew.
func (p *Provider) sweepHelpers(ctx context.Context) {
	mine := p.helper.Load()
	// By their names: one that was pruned while containers started has no label.
	volumes, err := p.engine.VolumeList(ctx, client.VolumeListOptions{Filters: client.Filters{}.Add("name", helperPrefix)})
	if err != nil || mine == nil {
		return
	}
	for _, v := range volumes.Items {
		made, err := time.Parse(time.RFC3339, v.CreatedAt)
		if err == nil && strings.HasPrefix(v.Name, helperPrefix) && v.Name != *mine && time.Since(made) > helperAge {
			_, _ = p.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{}) // one in use resists
		}
	}
}

// living reports whether something belongs to a job of this process that is on.
func (p *Provider) living(labels map[string]string) bool {
	return labels[processLabel] == p.process.name && p.process.isActive(labels[jobLabel])
}

// sweeping removes things, a few at a time.
type sweeping struct {
	p     *Provider
	wg    sync.WaitGroup
	mu    sync.Mutex
	count int
	errs  []error
	slots chan struct{}
}

const sweepers = 4

func (s *sweeping) remove(what string, do func() error) {
	if s.slots == nil {
		s.slots = make(chan struct{}, sweepers)
	}
	s.wg.Go(func() {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		err := do()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.errs = append(s.errs, fmt.Errorf("remove a %s that a dead runner left: %w", what, err))
			return
		}
		s.count++
	})
}
