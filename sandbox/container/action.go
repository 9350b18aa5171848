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
	"sync"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/image"
	"go.opentelemetry.io/otel/attribute"
	"otelrunner/otel/observe"
	"otelrunner/sandbox"
	"otelrunner/sandbox/stream"
)

var _ sandbox.ContainerRunner = (*job)(nil)

// githubDir is where GitHub's Docker actions find the workspace.
const githubDir = "/github"

// actions runs the containers of a job's Docker actions, each in what is around it.
type actions struct {
	provider *Provider
	spec     sandbox.Spec
	arch     string // the engine's, by Go's name
	around   surroundings

	mu     sync.Mutex
	made   int                              // containers
	images map[string]image.InspectResponse // that were made ready for them
	left   map[string]*running              // those that could not be removed
	ending sync.WaitGroup                   // those that are being removed
}

// surroundings are what the containers of a job's actions share with its steps.
type surroundings interface {
	// place is where a container with some settings goes: its network, its
	// folders and its labels.
	place(settings *settings) place
	// inside is where a container sees a path of the job's steps.
	inside(name string) string
	// before makes a command ready, whose paths are those inside: it may change
	// it, and write its files itself. after is called when it has ended.
	before(ctx context.Context, r *running, c *sandbox.Command) (after func(), err error)
	// folder packs a folder of the job's steps, for a build.
	folder(ctx context.Context, dir string) (buildContext, error)
}

// RunContainer runs an image's program in a container of its own. The same helper
// is the first process there.
func (j *actions) RunContainer(ctx context.Context, c *sandbox.ContainerCommand) (sandbox.Result, error) {
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

// actionCommand makes a command's paths those that its container sees.
func (j *actions) actionCommand(c *sandbox.Command, args []string) *sandbox.Command {
	moved := *c
	moved.Args, moved.Path = args, nil
	moved.Dir = j.around.inside(c.Dir)
	moved.Files = make([]sandbox.File, len(c.Files))
	for i, f := range c.Files {
		f.Path = j.around.inside(f.Path)
		moved.Files[i] = f
	}
	return &moved
}

// runAction runs it; what is collected goes back under the caller's names.
func (j *actions) runAction(ctx context.Context, r *running, c *sandbox.Command, args []string) (sandbox.Result, error) {
	moved := j.actionCommand(c, args)
	names := map[string]string{}
	moved.Collect, moved.Remove = nil, nil
	for _, name := range c.Collect {
		inside := j.around.inside(name)
		names[inside] = name
		moved.Collect = append(moved.Collect, inside)
	}
	for _, name := range c.Remove {
		moved.Remove = append(moved.Remove, j.around.inside(name))
	}
	after, err := j.around.before(ctx, r, moved)
	if err != nil {
		return sandbox.Result{ExitCode: -1}, err
	}
	defer after()
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

// startAction starts a container.
func (j *actions) startAction(ctx context.Context, img image.InspectResponse) (*running, error) {
	base, err := j.provider.options.base()
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	if j.left == nil {
		j.left = map[string]*running{}
	}
	j.made++
	// No service's container can have this name: theirs goes on with a dash.
	name := fmt.Sprintf("%s%s.action-%d", reserved, j.spec.ID, j.made)
	j.mu.Unlock()
	at := j.around.place(base)
	at.name, at.what, at.image, at.settings, at.arch = name, "the action's container", img, base, j.arch
	return j.provider.start(ctx, at)
}

// endAction removes an action's container, while the job goes on; the job's Close
// waits for it.
func (j *actions) endAction(ctx context.Context, r *running) {
	ctx = context.WithoutCancel(ctx)
	j.ending.Go(func() {
		if err := j.provider.discard(ctx, r); err != nil {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.left[r.id] = r // Close tries again
		}
	})
}

// resisting waits for the containers that are being removed, and returns those that
// could not be.
func (j *actions) resisting() []*running {
	j.ending.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Collect(maps.Values(j.left))
}

// PrepareImage pulls or builds.
func (j *actions) PrepareImage(ctx context.Context, s sandbox.ImageSource, log func(string)) (string, error) {
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

func (j *actions) actionImage(ctx context.Context, s sandbox.ImageSource, log func(string)) (image.InspectResponse, error) {
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
func (j *actions) prepared(ctx context.Context, name string) (image.InspectResponse, error) {
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
func (j *actions) ownCredentials() (registry, user, password string) {
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
func (j *actions) authConfigs() (map[string]authConfig, error) {
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

// makeGithub makes the folder of /github in a container that has not started, of the
// user whom owner names, and what is in it.
func (p *Provider) makeGithub(ctx context.Context, id string, owner tar.Header, in ...tar.Header) error {
	owner.Name, owner.Typeflag, owner.Mode = strings.TrimPrefix(githubDir, "/")+"/", tar.TypeDir, 0o755
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err := w.WriteHeader(&owner)
	for _, h := range in {
		err = errors.Join(err, w.WriteHeader(&h))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("pack %s: %w", githubDir, err)
	}
	if err := p.engine.unpack(ctx, id, "/", &archive); err != nil {
		return p.engine.sentence(ctx, "prepare "+githubDir+" of the action's container", err)
	}
	return nil
}
