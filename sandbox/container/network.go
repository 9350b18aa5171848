package container

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"otelrunner/otel/observe"
)

// makeNetwork makes the job's own network.
func (o *opening) makeNetwork(ctx context.Context) error {
	if err := o.p.createNetwork(ctx, o.network, o.labels); err != nil {
		return err
	}
	o.job.network = o.network
	return nil
}

func (p *Provider) createNetwork(ctx context.Context, name string, labels map[string]string) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, end := observe.Start(ctx, observe.NetworkCreate)
	defer func() {
		err = observe.Typed("network_create", err)
		end(err)
	}()
	_, err = within(context.WithoutCancel(ctx), func(ctx context.Context) (client.NetworkCreateResult, error) { // as createContainer
		return p.engine.NetworkCreate(ctx, name, client.NetworkCreateOptions{Driver: "bridge", Labels: labels})
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
