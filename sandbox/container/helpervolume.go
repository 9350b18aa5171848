package container

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

const (
	helperFile  = "helper"
	helperLabel = labelPrefix + "helper"
	// helperPrefix begins the volume's name.
	helperPrefix = reserved + "helper-"

	// fillTime is how long another runner may take to fill the volume before
	// it is taken for dead.
	fillTime = 30 * time.Second
)

// helperVolume returns the name of the volume that holds the helper, filling it
// when it is not there: once for each engine and version of the helper. It works
// on a remote engine as on a local one, and no job can write to it.
//
// A container of the same name, made together with the volume and never started,
// says that it is being filled: a volume without one is complete. image is any
// image that is on the engine.
//
// What comes back stands for this filling of the volume; see forget.
func (p *Provider) helperVolume(ctx context.Context, image, arch string) (*string, error) {
	select {
	case p.filling <- struct{}{}:
		defer func() { <-p.filling }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if name := p.helper.Load(); name != nil {
		return name, nil
	}
	program, err := p.options.Helper(arch)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(program)
	name := helperPrefix + hex.EncodeToString(sum[:8])
	if err := p.fill(ctx, name, image, program); err != nil {
		return nil, p.engine.sentence(ctx, "bring the runner's helper to the container engine", err)
	}
	p.helper.Store(&name)
	p.refill = false
	return &name, nil
}

// forget makes the next helperVolume fill the volume again, which was removed behind
// the runner's back and has come back empty with a container: it is there then, and
// that says nothing. One that was filled since volume was got is left as it is.
func (p *Provider) forget(volume *string) {
	p.filling <- struct{}{}
	defer func() { <-p.filling }()
	if p.helper.CompareAndSwap(volume, nil) {
		p.refill = true
	}
}

// fill fills the volume if it is not complete, or is not to be believed in.
func (p *Provider) fill(ctx context.Context, name, image string, program []byte) error {
	for {
		_, err := p.engine.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
		there := err == nil
		if err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		filler, err := p.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		switch {
		case err == nil:
			if err := p.awaitFiller(ctx, filler.Container); err != nil {
				return err
			}
			continue
		case !errdefs.IsNotFound(err):
			return err
		case there && !p.refill:
			return nil
		}
		err = p.fillNow(ctx, name, image, program)
		if !errdefs.IsConflict(err) {
			return err
		}
	}
}

// awaitFiller waits for another runner, or removes what a dead one left.
func (p *Provider) awaitFiller(ctx context.Context, filler container.InspectResponse) error {
	since, err := time.Parse(time.RFC3339Nano, filler.Created)
	if err != nil || time.Since(since) > fillTime {
		return p.unfill(ctx, filler.ID, filler.Name)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}

// unfill removes a volume that is not complete, with its container.
func (p *Provider) unfill(ctx context.Context, id, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := p.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true}); !gone(err) {
		return err
	}
	if _, err := p.engine.VolumeRemove(ctx, trimSlash(name), client.VolumeRemoveOptions{}); !gone(err) && !errdefs.IsConflict(err) {
		return err
	}
	return nil
}

func (p *Provider) fillNow(ctx context.Context, name, image string, program []byte) error {
	labels := map[string]string{helperLabel: name}
	id, err := p.engine.createContainer(ctx, client.ContainerCreateOptions{
		Name:   name,
		Config: &container.Config{Image: image, Entrypoint: []string{helperDir + "/" + helperFile}, Labels: labels},
		HostConfig: &container.HostConfig{
			NetworkMode: "none",
			Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: helperDir,
				VolumeOptions: &mount.VolumeOptions{NoCopy: true, Labels: labels}}},
		},
	})
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: helperFile, Mode: 0o555, Size: int64(len(program)), Typeflag: tar.TypeReg}); err != nil {
		return fmt.Errorf("pack the helper: %w", err)
	}
	if _, err := w.Write(program); err != nil {
		return fmt.Errorf("pack the helper: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("pack the helper: %w", err)
	}
	if err := p.engine.unpack(ctx, id, helperDir, &archive); err != nil {
		return errors.Join(err, p.unfill(ctx, id, name))
	}
	_, err = p.engine.ContainerRemove(context.WithoutCancel(ctx), id, client.ContainerRemoveOptions{Force: true})
	if gone(err) {
		return nil
	}
	return err
}

func trimSlash(name string) string {
	if len(name) > 0 && name[0] == '/' {
		return name[1:]
	}
	return name
}
