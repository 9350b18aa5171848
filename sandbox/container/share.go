package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/deeptree"
)

var _ sandbox.Sharer = (*job)(nil)

// Share implements sandbox.Sharer by copies of the workspace and of Info.Temp,
// which the engine makes, and whose changes it takes back: a volume of an engine
// has no path that the runner may use, the engine may be on another machine, and
// what steps own in a bound folder the runner need not be able to change.
func (j *job) Share(ctx context.Context) (_ []sandbox.Mount, _ func(context.Context) error, err error) {
	folder, err := os.MkdirTemp("", "otelrunner-share-")
	if err != nil {
		return nil, nil, fmt.Errorf("copy the workspace from the job's container: %w", err)
	}
	// Symbolic links in the names of folders would make a mount of another one.
	if folder, err = filepath.EvalSymlinks(folder); err != nil {
		return nil, nil, fmt.Errorf("copy the workspace from the job's container: %w", err)
	}
	var mirrors []*mirror
	end := func() error {
		errs := make([]error, 0, len(mirrors)+1)
		for _, m := range mirrors {
			errs = append(errs, m.close())
		}
		return errors.Join(append(errs, deeptree.RemoveFolder(context.WithoutCancel(ctx), folder))...)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, end())
		}
	}()
	var mounts []sandbox.Mount
	left := int64(maxContext)
	for i, inside := range []string{j.info.Workspace, j.info.Temp} {
		host := filepath.Join(folder, fmt.Sprint(i))
		m, err := j.copyOut(ctx, inside, host, &left)
		if err != nil {
			return nil, nil, err
		}
		mirrors = append(mirrors, m)
		mounts = append(mounts, sandbox.Mount{Host: host, Guest: inside})
	}
	return mounts, func(ctx context.Context) error {
		var errs []error
		for i, m := range mirrors {
			errs = append(errs, j.copyBack(ctx, m, mounts[i].Guest))
		}
		return errors.Join(append(errs, end())...)
	}, nil
}

// copyOut copies a folder of the job's container to one of this machine.
func (j *job) copyOut(ctx context.Context, inside, host string, left *int64) (*mirror, error) {
	what := "copy " + inside + " from the job's container"
	got, err := j.provider.engine.CopyFromContainer(ctx, j.main.id, client.CopyFromContainerOptions{SourcePath: inside})
	if err != nil {
		return nil, j.provider.engine.sentence(ctx, what, err)
	}
	defer func() { _ = got.Content.Close() }()
	m, err := newMirror(host, got.Content, left)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return m, nil
}

// copyBack brings what has changed in a copy into the container.
func (j *job) copyBack(ctx context.Context, m *mirror, inside string) error {
	what := "copy what has changed into " + inside + " of the job's container"
	changed, removed, err := m.changes()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(removed) > 0 {
		c := &sandbox.Command{Args: []string{helperDir + "/" + helperFile, "--version"}}
		for _, name := range removed {
			c.Remove = append(c.Remove, path.Join(inside, name))
		}
		if _, err := j.main.stream.Run(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := m.pack(w, changed, inside)
		_ = w.CloseWithError(err) // never fails
		packed <- err
	}()
	// The engine refuses links that lead out of the place where it unpacks, which
	// a workspace may have: that place is the container's root.
	_, err = j.provider.engine.CopyToContainer(ctx, j.main.id, client.CopyToContainerOptions{
		DestinationPath: "/", Content: r, AllowOverwriteDirWithFile: true,
	})
	_ = r.Close() // ends the packing, where the engine has not read it all
	if e := <-packed; e != nil && !errors.Is(e, io.ErrClosedPipe) {
		return fmt.Errorf("%s: %w", what, e)
	}
	if err != nil {
		return j.provider.engine.sentence(ctx, what, err)
	}
	return nil
}
