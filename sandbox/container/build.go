package container

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"otelrunner/sandbox"
)

type authConfig = registry.AuthConfig

// actionRepository is the name of images that are built for actions; their tags
// are hashes of all that they are built from, so that two actions share an image
// only when they are the same.
const actionRepository = reserved + "action"

// build makes an image from a Dockerfile, unless it has been made before. It stays
// for later jobs.
func (j *actions) build(ctx context.Context, b *sandbox.Build, log func(string)) (image.InspectResponse, error) {
	p := j.provider
	source, err := j.buildContext(ctx, b)
	if err != nil {
		return image.InspectResponse{}, fmt.Errorf("read the action's folder: %w", err)
	}
	defer source.close()
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", b.Dockerfile)
	if registry, user, password := j.ownCredentials(); registry != "" {
		// What others could not pull, they do not get built either.
		fmt.Fprintf(sum, "%q %q %q\n", registry, user, password)
	}
	if err := source.write(sum); err != nil {
		return image.InspectResponse{}, fmt.Errorf("read the action's folder: %w", err)
	}
	tag := actionRepository + ":" + hex.EncodeToString(sum.Sum(nil))[:40]
	found, err := p.engine.ImageInspect(ctx, tag)
	if err == nil {
		p.touch(ctx, tag)
		return found.InspectResponse, nil
	}
	if !errdefs.IsNotFound(err) {
		return image.InspectResponse{}, p.engine.sentence(ctx, "look for the action's image", err)
	}
	if err := j.buildNow(ctx, b.Dockerfile, source, tag, log); err != nil {
		return image.InspectResponse{}, err
	}
	if found, err = p.engine.ImageInspect(ctx, tag); err != nil {
		return image.InspectResponse{}, p.engine.sentence(ctx, "look for the action's image", err)
	}
	return found.InspectResponse, nil
}

func (j *actions) buildNow(ctx context.Context, dockerfile string, source buildContext, tag string, log func(string)) error {
	p := j.provider
	base, err := p.options.base()
	if err != nil {
		return err
	}
	auths, err := j.authConfigs()
	if err != nil {
		return err
	}
	log("Building the action's image from " + dockerfile)
	packed, packer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = packer.CloseWithError(source.write(packer)) // it returns nil
	}()
	defer func() {
		_ = packed.Close() // it returns nil
		<-done
	}()
	limits := base.host.Resources
	options := client.ImageBuildOptions{
		Tags: []string{tag}, Dockerfile: dockerfile, Remove: true, ForceRemove: true, PullParent: p.options.Pull == PullAlways,
		Memory: limits.Memory, MemorySwap: limits.MemorySwap, CPUShares: limits.CPUShares, CPUSetCPUs: limits.CpusetCpus,
		Ulimits: limits.Ulimits, AuthConfigs: auths,
		Labels: map[string]string{actionLabel: "true"},
	}
	if limits.NanoCPUs > 0 {
		options.CPUPeriod, options.CPUQuota = defaultPeriod, limits.NanoCPUs*defaultPeriod/1e9
	}
	if p.options.Network == "none" {
		options.NetworkMode = "none" // the operator's wall holds for RUN, too
	}
	built, err := p.engine.ImageBuild(ctx, packed, options)
	if err != nil {
		return p.engine.sentence(ctx, "build the action's image", err)
	}
	defer func() { _ = built.Body.Close() }()
	return j.buildOutput(ctx, built.Body, log)
}

// buildOutput shows what a build writes. Its last lines make the error.
func (j *actions) buildOutput(ctx context.Context, body io.Reader, log func(string)) error {
	decoder := json.NewDecoder(body)
	for {
		var m jsonstream.Message
		err := decoder.Decode(&m)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return j.provider.engine.sentence(ctx, "build the action's image", err)
		case m.Error != nil:
			return j.provider.engine.sentence(ctx, "build the action's image", m.Error)
		}
		for line := range strings.Lines(m.Stream) {
			if line = trimLine(line); line != "" {
				log(line)
			}
		}
	}
}
