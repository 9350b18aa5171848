package container

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/jsonstream"
	"go.opentelemetry.io/otel/attribute"

	"otelrunner/otel/observe"
)

// pullEvery is how often a pull gives a sign of life, also one that hangs.
const pullEvery = 5 * time.Second

// A pullProgress sums up what an engine tells of a pull.
type pullProgress struct {
	name string
	log  func(string)
	stop chan struct{}
	told chan struct{} // closed when nothing is told any more

	mu     sync.Mutex
	heard  time.Time // of the last message
	layers map[string]*layer
}

type layer struct {
	current, total int64
	done           bool
	began, ended   time.Time
}

// newPullProgress begins to tell. end has to be called.
func newPullProgress(name string, log func(string)) *pullProgress {
	p := &pullProgress{name: name, log: log, heard: time.Now(), layers: map[string]*layer{}, stop: make(chan struct{}), told: make(chan struct{})}
	go func() {
		defer close(p.told)
		every := time.NewTicker(pullEvery)
		defer every.Stop()
		for {
			select {
			case <-every.C:
				log(p.line())
			case <-p.stop:
				return
			}
		}
	}()
	return p
}

// end ends it, and tells as spans how long each layer took that was not there yet.
func (p *pullProgress) end(ctx context.Context) {
	close(p.stop)
	<-p.told
	for id, l := range p.layers {
		if l.done && l.ended.After(l.began) {
			observe.Since(ctx, "layer "+id, l.began, l.ended, attribute.Int64("otelrunner.layer.bytes", l.total))
		}
	}
}

func (p *pullProgress) message(m jsonstream.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard = time.Now()
	if m.ID == "" || strings.HasPrefix(m.Status, "Pulling from") {
		return
	}
	l := p.layers[m.ID]
	if l == nil {
		l = &layer{began: p.heard}
		p.layers[m.ID] = l
	}
	switch m.Status {
	case "Downloading":
		if m.Progress != nil {
			l.current, l.total = m.Progress.Current, m.Progress.Total
		}
	case "Pull complete", "Already exists":
		if !l.done { // it may be said again
			l.ended = p.heard
		}
		l.current, l.done = l.total, true
	}
}

// line says how far the pull is.
func (p *pullProgress) line() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := time.Since(p.heard).Round(time.Second)
	if len(p.layers) == 0 {
		return fmt.Sprintf("Pulling image %s: waiting for the registry for %v", p.name, silent)
	}
	var done int
	var current, total int64
	for _, l := range p.layers {
		current, total = current+l.current, total+l.total
		if l.done {
			done++
		}
	}
	line := fmt.Sprintf("Pulling image %s: %d of %d layers, %s of %s", p.name, done, len(p.layers),
		units.HumanSize(float64(current)), units.HumanSize(float64(total)))
	if silent >= pullEvery {
		line += fmt.Sprintf("; nothing new for %v", silent)
	}
	return line
}
