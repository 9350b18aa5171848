package job

import (
	"context"
	"errors"
	"sync"

	"otelrunner/otel/observe"
	"otelrunner/runner/action"
	"otelrunner/runner/label"
)

// errFetch ends the opening of a sandbox whose job cannot run anyway.
var errFetch = errors.New("the actions of the job cannot be fetched")

// A fetching is the fetch of the actions that a job's steps name, on its way while
// the sandbox is opened. nil is one of nothing.
type fetching struct {
	open    context.Context //nolint:containedctx // how long the opening beside it may go on
	endOpen context.CancelCauseFunc
	stop    context.CancelFunc
	done    chan struct{}
	err     error // valid when done is closed
}

// beginFetch begins to fetch where opening a sandbox takes long: an image may have to
// be pulled, and services to become healthy. end has to be called.
func (j *jobRun) beginFetch(scheme label.Scheme) *fetching {
	j.scheme = scheme
	if scheme != label.Docker {
		return nil
	}
	uses := j.toFetch()
	actions := j.actionsOf()
	if actions == nil || !j.namesRemote(uses) {
		return nil
	}
	ctx, stop := context.WithCancel(j.life.soft)
	f := &fetching{stop: stop, done: make(chan struct{})}
	f.open, f.endOpen = context.WithCancelCause(j.life.soft)
	j.fetched.hold()
	go func() {
		defer close(f.done)
		ctx, end := observe.Span(ctx, "fetch actions")
		f.err = actions.Prepare(ctx, uses)
		end(f.err)
		if f.err != nil {
			f.endOpen(errFetch)
		}
	}()
	return f
}

// toFetch are the `uses:` that are fetched before the first step.
func (j *jobRun) toFetch() []string {
	return j.notBuiltIn(j.withoutInstead(usesOf(j.job.Steps)))
}

// namesRemote reports whether something of a repository is among some `uses:`. One
// that cannot be read is told of by who fetches.
func (j *jobRun) namesRemote(uses []string) bool {
	for _, text := range uses {
		if ref, err := j.parseUses(text); err != nil || ref.Kind == action.Remote {
			return true
		}
	}
	return false
}

// opening is the context to open the sandbox with.
func (f *fetching) opening(otherwise context.Context) context.Context {
	if f == nil {
		return otherwise
	}
	return f.open
}

// failed returns why the opening was ended, when the fetch was the reason.
func (f *fetching) failed() error {
	if f == nil || !errors.Is(context.Cause(f.open), errFetch) {
		return nil
	}
	<-f.done
	return f.err
}

// wait waits for the actions.
func (f *fetching) wait() error {
	<-f.done
	return f.err
}

// end ends it and waits for that.
func (f *fetching) end() {
	if f == nil {
		return
	}
	f.stop()
	<-f.done
	f.endOpen(nil)
}

// heldLines are rows that wait for their place in the log. It is safe for concurrent
// use; the zero value holds nothing back.
type heldLines struct {
	mu      sync.Mutex
	holding bool
	lines   []string
}

func (h *heldLines) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = true
}

// write writes a line, now or when it is released.
func (h *heldLines) write(line string, out func(format string, args ...any)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holding {
		h.lines = append(h.lines, line)
		return
	}
	out("%s", line)
}

// release writes what was held, and holds nothing from now on.
func (h *heldLines) release(out func(format string, args ...any)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, line := range h.lines {
		out("%s", line)
	}
	h.lines, h.holding = nil, false
}
