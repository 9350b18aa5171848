package container

import (
	"context"
	"fmt"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"otelrunner/otel/observe"
)

// A serviceWatch learns from the engine's events how a job's services are: when they
// become healthy, and when one ends while the job goes on.
type serviceWatch struct {
	o        *opening
	services map[string]*service // by the container's id
	events   client.EventsResult
	ctx      context.Context //nolint:containedctx // it is the life of follow
	stop     context.CancelFunc
	followed chan struct{} // closed when follow has ended; nil before it
}

// watchServices begins to listen. end has to be called.
func (p *Provider) watchServices(ctx context.Context, o *opening) *serviceWatch {
	w := &serviceWatch{o: o, services: map[string]*service{}}
	for _, s := range o.services {
		w.services[s.id] = s
	}
	w.ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.events = p.engine.Events(w.ctx, client.EventsListOptions{Filters: client.Filters{}.
		Add("type", "container").Add("label", jobLabel+"="+o.spec.ID).Add("event", "health_status", "oom", "die")})
	return w
}

// end ends it, also while nothing follows. A nil one has nothing to end.
func (w *serviceWatch) end() {
	if w == nil {
		return
	}
	w.stop()
	if w.followed != nil {
		<-w.followed
	}
}

// healthy waits until all services with a health check are healthy.
func (w *serviceWatch) healthy(ctx context.Context) (err error) {
	left := map[string]*service{}
	for id, s := range w.services {
		if s.checked() {
			left[id] = s
		}
	}
	if len(left) == 0 {
		return nil
	}
	o := w.o
	ctx, end := observe.Start(ctx, observe.ServiceHealth)
	start := time.Now() // not before the span, in which the services' own begin
	defer func() {
		err = observe.Typed("service_unhealthy", err)
		end(err)
	}()
	late := time.NewTimer(o.p.options.HealthTimeout)
	defer late.Stop()
	for len(left) > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-w.events.Err:
			return o.p.engine.sentence(ctx, "wait for services to become healthy", err)
		case <-late.C:
			for _, s := range left {
				return fmt.Errorf("service %s has not become healthy within %v (raise container.service_ready_timeout if it needs longer)%s", s.name, o.p.options.HealthTimeout, o.p.logTail(ctx, s.id))
			}
		case m := <-w.events.Messages:
			s := left[m.Actor.ID]
			if s == nil {
				w.tell(ctx, m)
				continue
			}
			if m.Action == events.ActionHealthStatusHealthy {
				delete(left, s.id)
				observe.Since(ctx, "service "+s.name+" becomes healthy", start, time.Now(), semconv.ContainerImageName(s.wish.name))
				o.spec.Log(fmt.Sprintf("Service %s is healthy after %v", s.name, time.Since(start).Round(10*time.Millisecond)))
			}
			if err := w.unhealthy(ctx, s, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// unhealthy says why a service will not become healthy any more.
func (w *serviceWatch) unhealthy(ctx context.Context, s *service, m events.Message) error {
	p := w.o.p
	switch m.Action {
	case events.ActionHealthStatusUnhealthy:
		return fmt.Errorf("service %s is unhealthy: its health check failed%s%s", s.name, p.healthOutput(ctx, s.id), p.logTail(ctx, s.id))
	case events.ActionOOM:
		w.tell(ctx, m)
	case events.ActionDie:
		return fmt.Errorf("service %s ended with exit code %s before it was healthy%s%s", s.name, m.Actor.Attributes["exitCode"], w.outOfMemory(ctx, s), p.logTail(ctx, s.id))
	}
	return nil
}

// follow tells the job's log, from now on until end, of services that end: what the
// steps see is that nobody answers.
func (w *serviceWatch) follow() {
	w.followed = make(chan struct{})
	go func() {
		defer close(w.followed)
		for {
			select {
			case m := <-w.events.Messages:
				w.tell(w.ctx, m)
			case err := <-w.events.Err: // the end, or an engine that goes away, of which the job learns by itself
				w.o.p.options.Log.DebugContext(w.ctx, "the events of a job's services have ended", "error", err)
				return
			}
		}
	}()
}

// tell writes of a service that has lost a process or has ended.
func (w *serviceWatch) tell(ctx context.Context, m events.Message) {
	s := w.services[m.Actor.ID]
	if s == nil {
		return
	}
	switch m.Action {
	case events.ActionOOM:
		if !s.oomTold {
			s.oomTold = true
			w.o.spec.Log("Service " + s.name + limitReached(s.settings.host.Memory) + ": the kernel has killed a process of it")
		}
	case events.ActionDie:
		if code := m.Actor.Attributes["exitCode"]; code != "0" {
			w.o.spec.Log(fmt.Sprintf("Service %s has ended with exit code %s while the job goes on%s%s", s.name, code, w.outOfMemory(ctx, s), w.o.p.logTail(ctx, s.id)))
		}
	}
}

// outOfMemory says that a service which has ended was killed for its memory, if so.
func (w *serviceWatch) outOfMemory(ctx context.Context, s *service) string {
	found, err := w.o.p.engine.ContainerInspect(ctx, s.id, client.ContainerInspectOptions{})
	if err != nil || found.Container.State == nil || !found.Container.State.OOMKilled {
		return ""
	}
	return ": it" + limitReached(s.settings.host.Memory)
}

// limitReached is the end of a sentence about a container that was out of memory.
func limitReached(limit int64) string {
	if limit <= 0 {
		return " was killed because the machine that runs it has no memory left"
	}
	return " needed more memory than its limit of " + size(limit) + " (raise --memory in its options, or the runner's container.memory)"
}
