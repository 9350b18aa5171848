package job_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
)

// engineBeside is what host jobs' actions run in, and tells what is asked of it.
type engineBeside struct {
	t      *testing.T
	fails  []error // of OpenContainers, one a call
	resist error   // of Close
	calls  []string
}

func (e *engineBeside) tell(format string, args ...any) {
	e.calls = append(e.calls, fmt.Sprintf(format, args...))
}

func (e *engineBeside) OpenContainers(_ context.Context, s sandbox.Sandbox, spec sandbox.Spec) (sandbox.HostContainers, error) {
	e.tell("open %s", s.Info().Kind)
	if spec.Repository != "octo/demo" || spec.Owner["task"] != "7" || spec.ID == "" {
		e.t.Errorf("opened for %+v", spec)
	}
	if len(e.fails) > 0 {
		err := e.fails[0]
		e.fails = e.fails[1:]
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *engineBeside) PrepareImage(_ context.Context, image sandbox.ImageSource, _ func(string)) (string, error) {
	e.tell("prepare %s", image.Name)
	return image.Name, nil
}

func (e *engineBeside) RunContainer(_ context.Context, c *sandbox.ContainerCommand) (sandbox.Result, error) {
	e.tell("run %s %q", c.Image, c.Command.Args)
	return sandbox.Result{}, nil
}

func (*engineBeside) Outside(path string) string { return path }

func (e *engineBeside) Close(context.Context) error {
	e.tell("close")
	return e.resist
}

// runBeside runs a host job's steps with it, of which each shell step is told too.
func (e *engineBeside) run(steps string) jobtest.Outcome {
	e.t.Helper()
	f := &fake{kind: sandbox.Host, run: func(_ context.Context, _ *sandbox.Command, script string) (sandbox.Result, error) {
		for _, word := range strings.Fields(script) {
			if word == "one" || word == "two" {
				e.tell("step %s", word)
			}
		}
		return sandbox.Result{}, nil
	}}
	return runFake(e.t, f, "{jobs: {t: {runs-on: host, defaults: {run: {shell: pwsh}}, steps: ["+steps+"]}}}", func(o *job.Options) {
		o.Containers = e
		o.Providers[label.Host] = &closing{f, e}
	})
}

// closing is a sandbox that tells when it is closed.
type closing struct {
	*fake
	e *engineBeside
}

func (c *closing) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	_, err := c.fake.Open(ctx, spec)
	return c, err
}

func (c *closing) Close(ctx context.Context) error {
	c.e.tell("sandbox closed")
	return c.fake.Close(ctx)
}

// TestContainersOfHostJobs: nothing is asked for before a step needs it, and then
// once; what was opened is closed, before the sandbox whose folders it uses.
func TestContainersOfHostJobs(t *testing.T) {
	away := errors.New("the container engine at unix:///x does not answer: start it")
	const image = `{uses: "docker://i:1", with: {args: a}, if: always()}`
	for _, c := range []struct {
		name, steps string
		fails       []error
		resist      error
		calls       []string
		result      task.Result
		row         string
	}{
		{"no such step", `{run: one}`, nil, nil, []string{"step one"}, task.Success, ""},
		{"none that runs", `{run: one}, {uses: "docker://i:1", if: false}`, nil, nil, []string{"step one"}, task.Success, ""},
		{"two", `{run: one}, ` + image + `, {run: two}, ` + image, nil, nil,
			[]string{"step one", "open host", "prepare i:1", `run i:1 ["a"]`, "step two", `run i:1 ["a"]`, "close"}, task.Success, ""},
		{"no engine", image + `, {run: two, if: always()}`, []error{away}, nil, []string{"open host", "step two"}, task.Failure,
			"##[error]The action docker://i:1 runs in a container, for which a host job needs a container engine: " + away.Error() + ". On a machine without one, "},
		{"an engine that comes back", image + `, ` + image, []error{away}, nil,
			[]string{"open host", "open host", "prepare i:1", `run i:1 ["a"]`, "close"}, task.Failure, ""},
		{"an engine that goes", image, nil, errors.New("gone"), []string{"open host", "prepare i:1", `run i:1 ["a"]`, "close"}, task.Success,
			"##[warning]The sandbox could not be removed wholly: gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &engineBeside{t: t, fails: c.fails, resist: c.resist}
			got := e.run(c.steps)
			if want := append(c.calls, "sandbox closed"); !slices.Equal(e.calls, want) {
				t.Errorf("asked for %q, want %q", e.calls, want)
			}
			if got.Result != c.result || c.row != "" && !hasRow(got.Rows, c.row) {
				t.Errorf("result %s, want %s with %q: %q", got.Result, c.result, c.row, got.Rows)
			}
		})
	}
}

// TestContainersRefused: jobs of the WASM sandbox get none, and neither do host jobs
// whose operator does not want them.
func TestContainersRefused(t *testing.T) {
	for _, c := range []struct {
		kind    sandbox.Kind
		allowed bool
		row     string
	}{
		{sandbox.WASM, true, "this job's label chose the WASM sandbox, which has none"},
		{sandbox.Host, false, "this runner's operator does not let steps of host jobs start any (host.docker_actions is false): give the job a container"},
	} {
		e := &engineBeside{t: t}
		got := runFake(t, &fake{kind: c.kind}, `{jobs: {t: {runs-on: host, steps: [{uses: "docker://i:1"}]}}}`, func(o *job.Options) {
			if c.allowed {
				o.Containers = e
			}
		})
		if got.Result != task.Failure || !hasRow(got.Rows, c.row) || len(e.calls) > 0 {
			t.Errorf("%s: result %s, asked for %q: %q", c.kind, got.Result, e.calls, got.Rows)
		}
	}
}
