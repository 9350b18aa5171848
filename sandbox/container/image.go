package container

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"otelrunner/otel/observe"
)

// An imageWish is an image that a job needs.
type imageWish struct {
	name               string
	platform           string
	username, password string
}

// ensure makes sure that an image is on the engine, and describes it.
func (p *Provider) ensure(ctx context.Context, w imageWish, log func(string)) (image.InspectResponse, error) {
	ref, err := reference.ParseNormalizedNamed(w.name)
	if err != nil {
		// The short form of an image's ID is no reference, and works nowhere else.
		return image.InspectResponse{}, fmt.Errorf("image %q is not the name of an image: %w", w.name, err)
	}
	ref = reference.TagNameOnly(ref)
	// With PullAlways a digest is asked for too: that an image is here says nothing
	// about who may have it.
	if p.options.Pull != PullAlways {
		found, err := p.engine.ImageInspect(ctx, ref.String())
		if err == nil && fits(found.InspectResponse, w.platform) {
			observe.Looked(ctx, observe.CacheImage, true)
			return found.InspectResponse, nil
		}
		if err != nil && !errdefs.IsNotFound(err) {
			return image.InspectResponse{}, p.engine.sentence(ctx, "look for image "+w.name, err)
		}
		if p.options.Pull == PullNever {
			return image.InspectResponse{}, fmt.Errorf("image %s is not on this machine, and container.pull is never: the operator has to pull it, or to set container.pull to %s", w.name, PullMissing)
		}
	}
	observe.Looked(ctx, observe.CacheImage, false)
	if err := p.pull(ctx, ref, w, log); err != nil {
		return image.InspectResponse{}, err
	}
	found, err := p.engine.ImageInspect(ctx, ref.String())
	if err != nil {
		return image.InspectResponse{}, p.engine.sentence(ctx, "look for image "+w.name, err)
	}
	return found.InspectResponse, nil
}

func fits(found image.InspectResponse, platform string) bool {
	if platform == "" {
		return true
	}
	parts := strings.Split(platform, "/")
	return found.Os == parts[0] && found.Architecture == parts[1] && (len(parts) < 3 || found.Variant == parts[2])
}

// pull pulls an image and tells how it goes.
func (p *Provider) pull(ctx context.Context, ref reference.Named, w imageWish, log func(string)) (err error) {
	ctx, end := observe.Start(ctx, observe.ImagePull, semconv.ContainerImageName(w.name))
	defer func() {
		err = observe.Typed("image_pull", err)
		end(err)
	}()
	auth, err := p.credentials(ref, w)
	if err != nil {
		return err
	}
	options := client.ImagePullOptions{RegistryAuth: auth}
	if w.platform != "" {
		parts := strings.Split(w.platform, "/")
		platform := ocispec.Platform{OS: parts[0], Architecture: parts[1]}
		if len(parts) > 2 {
			platform.Variant = parts[2]
		}
		options.Platforms = []ocispec.Platform{platform}
	}
	if _, digested := ref.(reference.Digested); digested && p.options.Pull == PullAlways {
		// The engine asks nobody for a digest that it has.
		if _, err := p.engine.DistributionInspect(ctx, ref.String(), client.DistributionInspectOptions{EncodedRegistryAuth: auth}); err != nil {
			return p.pullError(ctx, ref, w, err)
		}
	}
	start := time.Now()
	log("Pulling image " + w.name)
	progress := newPullProgress(w.name, log)
	defer progress.end(ctx)
	stream, err := p.engine.ImagePull(ctx, ref.String(), options)
	if err != nil {
		return p.pullError(ctx, ref, w, err)
	}
	defer func() { _ = stream.Close() }()
	for m, err := range stream.JSONMessages(ctx) {
		if err == nil && m.Error != nil {
			err = m.Error
		}
		if err != nil {
			return p.pullError(ctx, ref, w, err)
		}
		progress.message(m)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	log(fmt.Sprintf("Pulled image %s in %v", w.name, time.Since(start).Round(100*time.Millisecond)))
	return nil
}

// pullError says why an image cannot be had. Registries answer the same to who
// may not see an image and to who asks for one that does not exist.
func (p *Provider) pullError(ctx context.Context, ref reference.Named, w imageWish, err error) error {
	text := strings.ToLower(err.Error())
	who := "without credentials"
	if w.username != "" {
		who = "with the workflow's credentials (user " + w.username + ")"
	} else if p.hasCredentials(ref) {
		who = "with the operator's credentials"
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errdefs.IsNotFound(err) || errdefs.IsUnauthorized(err) || strings.Contains(text, "manifest unknown") ||
		strings.Contains(text, "not found") || strings.Contains(text, "denied") || strings.Contains(text, "unauthorized") || strings.Contains(text, "authentication required") || strings.Contains(text, "no basic auth credentials"):
		return fmt.Errorf("image %s cannot be pulled from %s %s: check its name and tag, and that it may be read (container.credentials in the workflow): %w", w.name, reference.Domain(ref), who, err)
	case strings.Contains(text, "no matching manifest"):
		return fmt.Errorf("image %s has no variant for this machine: %w", w.name, err)
	}
	return p.engine.sentence(ctx, "pull image "+w.name, err)
}

// credentials returns the header for a registry: the workflow's own, else the
// operator's.
func (p *Provider) credentials(ref reference.Named, w imageWish) (string, error) {
	c := registry.AuthConfig{Username: w.username, Password: w.password, ServerAddress: reference.Domain(ref)}
	if w.username == "" {
		all, err := p.operatorsCredentials()
		if err != nil {
			return "", err
		}
		var ok bool
		if c, ok = all[registryKey(reference.Domain(ref))]; !ok {
			return "", nil
		}
	}
	data, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("encode a registry's credentials: %w", err)
	}
	return base64.URLEncoding.EncodeToString(data), nil
}

func (p *Provider) hasCredentials(ref reference.Named) bool {
	all, err := p.operatorsCredentials()
	_, ok := all[registryKey(reference.Domain(ref))]
	return err == nil && ok
}

// operatorsCredentials reads the operator's file, each time: it may change.
func (p *Provider) operatorsCredentials() (map[string]registry.AuthConfig, error) {
	if p.options.DockerConfig == "" {
		return nil, nil
	}
	data, err := os.ReadFile(p.options.DockerConfig)
	if err != nil {
		return nil, fmt.Errorf("container.docker_config: %w", err)
	}
	var file struct {
		Auths map[string]struct {
			Auth, Username, Password, IdentityToken string
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("container.docker_config: %s is not a Docker configuration: %w", p.options.DockerConfig, err)
	}
	all := map[string]registry.AuthConfig{}
	for host, a := range file.Auths {
		c := registry.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, ServerAddress: host}
		if a.Auth != "" {
			pair, err := base64.StdEncoding.DecodeString(a.Auth)
			user, password, ok := strings.Cut(string(pair), ":")
			if err != nil || !ok {
				return nil, fmt.Errorf("container.docker_config: the auth of %s is not base64 of user:password", host)
			}
			c.Username, c.Password = user, strings.TrimRight(password, "\x00")
		}
		all[registryKey(host)] = c
	}
	return all, nil
}

// registryKey brings the ways to write a registry's address to one. Docker Hub
// has several names.
func registryKey(address string) string {
	address = strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	host, _, _ := strings.Cut(address, "/")
	switch host {
	case "index.docker.io", "registry-1.docker.io", "hub.docker.com":
		return "docker.io"
	}
	return host
}

// errNoImage is for a job that names none.
var errNoImage = errors.New("the job names no image: write one into container: or into the runner's label (name:docker://IMAGE)")
