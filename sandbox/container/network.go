package container

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"otelrunner/otel/observe"
)

// beginNetwork begins to make the job's own network, and returns what waits for it.
// What goes wrong is an error of the group.
func (o *opening) beginNetwork(ctx context.Context, g *errgroup.Group, name string, internal bool) func(context.Context) error {
	made := make(chan struct{})
	g.Go(func() error {
		if err := o.p.createNetwork(ctx, name, o.labels, internal); err != nil {
			return err // which ends ctx, and with it those that wait
		}
		o.job.network = name
		close(made)
		return nil
	})
	return func(ctx context.Context) error {
		select {
		case <-made:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// needsNames reports whether the job has names (of services, --network-alias) and
// no network of its own where they are found. In a network that jobs share, each
// would meet the others' under the same names.
func (o *opening) needsNames() bool {
	shared := o.network != "none" && o.network != "host" && o.networkReady == nil && o.job.network == ""
	return shared && (len(o.services) > 0 || len(o.settings.aliases) > 0)
}

// joinNames lets a container be found by some names.
func (o *opening) joinNames(ctx context.Context, id string, aliases []string) error {
	if o.names == "" {
		return nil
	}
	if err := o.namesReady(ctx); err != nil {
		return err
	}
	_, err := o.p.engine.NetworkConnect(ctx, o.names, client.NetworkConnectOptions{Container: id, EndpointConfig: &network.EndpointSettings{Aliases: aliases}})
	if err != nil {
		return o.p.engine.sentence(ctx, "connect the container to the job's own network", err)
	}
	return nil
}

// createNetwork makes a network. From an internal one nothing but its containers can
// be reached: it opens no way around the operator's.
func (p *Provider) createNetwork(ctx context.Context, name string, labels map[string]string, internal bool) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, end := observe.Start(ctx, observe.NetworkCreate)
	defer func() {
		err = observe.Typed("network_create", err)
		end(err)
	}()
	_, err = within(context.WithoutCancel(ctx), func(ctx context.Context) (client.NetworkCreateResult, error) { // as createContainer
		return p.engine.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: labels, Internal: internal})
	})
	if err != nil {
		return p.engine.sentence(ctx, "create the job's network", err)
	}
	return nil
}

// removeNetwork removes a network. Containers that have just ended may still
// stand in it for a moment.
func (p *Provider) removeNetwork(ctx context.Context, name string) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for wait := 20 * time.Millisecond; ; wait *= 2 {
		_, err := p.engine.NetworkRemove(ctx, name, client.NetworkRemoveOptions{})
		if gone(err) {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("remove the job's network: the engine has not done it in the time there was: %w", err)
		}
		// As Docker and Podman say it.
		held := strings.Contains(err.Error(), "active endpoints") || strings.Contains(err.Error(), "network is being used")
		if !held || wait > 2*time.Second {
			return p.engine.sentence(ctx, "remove the job's network", err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}
