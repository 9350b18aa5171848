package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"go.opentelemetry.io/otel/attribute"
	"golang.org/x/sync/errgroup"

	"otelrunner/otel/observe"
)

// service is one service of a job.
type service struct {
	name     string
	wish     imageWish
	settings *settings
	image    image.InspectResponse
	id       string
	ports    map[string]string
	oomTold  bool // in the job's log
}

// planServices checks all services' wishes.
func (o *opening) planServices() error {
	names := map[string]bool{}
	for _, s := range o.spec.Services {
		if !hostName.MatchString(s.Name) || names[strings.ToLower(s.Name)] {
			return fmt.Errorf("service %q: its name is to be a host name, and its own", s.Name)
		}
		names[strings.ToLower(s.Name)] = true
		if s.Image == "" {
			continue // GitHub leaves out a service whose image is empty
		}
		set, lines, err := o.p.wished(&s.Container, services)
		if err != nil {
			return fmt.Errorf("service %s: %w", s.Name, err)
		}
		for _, line := range lines {
			o.spec.Log("service " + s.Name + ": " + line)
		}
		if set.network == "none" && o.settings.network != "none" {
			return fmt.Errorf("service %s: option --network none is refused: nobody could reach it", s.Name)
		}
		if len(s.Entrypoint) > 0 {
			set.config.Entrypoint = s.Entrypoint
		}
		if len(s.Command) > 0 {
			set.config.Cmd = s.Command
		}
		set.aliases = append(set.aliases, s.Name)
		o.services = append(o.services, &service{name: s.Name, settings: set,
			wish: imageWish{name: s.Image, platform: set.platform, username: s.Username, password: s.Password}})
	}
	if len(o.services) > 0 && first(o.settings.network, o.p.options.Network) == "none" {
		return errors.New("the job has services and no network (--network none, or container.network: none): it could not reach them")
	}
	return nil
}

// makeServices pulls, makes and starts all services at once, and waits until
// those with a health check are healthy.
func (o *opening) makeServices(ctx context.Context) (err error) {
	if len(o.services) == 0 {
		return nil
	}
	ctx, end := observe.Start(ctx, observe.ServicesStart, attribute.Int("otelrunner.services", len(o.services)))
	defer func() { end(err) }()
	if err := o.each(ctx, o.createService); err != nil {
		return err
	}
	// Before the start: nothing must be missed.
	o.job.watch = o.p.watchServices(ctx, o)
	if err := o.each(ctx, o.startService); err != nil {
		return err
	}
	if err := o.job.watch.healthy(ctx); err != nil {
		return err
	}
	o.job.watch.follow()
	return nil
}

func (o *opening) each(ctx context.Context, do func(context.Context, *service) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range o.services {
		g.Go(func() error {
			if err := do(ctx, s); err != nil {
				return fmt.Errorf("service %s: %w", s.name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (o *opening) createService(ctx context.Context, s *service) error {
	img, err := o.p.ensure(ctx, s.wish, o.spec.Log)
	if err != nil {
		return err
	}
	s.image = img
	creating, created := observe.Start(ctx, observe.ContainerCreate, imageAttribute(img))
	id, err := o.p.engine.createIn(creating, o.networkReady, s.request(o))
	err = observe.Typed("container_create", err)
	created(err)
	if err != nil {
		return o.p.engine.sentence(ctx, "create the container of image "+s.wish.name, err)
	}
	o.job.mu.Lock()
	defer o.job.mu.Unlock()
	s.id = id
	o.job.services = append(o.job.services, s)
	return nil
}

// request is the API's description of a service's container.
func (s *service) request(o *opening) client.ContainerCreateOptions {
	l := place{settings: s.settings, network: o.network, labels: o.labels, nameless: o.names != ""}
	config, host := s.settings.config, s.settings.host
	config.Image = s.image.ID
	config.Labels = l.labelsOver(config.Labels)
	host.NetworkMode = container.NetworkMode(o.network)
	// Enough for the end of the log when it fails; a service can write for days.
	host.LogConfig = container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "1"}}
	return client.ContainerCreateOptions{Name: reserved + o.spec.ID + "-" + s.name, Config: &config, HostConfig: &host, NetworkingConfig: l.endpoint()}
}

// checked reports whether a service has a health check.
func (s *service) checked() bool {
	test := []string(nil)
	if c := s.image.Config; c != nil && c.Healthcheck != nil {
		test = c.Healthcheck.Test
	}
	if h := s.settings.config.Healthcheck; h != nil && len(h.Test) > 0 {
		test = h.Test
	}
	return len(test) > 0 && test[0] != "NONE"
}

func (o *opening) startService(ctx context.Context, s *service) error {
	if err := awaited(ctx, o.networkReady); err != nil {
		return err
	}
	if err := o.joinNames(ctx, s.id, s.settings.aliases); err != nil {
		return err
	}
	starting, started := observe.Start(ctx, observe.ContainerStart, imageAttribute(s.image))
	_, err := o.p.engine.ContainerStart(starting, s.id, client.ContainerStartOptions{})
	err = observe.Typed("container_start", err)
	started(err)
	if err != nil {
		return o.p.engine.sentence(ctx, "start the container of image "+s.wish.name, err)
	}
	s.ports = map[string]string{}
	if len(s.settings.host.PortBindings) == 0 {
		return nil
	}
	found, err := o.p.engine.ContainerInspect(ctx, s.id, client.ContainerInspectOptions{})
	if err != nil {
		return o.p.engine.sentence(ctx, "look up the ports", err)
	}
	if found.Container.NetworkSettings == nil {
		return nil
	}
	for port, bindings := range found.Container.NetworkSettings.Ports {
		if len(bindings) == 0 {
			continue
		}
		// As on GitHub: a TCP port goes without its protocol, too.
		s.ports[port.String()] = bindings[0].HostPort
		if port.Proto() == "tcp" {
			s.ports[port.Port()] = bindings[0].HostPort
		}
	}
	return nil
}

// healthOutput is what the last health check wrote.
func (p *Provider) healthOutput(ctx context.Context, id string) string {
	found, err := p.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil || found.Container.State == nil || found.Container.State.Health == nil {
		return ""
	}
	log := found.Container.State.Health.Log
	if len(log) == 0 {
		return ""
	}
	last := log[len(log)-1]
	return fmt.Sprintf(" (exit code %d: %s)", last.ExitCode, lastLines(last.Output, 3))
}

// logLines is how much of a service's log an error shows.
const logLines = "20"

// logTail is the end of a service's log, for an error; "" when it has none.
func (p *Provider) logTail(ctx context.Context, id string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	logs, err := p.engine.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: logLines})
	if err != nil {
		return ""
	}
	defer func() { _ = logs.Close() }()
	var out bytes.Buffer
	_, _ = stdcopy.StdCopy(&out, &out, io.LimitReader(logs, 64<<10)) // as much as there is
	text := strings.TrimSpace(out.String())
	if text == "" {
		return "; its log is empty"
	}
	return "; the end of its log:\n" + text
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], " / ")
}
