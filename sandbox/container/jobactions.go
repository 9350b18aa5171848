package container

import (
	"archive/tar"
	"context"
	"fmt"
	"slices"

	"otelrunner/sandbox"
)

// The containers of a container job's actions stand beside the job's own, and share
// its network and its volumes.

var _ surroundings = (*job)(nil)

// place implements surroundings.
func (j *job) place(base *settings) place {
	base.sharing()
	return place{
		network: "container:" + j.main.id,
		labels:  j.provider.labels(first(j.standby, j.spec.ID), j.spec.Owner),
		from:    j.main.id, as: fmt.Sprintf("%d:%d", j.uid, j.gid),
		prepare: func(ctx context.Context, id string) error { return j.linkWorkspace(ctx, id, base.lacks(handingOut)) },
	}
}

// inside implements surroundings: the paths are the same.
func (j *job) inside(name string) string { return j.inWorkspace(name) }

// before implements surroundings. Where the image has a user of its own, it has the job's own container write a command's files, and remove them in the
// end: an image's user could do neither in the job's folders. What is collected may
// be written by anybody.
func (j *job) before(ctx context.Context, r *running, c *sandbox.Command) (after func(), err error) {
	if !r.otherUser() {
		return func() {}, nil
	}
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
	var owner tar.Header
	if own {
		owner.Uid, owner.Gid = j.uid, j.gid
	}
	return j.provider.makeGithub(ctx, id, owner,
		tar.Header{Name: "github/workspace", Typeflag: tar.TypeSymlink, Linkname: j.info.Workspace, Mode: 0o777})
}
