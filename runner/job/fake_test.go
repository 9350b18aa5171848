package job_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otelrunner/runner/job"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/runner/task"
	"otelrunner/sandbox"
)

// fake is a sandbox whose commands are a function of the test.
type fake struct {
	run     func(ctx context.Context, c *sandbox.Command, script string) (sandbox.Result, error)
	openErr error
	opening func(ctx context.Context) error // how long Open takes; nil is no time
	close   error
	kind    sandbox.Kind // "" is Docker

	mu     sync.Mutex
	spec   sandbox.Spec
	opened int
	closed int
}

func (f *fake) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if f.opening != nil {
		if err := f.opening(ctx); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spec = spec
	if f.openErr != nil {
		return nil, f.openErr
	}
	f.opened++
	return f, nil
}

func (f *fake) Info() sandbox.Info {
	return sandbox.Info{
		Kind: cmp.Or(f.kind, sandbox.Docker), OS: "windows", Arch: "arm64", Workspace: `C:\w\demo`, Temp: `C:\t`, ToolCache: `C:\tools`,
		JobContainer: sandbox.ContainerInfo{ID: "c1", Network: "n1"},
		ServiceInfo:  map[string]sandbox.ContainerInfo{"redis": {ID: "s1", Network: "n1", Ports: map[string]string{"6379": "32768"}}},
	}
}

func (f *fake) Run(ctx context.Context, c *sandbox.Command) (sandbox.Result, error) {
	script := ""
	for _, file := range c.Files {
		if strings.Contains(file.Path, "script_") {
			script = string(file.Data)
		}
	}
	return f.run(ctx, c, script)
}

func (*fake) LookPath(_ context.Context, name string, _ []string) (string, error) {
	if name == "pwsh" || name == "cmd" {
		return `C:\bin\` + name + ".exe", nil
	}
	return "", &sandbox.NotFoundError{Name: name}
}

func (*fake) ReadFile(context.Context, string, int64) ([]byte, error) { return nil, fs.ErrNotExist }
func (*fake) WriteFiles(context.Context, []sandbox.File) error        { return nil }
func (*fake) Stage(context.Context, string, fs.FS) (string, error)    { return "", errors.ErrUnsupported }
func (*fake) HashFiles(_ context.Context, _ string, patterns []string, follow bool) (string, error) {
	return fmt.Sprintf("hash of %q %v", patterns, follow), nil
}

func (f *fake) Close(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return f.close
}

// runFake runs a workflow in a fake and checks that what was opened is closed.
func runFake(t *testing.T, f *fake, workflow string, change func(*job.Options)) jobtest.Outcome {
	t.Helper()
	o := options(t, f)
	o.Providers[label.Docker] = f
	if change != nil {
		change(&o)
	}
	_, got := run(t, o, newCase(workflow).Task(7), nil)
	if f.opened != f.closed {
		t.Errorf("opened %d, closed %d", f.opened, f.closed)
	}
	return got
}

const twoSteps = `{jobs: {t: {runs-on: host, steps: [{run: one}, {run: two, if: always()}]}}}`

func TestBrokenSandbox(t *testing.T) {
	for _, c := range []struct {
		name string
		fail func() (sandbox.Result, error)
		row  string
	}{
		{"error", func() (sandbox.Result, error) { return sandbox.Result{ExitCode: -1}, errors.New("lost the container") }, "##[error]lost the container"},
		{"limit", func() (sandbox.Result, error) {
			return sandbox.Result{ExitCode: -1}, &sandbox.LimitError{Limit: "memory", Text: "memory limit of 512 MiB reached"}
		}, "##[error]memory limit of 512 MiB reached"},
		{"panic", func() (sandbox.Result, error) { panic("oh no") }, "##[error]The runner failed while it ran this step: oh no"},
		{"exit", func() (sandbox.Result, error) { return sandbox.Result{ExitCode: 9}, nil }, "##[error]Process completed with exit code 9."},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{run: func(_ context.Context, _ *sandbox.Command, script string) (sandbox.Result, error) {
				if strings.Contains(script, "one") {
					return c.fail()
				}
				return sandbox.Result{}, nil
			}}
			got := runFake(t, f, twoSteps, nil)
			if got.Result != task.Failure || got.Steps[0] != task.Failure || got.Steps[1] != task.Success {
				t.Errorf("result %s, steps %v", got.Result, got.Steps)
			}
			if !hasRow(got.Rows, c.row) {
				t.Errorf("no row %q in\n%s", c.row, strings.Join(got.Rows, "\n"))
			}
		})
	}
}

func TestOpenFails(t *testing.T) {
	f := &fake{openErr: errors.New("the image box:1 was not found: check its name")}
	got := runFake(t, f, `{jobs: {t: {runs-on: box, container: {image: "i:${{ github.ref_name }}", credentials: {username: u, password: pass-word}}, services: {redis: {image: redis, ports: ["6379"]}, none: {image: ""}}, steps: [{run: one}]}}}`, nil)
	if got.Result != task.Failure || got.Steps[0] != task.Skipped || !hasRow(got.Rows, "##[error]The image box:1 was not found") {
		t.Errorf("result %s, steps %v\n%s", got.Result, got.Steps, strings.Join(got.Rows, "\n"))
	}
	s := f.spec
	if s.Image != "box:1" || s.Repository != "octo/demo" || s.Container == nil || s.Container.Image != "i:main" || s.Container.Password != "pass-word" ||
		len(s.Services) != 1 || s.Services[0].Name != "redis" || !strings.HasPrefix(s.ID, "task-7-") || s.Env["FROM_RUNNER"] != "runner-envs" {
		t.Errorf("spec %+v, container %+v", s, s.Container)
	}
}

func TestSandboxContexts(t *testing.T) {
	var script string
	var command *sandbox.Command
	f := &fake{close: errors.New("a volume is left"), run: func(_ context.Context, c *sandbox.Command, s string) (sandbox.Result, error) {
		script, command = s, c
		_, _ = c.Stdout.Write([]byte("no end of line"))
		return sandbox.Result{Collected: map[string][]byte{c.Env["GITHUB_OUTPUT"]: []byte("a=b\r\n")}}, nil
	}}
	got := runFake(t, f, `
jobs:
  t:
    runs-on: host
    outputs: {o: "${{ steps.s.outputs.a }}"}
    steps:
      - id: s
        working-directory: sub/dir
        env: {lower: x}
        run: ${{ job.container.id }} ${{ job.services.redis.ports['6379'] }} ${{ runner.os }} ${{ runner.arch }} ${{ hashFiles('a', 'b') }} ${{ env.LOWER }}
`, nil)
	if got.Result != task.Success || got.Outputs["o"] != "b" {
		t.Errorf("result %s, outputs %v\n%s", got.Result, got.Outputs, strings.Join(got.Rows, "\n"))
	}
	if !strings.Contains(script, `c1 32768 Windows ARM64 hash of ["a" "b"] false x`) {
		t.Errorf("script %q", script)
	}
	if command.Dir != `C:\w\demo\sub\dir` || command.Args[0] != `C:\bin\pwsh.exe` || !strings.HasPrefix(command.Args[2], `. 'C:\t\script_`) {
		t.Errorf("dir %s, args %q", command.Dir, command.Args)
	}
	if !hasRow(got.Rows, "no end of line") || !hasRow(got.Rows, "##[warning]The sandbox could not be removed wholly: a volume is left") {
		t.Error(strings.Join(got.Rows, "\n"))
	}
}

// Times, to the nanosecond: nothing here waits in real time.
func TestTimesInABubble(t *testing.T) {
	sleep := func(ctx context.Context, _ *sandbox.Command, script string) (sandbox.Result, error) {
		d := 10 * time.Hour
		if strings.Contains(script, "short") {
			d = time.Minute
		}
		select {
		case <-time.After(d):
			return sandbox.Result{}, nil
		case <-ctx.Done():
			return sandbox.Result{ExitCode: 143}, context.Cause(ctx)
		}
	}
	for _, c := range []struct {
		name, steps, job string
		cancel           time.Duration
		took             time.Duration
		result           task.Result
	}{
		{"as long as it takes", "{run: short}, {run: short}", "", 0, 2 * time.Minute, task.Success},
		{"step timeout", "{run: long, timeout-minutes: 7.5}", "", 0, 450 * time.Second, task.Failure},
		{"job timeout", "{run: long}, {run: short, if: always()}", "timeout-minutes: 30,", 0, 31 * time.Minute, task.Failure},
		{"default timeout", "{run: long}", "", 0, 3 * time.Hour, task.Failure},
		{"cancel", "{run: long}, {run: short}, {run: short, if: cancelled()}", "", time.Hour, 61 * time.Minute, task.Cancelled},
		{"cleanup", "{run: long}, {run: long, if: always()}, {run: long, if: always()}", "", time.Hour, 65 * time.Minute, task.Cancelled},
		{"cleanup with a timeout", "{run: long}, {run: long, if: always(), timeout-minutes: 1}, {run: short, if: always()}", "", time.Hour, 62 * time.Minute, task.Cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{run: sleep}
				tk := newCase("{jobs: {t: {runs-on: host, " + c.job + " steps: [" + c.steps + "]}}}").Task(1)
				cancel := make(chan struct{})
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, func() { close(cancel) })
				}
				began := time.Now()
				_, got := run(t, options(t, f), tk, cancel)
				if d := time.Since(began); d != c.took || got.Result != c.result {
					t.Errorf("took %s with result %s, want %s, %s\n%s", d, got.Result, c.took, c.result, strings.Join(got.Rows, "\n"))
				}
			})
		})
	}
}

func TestBadInput(t *testing.T) {
	for _, c := range []struct{ name, workflow, row string }{
		{"not YAML", "jobs: {t: [", "##[error]The workflow cannot be run: "},
		{"empty", "", "the file is empty"},
		{"no job", "{on: push, jobs: {}}", "##[error]"},
		{"two jobs", "{jobs: {a: {runs-on: host, steps: [{run: x}]}, b: {runs-on: host, steps: [{run: x}]}}}", "has 2 jobs (a, b)"},
		{"reusable", "{jobs: {a: {uses: ./.gitea/workflows/x.yml}}}", "uses the reusable workflow"},
		{"label", "{jobs: {a: {runs-on: gpu, steps: [{run: x}]}}}", `runs-on asks for "gpu", which this runner does not carry`},
		{"scheme", "{jobs: {a: {runs-on: box, steps: [{run: x}]}}}", "label box asks for a docker sandbox, which this runner does not have"},
		{"timeout", "{jobs: {a: {runs-on: host, timeout-minutes: \"${{ github.ref_name }}\", steps: [{run: x}]}}}", `timeout-minutes: expected a number of minutes, found "main"`},
		{"env", "{jobs: {a: {runs-on: host, env: {A: \"${{ fromJSON('{') }}\"}, steps: [{run: x}]}}}", "env of the job: A: "},
		{"matrix", "{jobs: {a: {runs-on: host, strategy: {matrix: {a: [1, 2]}}, steps: [{run: x}]}}}", "matrix has 2 combinations"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{}
			_, got := run(t, options(t, f), newCase(c.workflow).Task(1), nil)
			if got.Result != task.Failure || !hasRow(got.Rows, c.row) {
				t.Errorf("result %s, want a row %q in\n%s", got.Result, c.row, strings.Join(got.Rows, "\n"))
			}
			errs := 0
			for _, r := range got.Rows {
				if strings.HasPrefix(r, "##[error]") {
					errs++
				}
			}
			if errs != 1 {
				t.Errorf("%d error rows, want one:\n%s", errs, strings.Join(got.Rows, "\n"))
			}
		})
	}
}
