package container

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/staging"
)

type authConfig = registry.AuthConfig

// actionRepository is the name of images that are built for actions; their tags
// are hashes of all that they are built from, so that two actions share an image
// only when they are the same.
const actionRepository = reserved + "action"

// build makes an image from a Dockerfile, unless it has been made before. It stays
// for later jobs.
func (j *job) build(ctx context.Context, b *sandbox.Build, log func(string)) (image.InspectResponse, error) {
	p := j.provider
	entries, err := staging.Walk(ctx, b.Context)
	if err != nil {
		return image.InspectResponse{}, fmt.Errorf("read the action's folder: %w", err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q\n", b.Dockerfile)
	if err := writeContext(sum, b.Context, entries); err != nil {
		return image.InspectResponse{}, fmt.Errorf("read the action's folder: %w", err)
	}
	tag := actionRepository + ":" + hex.EncodeToString(sum.Sum(nil))[:40]
	found, err := p.engine.ImageInspect(ctx, tag)
	if err == nil {
		return found.InspectResponse, nil
	}
	if !errdefs.IsNotFound(err) {
		return image.InspectResponse{}, p.engine.sentence(ctx, "look for the action's image", err)
	}
	if err := j.buildNow(ctx, b, entries, tag, log); err != nil {
		return image.InspectResponse{}, err
	}
	if found, err = p.engine.ImageInspect(ctx, tag); err != nil {
		return image.InspectResponse{}, p.engine.sentence(ctx, "look for the action's image", err)
	}
	return found.InspectResponse, nil
}

func (j *job) buildNow(ctx context.Context, b *sandbox.Build, entries []staging.Entry, tag string, log func(string)) error {
	p := j.provider
	base, err := p.options.base()
	if err != nil {
		return err
	}
	auths, err := p.authConfigs()
	if err != nil {
		return err
	}
	log("Building the action's image from " + b.Dockerfile)
	packed, packer := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = packer.CloseWithError(writeContext(packer, b.Context, entries)) // it returns nil
	}()
	defer func() {
		_ = packed.Close() // it returns nil
		<-done
	}()
	limits := base.host.Resources
	options := client.ImageBuildOptions{
		Tags: []string{tag}, Dockerfile: b.Dockerfile, Remove: true, ForceRemove: true, PullParent: p.options.Pull == PullAlways,
		Memory: limits.Memory, MemorySwap: limits.MemorySwap, CPUShares: limits.CPUShares, CPUSetCPUs: limits.CpusetCpus,
		Ulimits: limits.Ulimits, AuthConfigs: auths,
		Labels: map[string]string{labelPrefix + "action": "true"},
	}
	if limits.NanoCPUs > 0 {
		options.CPUPeriod, options.CPUQuota = defaultPeriod, limits.NanoCPUs*defaultPeriod/1e9
	}
	built, err := p.engine.ImageBuild(ctx, packed, options)
	if err != nil {
		return p.engine.sentence(ctx, "build the action's image", err)
	}
	defer func() { _ = built.Body.Close() }()
	return j.buildOutput(ctx, built.Body, log)
}

// buildOutput shows what a build writes. Its last lines make the error.
func (j *job) buildOutput(ctx context.Context, body io.Reader, log func(string)) error {
	decoder := json.NewDecoder(body)
	for {
		var m jsonstream.Message
		err := decoder.Decode(&m)
		switch {
		case err == io.EOF: //nolint:errorlint // as a Decoder returns it
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

// writeContext packs a folder: the same files give the same bytes.
func writeContext(to io.Writer, tree fs.FS, entries []staging.Entry) error {
	w := tar.NewWriter(to)
	for _, e := range entries {
		h := tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm())}
		switch {
		case e.Mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		case e.Mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.Target
		default:
			h.Typeflag, h.Size = tar.TypeReg, e.Size
		}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := writeFile(w, tree, e.Path); err != nil {
			return err
		}
	}
	return w.Close()
}

func writeFile(to io.Writer, tree fs.FS, name string) error {
	file, err := tree.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(to, file)
	return err
}
