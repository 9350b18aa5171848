package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/image"

	"otelrunner/otel/observe"
	"otelrunner/sandbox"
)

const (
	// tempName is Info.Temp, below workRoot: Docker actions share the volume. No
	// owner of a repository can have this name.
	tempName = "_temp"
	// toolCache is where GitHub's images have it.
	toolCache = "/opt/hostedtoolcache"
)

// job is one job's sandbox.
type job struct {
	actions
	image   image.InspectResponse
	main    *running
	network string // to be removed with the job; "" when it is not the job's own
	spare   string // the network, when it was kept ready
	standby string // the label of a container that was kept ready, and its things

	watch *serviceWatch // nil without services

	services []*service // guarded by mu

	info sandbox.Info
	uid  int // of the steps
	gid  int
}

var (
	_ sandbox.Retirer  = (*job)(nil)
	_ sandbox.Importer = (*job)(nil)

	_ sandbox.Forwarder = (*job)(nil)
)

// workspaceOf is where a repository's workspace is.
func workspaceOf(repository string) string {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok || !clean(owner) || !clean(name) {
		return workRoot + "/repository/workspace"
	}
	return workRoot + "/" + owner + "/" + name
}

func clean(part string) bool {
	return part != "" && part != "." && part != ".." && part != tempName && !strings.ContainsAny(part, "/\\\x00")
}

// toolCache is RUNNER_TOOL_CACHE: where only root could make the usual folder, it
// is beside the workspace.
func (j *job) toolCache() string {
	if j.main.fixedUser {
		return workRoot + "/_tool" // which no owner of a repository is called, either
	}
	return toolCache
}

// setUp gives the container to the job.
func (j *job) setUp(ctx context.Context, o *opening) error {
	session, err := j.main.stream.Setup(ctx, o.setup(workspaceOf(j.spec.Repository)))
	if err != nil {
		return fmt.Errorf("prepare the container of image %s: %w", o.wish.name, err)
	}
	j.uid, j.gid = session.UID, session.GID
	j.info = sandbox.Info{
		ID:           j.spec.ID,
		Kind:         sandbox.Docker,
		OS:           "linux",
		Arch:         first(j.image.Architecture, o.arch),
		Workspace:    session.Workspace,
		Temp:         session.Temp,
		ToolCache:    j.toolCache(),
		Home:         session.Home,
		Name:         j.main.stream.Hello().Hostname,
		Details:      j.details(o, session.UID, session.GID),
		JobContainer: sandbox.ContainerInfo{ID: j.main.id, Network: o.network},
		ServiceInfo:  map[string]sandbox.ContainerInfo{},
	}
	for _, s := range j.services {
		j.info.ServiceInfo[s.name] = sandbox.ContainerInfo{ID: s.id, Network: first(o.names, o.network), Ports: s.ports}
	}
	return nil
}

// details are lines for the job's log.
func (j *job) details(o *opening, uid, gid int) []string {
	name := o.wish.name
	if len(j.image.RepoDigests) > 0 {
		_, digest, _ := strings.Cut(j.image.RepoDigests[0], "@")
		name += "@" + digest
	} else {
		name += " (" + j.image.ID + ")"
	}
	lines := []string{"Image: " + name, fmt.Sprintf("Steps run as uid %d, gid %d", uid, gid)}
	r := j.main.limits
	var limits []string
	if r.NanoCPUs > 0 {
		limits = append(limits, fmt.Sprintf("%g CPUs", float64(r.NanoCPUs)/1e9))
	}
	if r.Memory > 0 {
		limits = append(limits, size(r.Memory)+" of memory")
	}
	if r.PidsLimit != nil && *r.PidsLimit > 0 {
		limits = append(limits, fmt.Sprintf("%d processes", *r.PidsLimit))
	}
	if len(limits) > 0 {
		lines = append(lines, "Limits: "+strings.Join(limits, ", "))
	}
	if rt := o.settings.host.Runtime; rt != "" {
		lines = append(lines, "Runtime: "+rt)
	}
	if o.network == "none" {
		lines = append(lines, "The container has no network")
	}
	if j.image.Architecture != "" && j.image.Architecture != o.arch {
		lines = append(lines, fmt.Sprintf("The image is for %s and the machine of its container is %s: its programs run only if that machine emulates them (binfmt_misc)", j.image.Architecture, o.arch))
	}
	return lines
}

func (j *job) Info() sandbox.Info { return j.info }

func (j *job) LookPath(ctx context.Context, name string, searched []string) (string, error) {
	return j.main.stream.LookPath(ctx, name, searched)
}

func (j *job) ReadFile(ctx context.Context, name string, limit int64) ([]byte, error) {
	return j.main.stream.ReadFile(ctx, name, limit)
}

func (j *job) WriteFiles(ctx context.Context, files []sandbox.File) error {
	return j.main.stream.WriteFiles(ctx, files)
}

func (j *job) Stage(ctx context.Context, name string, tree fs.FS) (string, error) {
	return j.main.stream.Stage(ctx, name, tree)
}

// Forward implements sandbox.Forwarder: the port is the helper's.
func (j *job) Forward(ctx context.Context, dial func(context.Context) (net.Conn, error)) (string, error) {
	return j.main.stream.Forward(ctx, dial)
}

// Import implements sandbox.Importer.
func (j *job) Import(ctx context.Context, dir string, tree fs.FS) error {
	return j.main.stream.Import(ctx, dir, tree)
}

func (j *job) HashFiles(ctx context.Context, dir string, patterns []string, followSymlinks bool) (string, error) {
	return j.main.stream.HashFiles(ctx, dir, patterns, followSymlinks)
}

// Retire ends the job's container: its helper ends every process when the stream
// does.
func (j *job) Retire(context.Context) error {
	j.watch.end()
	_ = j.main.hangUp() // a stream that is broken has ended
	return nil
}

// Close removes the containers, at once, and then the network. What resists is
// left to the next Sweep.
func (j *job) Close(ctx context.Context) (err error) {
	ctx, end := observe.Start(ctx, observe.ContainerRemove)
	defer func() { end(err) }()
	j.watch.end()
	places := j.resisting()
	if j.main != nil {
		places = append(places, j.main)
	}
	j.mu.Lock()
	services := j.services
	j.mu.Unlock()

	errs := make([]error, len(places)+len(services)+1)
	var wg sync.WaitGroup
	for i, r := range places {
		wg.Go(func() { errs[i] = j.provider.discard(ctx, r) })
	}
	for i, s := range services {
		if s.id != "" {
			wg.Go(func() { errs[len(places)+i] = j.provider.remove(ctx, s.id) })
		}
	}
	wg.Wait()
	if j.network != "" {
		errs[len(errs)-1] = j.provider.removeNetwork(ctx, j.network)
	}
	j.provider.process.setActive(j.spec.ID, false)
	if j.spare != "" {
		j.provider.process.setActive(spareJob(j.spare), false)
	}
	if j.standby != "" {
		j.provider.process.setActive(j.standby, false)
	}
	return errors.Join(errs...)
}

// inWorkspace makes a path absolute.
func (j *job) inWorkspace(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(j.info.Workspace, name)
}
