package container

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
)

// empty removes what lies in a folder of this machine, whoever owns it: a container
// of the engine's does, which has the folder, our helper and nothing else. It has
// root's right to other users' files and no other one.
func (p *Provider) empty(ctx context.Context, folder string) (err error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	defer func() {
		if err != nil {
			err = fmt.Errorf("empty the workspace %s by a container: %w; its files are those of containers' users: remove it as root", folder, err)
		}
	}()
	arch, err := p.engine.reach(ctx, func(string) {})
	if err != nil {
		return err
	}
	image, err := p.importNothing(ctx)
	if err != nil {
		return err
	}
	defer func() { // what else is made from it is gone by then
		if _, rerr := p.engine.ImageRemove(ctx, image, client.ImageRemoveOptions{Force: true}); !gone(rerr) {
			err = errors.Join(err, p.engine.sentence(ctx, "remove the container's image", rerr))
		}
	}()
	volume, err := p.helperVolume(ctx, image, arch)
	if err != nil {
		return err
	}
	request, job, err := p.emptying(folder, image, *volume)
	if err != nil {
		return err
	}
	p.process.setActive(job, true)
	defer p.process.setActive(job, false)
	id, err := p.engine.createContainer(ctx, request)
	if err != nil {
		return p.engine.sentence(ctx, "create the container", err)
	}
	defer func() { err = errors.Join(err, p.remove(ctx, id)) }()
	if _, err := p.engine.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return p.engine.sentence(ctx, "start the container", err)
	}
	return p.succeeded(ctx, id)
}

// emptying is the API's description of the container, and the name of its job.
func (p *Provider) emptying(folder, image, volume string) (client.ContainerCreateOptions, string, error) {
	base, err := p.options.base()
	if err != nil {
		return client.ContainerCreateOptions{}, "", err
	}
	job := "empty-" + strings.ToLower(rand.Text()[:12])
	return client.ContainerCreateOptions{
		Name: reserved + job,
		Config: &container.Config{
			Image: image, User: "0:0", Labels: p.labels(job, nil),
			Entrypoint: append([]string{helperDir + "/" + helperFile}, p.options.HelperArgs...), Cmd: []string{"empty", workRoot},
		},
		HostConfig: &container.HostConfig{
			NetworkMode: "none", ReadonlyRootfs: true,
			CapDrop: []string{"ALL"}, CapAdd: []string{"DAC_OVERRIDE", "FOWNER"}, SecurityOpt: []string{"no-new-privileges"},
			UsernsMode: base.host.UsernsMode, // or these would be others' files
			LogConfig:  container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": "1m", "max-file": "1"}},
			Mounts: []mount.Mount{
				{Type: mount.TypeBind, Source: folder, Target: workRoot},
				{Type: mount.TypeVolume, Source: volume, Target: helperDir, ReadOnly: true},
			},
		},
	}, job, nil
}

// succeeded waits for a container's end.
func (p *Provider) succeeded(ctx context.Context, id string) error {
	wait := p.engine.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case end := <-wait.Result:
		if end.StatusCode != 0 {
			return fmt.Errorf("it ended with exit code %d%s", end.StatusCode, p.logTail(ctx, id))
		}
		return nil
	case err := <-wait.Error:
		return p.engine.sentence(ctx, "wait for the container", err)
	}
}

// importNothing makes an image without files, which needs no registry, and returns
// its ID.
func (p *Provider) importNothing(ctx context.Context) (string, error) {
	var archive bytes.Buffer
	if err := tar.NewWriter(&archive).Close(); err != nil {
		return "", fmt.Errorf("pack nothing: %w", err)
	}
	answer, err := p.engine.ImageImport(ctx, client.ImageImportSource{Source: &archive, SourceName: "-"}, "", client.ImageImportOptions{})
	if err != nil {
		return "", p.engine.sentence(ctx, "make the container's image", err)
	}
	defer func() { _ = answer.Close() }()
	for decoder := json.NewDecoder(answer); ; {
		var m jsonstream.Message
		switch err := decoder.Decode(&m); {
		case errors.Is(err, io.EOF):
			return "", errors.New("make the container's image: the engine does not say which it is")
		case err != nil:
			return "", p.engine.sentence(ctx, "make the container's image", err)
		case m.Error != nil:
			return "", p.engine.sentence(ctx, "make the container's image", m.Error)
		case strings.HasPrefix(m.Status, "sha256:"):
			return m.Status, nil
		}
	}
}
