package job

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"otelrunner/runner/action"
	"otelrunner/sandbox"
)

// images are the images of a job's docker actions, each made ready once. It is
// safe for concurrent use.
type images struct {
	log func(line string)

	mu    sync.Mutex
	calls map[string]*imageCall
}

// imageCall is one image on its way; name and err are set when done is closed.
type imageCall struct {
	done chan struct{}
	name string
	err  error
}

// prepare returns the name to run an action's image by. An action of the workspace
// may change between two steps: its image is looked at each time, and built again
// where need be. A call that failed because its context ended is forgotten, so
// that cleanup steps can ask again.
func (i *images) prepare(ctx context.Context, runner sandbox.Containers, a *loaded) (string, error) {
	key, source, err := imageSource(a)
	if err != nil {
		return "", err
	}
	if key == "" {
		return i.make(ctx, runner, a, source)
	}
	i.mu.Lock()
	call, known := i.calls[key]
	if !known {
		call = &imageCall{done: make(chan struct{})}
		if i.calls == nil {
			i.calls = map[string]*imageCall{}
		}
		i.calls[key] = call
	}
	i.mu.Unlock()
	if known {
		select {
		case <-call.done:
			return call.name, call.err
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
	call.name, call.err = i.make(ctx, runner, a, source)
	if call.err != nil && ctx.Err() != nil {
		i.mu.Lock()
		delete(i.calls, key)
		i.mu.Unlock()
	}
	close(call.done)
	return call.name, call.err
}

// make makes an image ready and writes one line about it, beside its progress.
func (i *images) make(ctx context.Context, runner sandbox.Containers, a *loaded, source sandbox.ImageSource) (string, error) {
	began := time.Now()
	name, err := runner.PrepareImage(ctx, source, i.log)
	if err != nil {
		return "", fmt.Errorf("%s: %w", a.ref, err)
	}
	i.log(fmt.Sprintf("%s → image %s (ready in %d ms)", a.ref, name, time.Since(began).Milliseconds()))
	return name, nil
}

// imageSource says where an action's image comes from. Equal keys are equal
// images; "" is not to be kept. A Dockerfile is built in its own folder, as on
// GitHub.
func imageSource(a *loaded) (key string, source sandbox.ImageSource, err error) {
	image := a.meta.Runs.Image
	if name, ok := strings.CutPrefix(image, dockerScheme); ok {
		return image, sandbox.ImageSource{Name: name}, nil
	}
	file := path.Join(a.ref.Path, image)
	build := &sandbox.Build{Dockerfile: path.Base(file)}
	if a.fetched == nil {
		build.Dir = path.Dir(path.Join(a.dir, image))
		return "", sandbox.ImageSource{Build: build}, nil
	}
	if build.Context, err = fs.Sub(a.fetched.Tree, path.Dir(file)); err != nil {
		return "", source, fmt.Errorf("the folder of the Dockerfile of %s: %w", a.ref, err)
	}
	return "build:" + a.fetched.Key + ":" + file, sandbox.ImageSource{Build: build}, nil
}

// prepareImages makes all images ready that the job's steps name, at once.
func (j *jobRun) prepareImages(ctx context.Context, of []*loaded) (errs []error) {
	runner, ok := j.containerRunner()
	if !ok {
		return nil // a host job's engine is asked when a step needs it; others' steps say so, if they run
	}
	results := make([]error, len(of))
	var wg sync.WaitGroup
	for i, a := range of {
		wg.Go(func() { _, results[i] = j.images.prepare(ctx, runner, a) })
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, err := range results {
		if err != nil && !seen[err.Error()] {
			seen[err.Error()] = true
			errs = append(errs, err)
		}
	}
	return errs
}

// fetchedDocker are the docker actions among the fetched ones that steps name, and
// those that composite actions among them use.
func (j *jobRun) fetchedDocker(ctx context.Context, uses []string, depth int) (found []*loaded) {
	for _, text := range uses {
		ref, err := j.parseUses(text)
		if err != nil {
			continue // told when it was fetched, or when the step runs
		}
		switch ref.Kind {
		case action.Docker:
			found = append(found, imageAction(ref))
		case action.Remote:
			if j.actionsOf() == nil || j.isBuiltIn(ref) {
				continue
			}
			a, err := j.actionsOf().Action(ctx, ref)
			if err != nil {
				continue
			}
			switch {
			case a.Metadata.Runs.Using == action.DockerImage:
				found = append(found, &loaded{ref: ref, meta: a.Metadata, fetched: a})
			case a.Metadata.Runs.Using == action.Composite && depth < maxDepth:
				found = append(found, j.fetchedDocker(ctx, usesOf(a.Metadata.Runs.Steps), depth+1)...)
			}
		}
	}
	return found
}
