package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"go.opentelemetry.io/otel/trace/noop"
)

// An engine is the container engine behind its API: Docker 20.10 or later, or
// Podman's compatible service. One client holds its connections and the API's
// version, which is negotiated once.
type engine struct {
	*client.Client
	host    string
	timeout time.Duration
	arch    atomic.Pointer[string]
}

func newEngine(o Options) (*engine, error) {
	opts := []client.Opt{client.FromEnv}
	if o.Host != "" && o.Host != "-" {
		opts = append(opts, client.WithHost(o.Host))
	}
	// The client would make spans of its own calls, past the job's masker and with
	// names of containers in theirs: package observe tells what matters of them.
	opts = append(opts, client.WithTraceProvider(noop.NewTracerProvider()))
	c, err := client.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("container.docker_host: %w", err)
	}
	return &engine{Client: c, host: c.DaemonHost(), timeout: o.Timeout}, nil
}

// retry is how often an engine that is away is asked again.
const retry = 500 * time.Millisecond

// answerTime is how long an engine that has taken a connection may say nothing.
const answerTime = 5 * time.Second

func (e *engine) version(ctx context.Context, deadline time.Time) (client.ServerVersionResult, error) {
	ctx, cancel := context.WithTimeout(ctx, max(time.Until(deadline), answerTime))
	defer cancel()
	return e.ServerVersion(ctx, client.ServerVersionOptions{}) //nolint:wrapcheck // reach says what was done
}

// look asks once.
func (e *engine) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if e.arch.Load() == nil {
		_, err := e.ask(ctx, time.Now().Add(answerTime))
		if err == nil || errors.As(err, new(*unusableError)) {
			return err
		}
		return e.silent("does not answer", err)
	}
	if _, err := e.Ping(ctx, client.PingOptions{}); err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			e.away()
		}
		return e.silent("does not answer", err)
	}
	return nil
}

// unusableError says that waiting for the engine is of no use.
type unusableError struct {
	text string
	err  error
}

func (e *unusableError) Error() string { return e.text }
func (e *unusableError) Unwrap() error { return e.err }

// ask asks for the version and so for the architecture, once. An engine that says
// nothing is asked until deadline, and for answerTime at least.
func (e *engine) ask(ctx context.Context, deadline time.Time) (string, error) {
	v, err := e.version(ctx, deadline)
	switch {
	case errors.Is(err, os.ErrPermission):
		return "", &unusableError{fmt.Sprintf("the runner's user may not use the container engine at %s: add it to the group docker, or set container.docker_host: %v", e.host, err), err}
	case err != nil:
		return "", err
	case v.Os != "linux":
		return "", &unusableError{fmt.Sprintf("the container engine at %s runs %s containers; only linux ones are supported", e.host, v.Os), nil}
	}
	e.arch.Store(&v.Arch)
	return v.Arch, nil
}

func (e *engine) silent(silence string, err error) error {
	return fmt.Errorf("the container engine at %s %s: start it, or set container.docker_host: %w", e.host, silence, err)
}

// reach waits until the engine answers and returns its architecture, by Go's
// name. An engine that has answered before is not asked.
func (e *engine) reach(ctx context.Context, log func(string)) (string, error) {
	if arch := e.arch.Load(); arch != nil {
		return *arch, nil
	}
	deadline := time.Now().Add(e.timeout)
	for told := false; ; {
		arch, err := e.ask(ctx, deadline)
		if err == nil || errors.As(err, new(*unusableError)) {
			return arch, err
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if !time.Now().Before(deadline) {
			silence := "does not answer"
			if e.timeout >= time.Second {
				silence = fmt.Sprintf("has not answered for %v", e.timeout)
			}
			return "", e.silent(silence, err)
		}
		if !told && e.timeout >= time.Second {
			log(fmt.Sprintf("The container engine at %s does not answer; waiting up to %v for it", e.host, e.timeout))
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
		}
	}
}

// away forgets that the engine has answered.
func (e *engine) away() { e.arch.Store(nil) }

// sentence makes the one sentence of a failure of the engine; doing is what was
// tried.
func (e *engine) sentence(ctx context.Context, doing string, err error) error {
	text := err.Error()
	silent, isSilent := errors.AsType[*silentError](err)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isSilent:
		e.away()
		return fmt.Errorf("%s: the container engine at %s takes requests and has not answered this one for %v: look into its log, and restart it: %w", doing, e.host, callTime, silent.error)
	case client.IsErrConnectionFailed(err):
		e.away()
		return fmt.Errorf("%s: the container engine at %s does not answer: %w", doing, e.host, err)
	case errors.Is(err, syscall.ENOSPC) || strings.Contains(text, "no space left on device"):
		return fmt.Errorf("%s: the disk of the machine that runs the containers is full: free some space there, `docker system df` shows what takes it: %w", doing, err)
	case strings.Contains(text, "non-overlapping IPv4 address pool") || strings.Contains(text, "all predefined address pools"):
		return fmt.Errorf("%s: the engine has no addresses left for another network: remove networks that nobody uses, or give it more default-address-pools: %w", doing, err)
	case strings.Contains(text, "port is already allocated") || strings.Contains(text, "address already in use"):
		return fmt.Errorf("%s: a port that the workflow publishes is taken on this machine: leave out the host's port, then a free one is chosen (job.services.NAME.ports has it): %w", doing, err)
	case strings.Contains(text, "nknown runtime") || strings.Contains(text, "nknown or invalid runtime"):
		return fmt.Errorf("%s: the engine does not know the runtime of container.runtime: %w", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// createContainer makes a container; what comes back has to be removed, also when
// the context has ended meanwhile: the call outlives a cancel, since a request that
// is broken off may still be obeyed, and nobody would know the id.
func (e *engine) createContainer(ctx context.Context, o client.ContainerCreateOptions) (id string, err error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	made, err := within(context.WithoutCancel(ctx), func(ctx context.Context) (client.ContainerCreateResult, error) {
		return e.ContainerCreate(ctx, o)
	})
	return made.ID, err
}

// createIn is createContainer while the container's network may still be made.
// The engines known look for a network only when a container starts; one that
// looks for it at once is asked again when it is there.
func (e *engine) createIn(ctx context.Context, networkReady func(context.Context) error, o client.ContainerCreateOptions) (string, error) {
	id, err := e.createContainer(ctx, o)
	if err == nil || networkReady == nil || !strings.Contains(err.Error(), "network") {
		return id, err
	}
	if err := networkReady(ctx); err != nil {
		return "", err
	}
	return e.createContainer(ctx, o)
}

// awaited waits for what there is to wait for.
func awaited(ctx context.Context, ready func(context.Context) error) error {
	if ready == nil {
		return nil
	}
	return ready(ctx)
}

// gone reports whether something is not there, which is fine for who removes it.
func gone(err error) bool { return err == nil || errdefs.IsNotFound(err) }
