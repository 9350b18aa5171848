package job_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
)

// fakeCache is one job's way to a cache.
type fakeCache struct {
	err            error // of Listen
	listens, close int
}

func (c *fakeCache) Listen() (string, error) { c.listens++; return "127.0.0.1:1", c.err }
func (c *fakeCache) URL(address string) string {
	return "http://" + address + "/hidden/"
}
func (c *fakeCache) Secret() string { return "hidden" }
func (c *fakeCache) Close()         { c.close++ }
func (c *fakeCache) Dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	return near, far.Close()
}

// TestCache: steps are told where the cache is, on the loopback that they see, unless
// the workflow or the operator says it; what it needs is opened for the jobs that can
// reach it, and closed when they have ended.
func TestCache(t *testing.T) {
	failed := errors.New("no port")
	for name, c := range map[string]struct {
		kind            sandbox.Kind
		env, url        string // of the workflow; of a cache elsewhere
		operator        map[string]string
		listen, forward error
		none            bool
		want            string
		listens, dials  int
		closes          int
		told            bool
	}{
		"host":                     {kind: sandbox.Host, want: "http://127.0.0.1:1/hidden/", listens: 1, closes: 1},
		"container":                {kind: sandbox.Docker, want: "http://127.0.0.1:9/hidden/", dials: 1, closes: 1},
		"WASM":                     {kind: sandbox.WASM},
		"none":                     {kind: sandbox.Host, none: true},
		"the workflow's own":       {kind: sandbox.Host, env: "ACTIONS_CACHE_URL: mine", want: "mine", listens: 1, closes: 1},
		"the operator's own":       {kind: sandbox.Host, operator: map[string]string{"ACTIONS_CACHE_URL": "operator"}, want: "operator", listens: 1, closes: 1},
		"one elsewhere":            {kind: sandbox.Host, url: "http://cache:1/", want: "http://cache:1/"},
		"one elsewhere, container": {kind: sandbox.Docker, url: "http://cache:1/", want: "http://cache:1/"},
		"one elsewhere, WASM":      {kind: sandbox.WASM, url: "http://cache:1/"},
		"no port":                  {kind: sandbox.Host, listen: failed, listens: 1, closes: 1, told: true},
		"no port in the container": {kind: sandbox.Docker, forward: failed, dials: 1, closes: 1, told: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			f := &fake{kind: c.kind, run: func(_ context.Context, cmd *sandbox.Command, _ string) (sandbox.Result, error) {
				got = cmd.Env["ACTIONS_CACHE_URL"]
				return sandbox.Result{}, nil
			}}
			o := options(t, f)
			inside := &forwarder{fake: f, err: c.forward}
			if c.kind == sandbox.Docker {
				o.Providers[label.Host] = inside
			}
			way := &fakeCache{err: c.listen}
			o.CacheURL, o.Env = c.url, c.operator
			o.Cache = func(context.Context, *task.Task) job.Cache {
				if c.none {
					return nil
				}
				return way
			}
			tk := newCase(`{jobs: {t: {runs-on: host, env: {` + c.env + `}, steps: [{run: one}]}}}`).Task(7)
			sink := &maskSink{Recorder: jobtest.NewRecorder(tk)}
			result := job.New(o).Run(t.Context(), nil, tk, sink)
			if result != task.Success {
				t.Fatal(result)
			}
			if got == "" && c.operator != nil {
				got = c.operator["ACTIONS_CACHE_URL"] // the sandbox's own environment has it
			}
			if got != c.want || way.listens != c.listens || inside.dialed != c.dials || way.close != c.closes {
				t.Errorf("steps get %q, with %d ports, %d ways inside, %d closed; want %q, %d, %d, %d",
					got, way.listens, inside.dialed, way.close, c.want, c.listens, c.dials, c.closes)
			}
			if masked := slices.Contains(sink.masks, "hidden"); masked != (c.closes > 0) {
				t.Errorf("the secret is masked: %v", masked)
			}
			told := slices.ContainsFunc(sink.Outcome(result).Rows, func(row string) bool { return strings.Contains(row, "No cache for the steps: no port") })
			if told != c.told {
				t.Errorf("the log says that there is none: %v, want %v", told, c.told)
			}
		})
	}
}

// maskSink keeps what is masked.
type maskSink struct {
	*jobtest.Recorder
	masks []string
}

func (s *maskSink) AddMask(value string) { s.masks = append(s.masks, value); s.Recorder.AddMask(value) }

// TestCacheBesideHost: the container of a host job's action has a loopback of its own,
// and is told only what it can reach.
func TestCacheBesideHost(t *testing.T) {
	for url, want := range map[string]string{"": "", "http://cache:1/": "http://cache:1/"} {
		e := &engineBeside{t: t}
		got := "no container ran"
		f := &fake{kind: sandbox.Host}
		o := options(t, f)
		o.Containers = besideEnv{e, &got}
		o.CacheURL = url
		o.Cache = func(context.Context, *task.Task) job.Cache { return &fakeCache{} }
		tk := newCase(`{jobs: {t: {runs-on: host, steps: [{uses: "docker://alpine"}]}}}`).Task(7)
		if result := job.New(o).Run(t.Context(), nil, tk, jobtest.NewRecorder(tk)); result != task.Success || got != want {
			t.Errorf("%q: %s, the container gets %q, want %q", url, result, got, want)
		}
	}
}

// besideEnv notes which cache a container is told of.
type besideEnv struct {
	*engineBeside
	got *string
}

func (e besideEnv) OpenContainers(ctx context.Context, s sandbox.Sandbox, spec sandbox.Spec) (sandbox.HostContainers, error) {
	_, err := e.engineBeside.OpenContainers(ctx, s, spec)
	return e, err
}

func (e besideEnv) RunContainer(_ context.Context, c *sandbox.ContainerCommand) (sandbox.Result, error) {
	*e.got = c.Command.Env["ACTIONS_CACHE_URL"]
	return sandbox.Result{}, nil
}
