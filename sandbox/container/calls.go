package container

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/moby/moby/client"
)

// An engine may take a connection and then say nothing: its socket is systemd's, or
// it hangs. So each call that is answered at once by one that is well has a deadline
// here. Calls that bring or take a stream (pull, build, events, logs, copies of a
// workspace) go on for as long as something comes, or their context lasts.

// callTime is how long such a call may take. A busy engine needs seconds.
const callTime = time.Minute

// silentError is the error of a call that was not answered within callTime.
type silentError struct{ error }

func (e *silentError) Unwrap() error { return e.error }

// within bounds one call.
func within[T any](ctx context.Context, call func(context.Context) (T, error)) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	result, err := call(bounded)
	if err != nil && ctx.Err() == nil && errors.Is(bounded.Err(), context.DeadlineExceeded) {
		err = &silentError{err}
	}
	return result, err
}

// named bounds a call about one thing.
func named[O, T any](ctx context.Context, call func(context.Context, string, O) (T, error), name string, o O) (T, error) {
	return within(ctx, func(ctx context.Context) (T, error) { return call(ctx, name, o) })
}

// listed bounds a call about all things of a kind.
func listed[O, T any](ctx context.Context, call func(context.Context, O) (T, error), o O) (T, error) {
	return within(ctx, func(ctx context.Context) (T, error) { return call(ctx, o) })
}

// unpack brings a small archive into a container.
func (e *engine) unpack(ctx context.Context, id, folder string, archive io.Reader) error {
	_, err := within(ctx, func(ctx context.Context) (client.CopyToContainerResult, error) {
		return e.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: folder, Content: archive})
	})
	return err
}

func (e *engine) ContainerInspect(ctx context.Context, id string, o client.ContainerInspectOptions) (client.ContainerInspectResult, error) {
	return named(ctx, e.Client.ContainerInspect, id, o)
}

func (e *engine) ContainerList(ctx context.Context, o client.ContainerListOptions) (client.ContainerListResult, error) {
	return listed(ctx, e.Client.ContainerList, o)
}

func (e *engine) ContainerStart(ctx context.Context, id string, o client.ContainerStartOptions) (client.ContainerStartResult, error) {
	return named(ctx, e.Client.ContainerStart, id, o)
}

func (e *engine) ContainerRemove(ctx context.Context, id string, o client.ContainerRemoveOptions) (client.ContainerRemoveResult, error) {
	return named(ctx, e.Client.ContainerRemove, id, o)
}

// ContainerAttach bounds the beginning: what comes back lasts.
func (e *engine) ContainerAttach(ctx context.Context, id string, o client.ContainerAttachOptions) (client.ContainerAttachResult, error) {
	return named(ctx, e.Client.ContainerAttach, id, o)
}

func (e *engine) ImageInspect(ctx context.Context, name string) (client.ImageInspectResult, error) {
	return within(ctx, func(ctx context.Context) (client.ImageInspectResult, error) {
		return e.Client.ImageInspect(ctx, name)
	})
}

func (e *engine) ImageList(ctx context.Context, o client.ImageListOptions) (client.ImageListResult, error) {
	return listed(ctx, e.Client.ImageList, o)
}

func (e *engine) ImageRemove(ctx context.Context, name string, o client.ImageRemoveOptions) (client.ImageRemoveResult, error) {
	return named(ctx, e.Client.ImageRemove, name, o)
}

func (e *engine) DistributionInspect(ctx context.Context, name string, o client.DistributionInspectOptions) (client.DistributionInspectResult, error) {
	return named(ctx, e.Client.DistributionInspect, name, o)
}

func (e *engine) NetworkConnect(ctx context.Context, network string, o client.NetworkConnectOptions) (client.NetworkConnectResult, error) {
	return named(ctx, e.Client.NetworkConnect, network, o)
}

func (e *engine) NetworkList(ctx context.Context, o client.NetworkListOptions) (client.NetworkListResult, error) {
	return listed(ctx, e.Client.NetworkList, o)
}

func (e *engine) NetworkRemove(ctx context.Context, network string, o client.NetworkRemoveOptions) (client.NetworkRemoveResult, error) {
	return named(ctx, e.Client.NetworkRemove, network, o)
}

func (e *engine) VolumeInspect(ctx context.Context, name string, o client.VolumeInspectOptions) (client.VolumeInspectResult, error) {
	return named(ctx, e.Client.VolumeInspect, name, o)
}

func (e *engine) VolumeList(ctx context.Context, o client.VolumeListOptions) (client.VolumeListResult, error) {
	return listed(ctx, e.Client.VolumeList, o)
}

func (e *engine) VolumeRemove(ctx context.Context, name string, o client.VolumeRemoveOptions) (client.VolumeRemoveResult, error) {
	return named(ctx, e.Client.VolumeRemove, name, o)
}
