package container

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/image"
	"go.opentelemetry.io/otel/attribute"
	"otelrunner/otel/observe"
	"otelrunner/sandbox"
	"otelrunner/sandbox/stream"
)

var _ sandbox.ContainerRunner = (*job)(nil)

// githubDir is where GitHub's Docker actions find the workspace; theirs is a link
// to the job's.
const githubDir = "/github"

// RunContainer runs an image's program beside the job's container. The same helper
// is the first process there.
func (j *job) RunContainer(ctx context.Context, c *sandbox.ContainerCommand) (sandbox.Result, error) {
	failed := sandbox.Result{ExitCode: -1}
	img, err := j.prepared(ctx, c.Image)
	if err != nil {
		return failed, err
	}
	args, err := program(img, c)
	if err != nil {
		return failed, err
	}
	r, err := j.startAction(ctx, img)
	if err != nil {
		return failed, err
	}
	defer j.endAction(ctx, r)
	user := r.user
	if r.fixedUser {
		user = "" // it is one already
	}
	// What Setup names is given to the user: the job's own folders stay as they are.
	env := maps.Clone(j.spec.Env)
	if env == nil {
		env = map[string]string{}
	}
	env["HOME"] = githubDir + "/home"
	if _, err := r.stream.Setup(ctx, stream.Setup{Workspace: githubDir + "/home", Temp: "/tmp", User: user, Env: env}); err != nil {
		return failed, fmt.Errorf("prepare the container of image %s: %w", imageName(img), err)
	}
	return j.runAction(ctx, r, &c.Command, args)
}

// program is what the container runs.
func program(img image.InspectResponse, c *sandbox.ContainerCommand) ([]string, error) {
	entry, args := c.Entrypoint, c.Command.Args
	if img.Config != nil {
		if len(entry) == 0 {
			entry = img.Config.Entrypoint
			if args == nil {
				args = img.Config.Cmd
			}
		}
	}
	all := append(entry[:len(entry):len(entry)], args...)
	if len(all) == 0 {
		return nil, fmt.Errorf("image %s has neither an entrypoint nor a command: say what to run with `entrypoint` or `args`", imageName(img))
	}
	return all, nil
}

// actionCommand makes a command's paths those of the job's workspace.
func (j *job) actionCommand(c *sandbox.Command, args []string) *sandbox.Command {
	moved := *c
	moved.Args, moved.Path = args, nil
	moved.Dir = j.inWorkspace(c.Dir)
	moved.Files = make([]sandbox.File, len(c.Files))
	for i, f := range c.Files {
		f.Path = j.inWorkspace(f.Path)
		moved.Files[i] = f
	}
	return &moved
}

// runAction runs it; what is collected goes back under the caller's names.
func (j *job) runAction(ctx context.Context, r *running, c *sandbox.Command, args []string) (sandbox.Result, error) {
	moved := j.actionCommand(c, args)
	names := map[string]string{}
	moved.Collect, moved.Remove = nil, nil
	for _, name := range c.Collect {
		inside := j.inWorkspace(name)
		names[inside] = name
		moved.Collect = append(moved.Collect, inside)
	}
	for _, name := range c.Remove {
		moved.Remove = append(moved.Remove, j.inWorkspace(name))
	}
	if r.otherUser() {
		remove, err := j.lend(ctx, moved)
		if err != nil {
			return sandbox.Result{ExitCode: -1}, err
		}
		defer remove()
	}
	result, err := r.stream.Run(ctx, moved)
	collected := result.Collected
	result.Collected = nil
	for inside, data := range collected {
		if result.Collected == nil {
			result.Collected = map[string][]byte{}
		}
		result.Collected[names[inside]] = data
	}
	return r.limited(ctx, result, err, "the runner's container.memory")
}

// otherUser reports whether programs run as a user of the image's that is not root.
func (r *running) otherUser() bool {
	name, _, _ := strings.Cut(r.user, ":")
	return !r.fixedUser && name != "" && name != "root" && name != "0"
}

// lend has the job's own container write a command's files, and remove them in the
// end: an image's user could do neither in the job's folders. What is collected may
// be written by anybody.
func (j *job) lend(ctx context.Context, c *sandbox.Command) (remove func(), err error) {
	for i, f := range c.Files {
		if slices.Contains(c.Collect, f.Path) {
			c.Files[i].Mode = 0o666
		}
	}
	if err := j.main.stream.WriteFiles(ctx, c.Files); err != nil {
		return nil, err
	}
	names := c.Remove
	c.Files, c.Remove = nil, nil
	return func() {
		// What cannot be removed goes with the workspace.
		_, _ = j.main.stream.Run(context.WithoutCancel(ctx), &sandbox.Command{Args: []string{helperDir + "/" + helperFile, "--version"}, Remove: names})
	}, nil
}

// startAction starts a container that shares the job's network and volumes.
func (j *job) startAction(ctx context.Context, img image.InspectResponse) (*running, error) {
	base, err := j.provider.options.base()
	if err != nil {
		return nil, err
	}
	base.sharing()
	j.mu.Lock()
	if j.actions == nil {
		j.actions = map[string]*running{}
	}
	j.made++
	// No service's container can have this name: theirs goes on with a dash.
	name := fmt.Sprintf("%s%s.action-%d", reserved, j.spec.ID, j.made)
	j.mu.Unlock()
	return j.provider.start(ctx, place{
		name: name, what: "the action's container", image: img, settings: base, network: "container:" + j.main.id,
		labels: j.provider.labels(first(j.standby, j.spec.ID), j.spec.Owner), arch: j.arch,
		from: j.main.id, as: fmt.Sprintf("%d:%d", j.uid, j.gid),
		prepare: func(ctx context.Context, id string) error { return j.linkWorkspace(ctx, id, base.lacks(handingOut)) },
	})
}

// sharing leaves out what a container that joins another one's network cannot
// have, and what that one has mounted already.
func (s *settings) sharing() {
	s.config.Hostname, s.config.Domainname = "", ""
	s.config.ExposedPorts = nil
	s.host.PortBindings, s.host.DNS, s.host.DNSSearch, s.host.DNSOptions, s.host.ExtraHosts = nil, nil, nil, nil, nil
	s.host.Mounts = nil
	s.aliases = nil
}

// linkWorkspace makes /github/workspace, which Docker actions are used to. own makes
// its folder that of the steps' user, who is who makes HOME there.
func (j *job) linkWorkspace(ctx context.Context, id string, own bool) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	github := tar.Header{Name: "github/", Typeflag: tar.TypeDir, Mode: 0o755}
	if own {
		github.Uid, github.Gid = j.uid, j.gid
	}
	err := errors.Join(
		w.WriteHeader(&github),
		w.WriteHeader(&tar.Header{Name: "github/workspace", Typeflag: tar.TypeSymlink, Linkname: j.info.Workspace, Mode: 0o777}),
		w.Close())
	if err != nil {
		return fmt.Errorf("pack %s: %w", githubDir, err)
	}
	if err := j.provider.engine.unpack(ctx, id, "/", &archive); err != nil {
		return j.provider.engine.sentence(ctx, "prepare "+githubDir+" of the action's container", err)
	}
	return nil
}

// endAction removes an action's container, while the job goes on; the job's Close
// waits for it.
func (j *job) endAction(ctx context.Context, r *running) {
	ctx = context.WithoutCancel(ctx)
	j.ending.Go(func() {
		if err := j.provider.discard(ctx, r); err != nil {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.actions[r.id] = r // Close tries again
		}
	})
}

// PrepareImage pulls or builds.
func (j *job) PrepareImage(ctx context.Context, s sandbox.ImageSource, log func(string)) (string, error) {
	img, err := j.actionImage(ctx, s, log)
	if err != nil {
		return "", err
	}
	name := first(s.Name, imageName(img))
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.images == nil {
		j.images = map[string]image.InspectResponse{}
	}
	j.images[name] = img
	return name, nil
}

func (j *job) actionImage(ctx context.Context, s sandbox.ImageSource, log func(string)) (image.InspectResponse, error) {
	if s.Build != nil {
		ctx, end := observe.Start(ctx, observe.ImageBuild, attribute.String("otelrunner.dockerfile", s.Build.Dockerfile))
		img, err := j.build(ctx, s.Build, log)
		err = observe.Typed("image_build", err)
		end(err)
		return img, err
	}
	wish := imageWish{name: s.Name}
	if job := j.spec.Container; job != nil && job.Username != "" && sameRegistry(s.Name, first(job.Image, j.spec.Image)) {
		wish.username, wish.password = job.Username, job.Password
	}
	return j.provider.ensure(ctx, wish, log)
}

// prepared is the image that was made ready under a name.
func (j *job) prepared(ctx context.Context, name string) (image.InspectResponse, error) {
	j.mu.Lock()
	img, ok := j.images[name]
	j.mu.Unlock()
	if ok {
		return img, nil
	}
	return j.actionImage(ctx, sandbox.ImageSource{Name: name}, j.spec.Log)
}

func sameRegistry(a, b string) bool {
	x, err := reference.ParseNormalizedNamed(a)
	y, err2 := reference.ParseNormalizedNamed(b)
	return err == nil && err2 == nil && reference.Domain(x) == reference.Domain(y)
}

// ownCredentials are those that the job gives for its own image; "" without any.
func (j *job) ownCredentials() (registry, user, password string) {
	c := j.spec.Container
	if c == nil || c.Username == "" {
		return "", "", ""
	}
	ref, err := reference.ParseNormalizedNamed(first(c.Image, j.spec.Image))
	if err != nil {
		return "", "", ""
	}
	return reference.Domain(ref), c.Username, c.Password
}

// authConfigs are the operator's for all registries, and the job's for its own, for
// what a Dockerfile is made FROM.
func (j *job) authConfigs() (map[string]authConfig, error) {
	all, err := j.provider.operatorsCredentials()
	if err != nil {
		return nil, err
	}
	all = maps.Clone(all)
	if all == nil {
		all = map[string]authConfig{}
	}
	if registry, user, password := j.ownCredentials(); registry != "" {
		all[registry] = authConfig{Username: user, Password: password, ServerAddress: registry}
	}
	if hub, ok := all["docker.io"]; ok {
		all["https://index.docker.io/v1/"] = hub
	}
	return all, nil
}

// trimLine takes the line's end off.
func trimLine(s string) string { return strings.TrimRight(s, "\r\n") }
