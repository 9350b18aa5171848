package container_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"otelrunner/otel/observe"
	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/host"
)

// hostJob is a job of the host sandbox with containers for its actions.
type hostJob struct {
	sandbox.Sandbox
	sandbox.HostContainers
	spec sandbox.Spec
	log  lines
}

func (h *hostJob) Close(ctx context.Context) error {
	return errors.Join(h.HostContainers.Close(ctx), h.Sandbox.Close(ctx))
}

// openHost opens a host job with containers.
func openHost(ctx context.Context, hosts *host.Provider, p *container.Provider) (*hostJob, error) {
	h := &hostJob{spec: newSpec()}
	h.spec.Image, h.spec.Log = "", h.log.log
	var err error
	if h.Sandbox, err = hosts.Open(ctx, h.spec); err != nil {
		return nil, err
	}
	if h.HostContainers, err = p.OpenContainers(ctx, h.Sandbox, h.spec); err != nil {
		return nil, errors.Join(err, h.Sandbox.Close(ctx))
	}
	return h, nil
}

// newHostJob is openHost for a test, which closes it.
func newHostJob(t *testing.T, o container.Options) *hostJob {
	t.Helper()
	p := engine(t).provider(t, o)
	hosts, err := host.New(t.Context(), host.Options{Root: t.TempDir(), Empty: p.Empty})
	if err != nil {
		t.Fatal(err)
	}
	h, err := openHost(t.Context(), hosts, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("Close: %v", err)
		}
		engine(t).nothingLeft(t, "otelrunner.job="+h.spec.ID)
	})
	return h
}

// sh runs a script in a container, with an output file that it finds in OUT.
func (h *hostJob) sh(ctx context.Context, t *testing.T, image, script string, env map[string]string) (out, collected string) {
	t.Helper()
	var text bytes.Buffer
	file := filepath.Join(h.Info().Temp, "commands", "output")
	all := map[string]string{"OUT": file, "WORK": h.Info().Workspace}
	for name, value := range env {
		all[name] = value
	}
	res, err := h.RunContainer(ctx, &sandbox.ContainerCommand{Image: image, Entrypoint: []string{"sh", "-ec", script}, Command: sandbox.Command{
		Env: all, Stdout: &text, Stderr: &text, Files: []sandbox.File{{Path: file}}, Collect: []string{file}, Remove: []string{file},
	}})
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%s: exit code %d, %v\n%s\n%s", script, res.ExitCode, err, text.String(), h.log.String())
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the command file is left: %v", err)
	}
	return strings.TrimSpace(text.String()), string(res.Collected[file])
}

// TestHostActions: a container sees the job's folders, and what it does there is seen
// by the next step, whoever the image's user is and whatever the operator has taken
// away.
func TestHostActions(t *testing.T) {
	l := engine(t)
	app := l.image(t, nil, "USER app")
	for _, c := range []struct{ flags, image, user string }{
		{"", busybox, "0:0"},
		{"", app, "1234:2345"},
		{"--cap-drop ALL", busybox, fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())},
		{"--cap-drop ALL", app, fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())},
	} {
		t.Run(c.flags+" "+c.image, func(t *testing.T) {
			h := newHostJob(t, container.Options{Flags: c.flags})
			if err := h.WriteFiles(t.Context(), []sandbox.File{{Path: "of/job", Data: []byte("from the job\n")}}); err != nil {
				t.Fatal(err)
			}
			script := `echo $(id -u):$(id -g); pwd; echo $OUT $WORK; cat of/job "` + h.Info().Workspace + `/of/job"; touch $HOME/x; echo a=b >> $OUT`
			if c.user == "0:0" { // a workspace of root's is root's, as on GitHub
				script += "; echo from the action > by-action"
			}
			out, collected := h.sh(t.Context(), t, c.image, script, nil)
			same(t, "output", out, c.user+"\n/github/workspace\n/github/runner_temp/commands/output /github/workspace\nfrom the job\nfrom the job")
			same(t, "collected", collected, "a=b\n")
			if c.user == "0:0" {
				data, err := h.ReadFile(t.Context(), "by-action", 100)
				same(t, "the file", string(data), "from the action\n")
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestHostActionsOfOperators: limits, networks and volumes of the operator hold.
func TestHostActionsOfOperators(t *testing.T) {
	volume := t.TempDir()
	h := newHostJob(t, container.Options{Memory: "64m", PIDs: 33, Network: "none", Flags: "--volume " + volume + ":/of-operator:ro --add-host db:10.9.8.7"})
	out, _ := h.sh(t.Context(), t, busybox, "cd /sys/fs/cgroup; cat memory.max 2> /dev/null || cat memory/memory.limit_in_bytes; cat pids.max 2> /dev/null || cat pids/pids.max; ls /sys/class/net; grep -c of-operator /proc/mounts", nil)
	same(t, "limits, network and volume", out, "67108864\n33\nlo\n1")
	res, err := h.RunContainer(t.Context(), &sandbox.ContainerCommand{Image: busybox,
		Entrypoint: []string{"sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1"}})
	if limit, ok := errors.AsType[*sandbox.LimitError](err); !ok || limit.Limit != "memory" {
		t.Errorf("a program that needs more memory ends with %+v, %v", res, err)
	}
	_, err = h.PrepareImage(t.Context(), sandbox.ImageSource{Name: "otelrunner-test-none:1"}, h.log.log)
	if err == nil || !strings.Contains(err.Error(), "not on this machine") { // container.pull is never in these tests
		t.Errorf("an image that is not there: %v", err)
	}
}

// TestHostActionsEnd: a cancel ends the program and its children, and the job's end
// leaves nothing.
func TestHostActionsEnd(t *testing.T) {
	h := newHostJob(t, container.Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := errors.New("the job is over")
	r, w := io.Pipe()
	go func() {
		line := make([]byte, 4)
		_, _ = io.ReadFull(r, line)
		cancel(ended)
		_, _ = io.Copy(io.Discard, r)
	}()
	_, err := h.RunContainer(ctx, &sandbox.ContainerCommand{Image: busybox, Entrypoint: []string{"sh", "-c", "sleep 600 & echo runs; sleep 600"},
		Command: sandbox.Command{Stdout: w, Grace: time.Second}})
	_ = w.Close()
	if !errors.Is(err, ended) {
		t.Errorf("a canceled run ends with %v", err)
	}
	if len(engine(t).things(t, "otelrunner.job="+h.spec.ID)) == 0 {
		t.Error("nothing has the job's label: a sweep would not find what a dead runner leaves")
	}
}

// TestHostActionsElsewhere: an engine that has not got the folder says what to do.
func TestHostActionsElsewhere(t *testing.T) {
	h := newHostJob(t, container.Options{})
	away := h.Info().Temp + "-away"
	if err := os.Rename(h.Info().Temp, away); err != nil {
		t.Fatal(err)
	}
	_, err := h.RunContainer(t.Context(), &sandbox.ContainerCommand{Image: busybox, Entrypoint: []string{"true"}})
	if err == nil {
		t.Fatal("it runs")
	}
	contains(t, "error", err.Error(), "the container engine has no folder", "engine on the same machine", "host.workdir_parent")
	if err := os.Rename(away, h.Info().Temp); err != nil {
		t.Fatal(err)
	}
}

// TestHostActionsTelemetry: what takes time is told, and the program reaches the
// endpoint that the host's steps have on the machine's loopback.
func TestHostActionsTelemetry(t *testing.T) {
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "endpoint") }))
	t.Cleanup(here.Close)
	endpoint := here.URL
	rec := tracetest.NewSpanRecorder()
	ctx, job := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer("").Start(t.Context(), "job")
	ctx = observe.With(ctx, &observe.Scope{StepEndpoint: endpoint, StepDial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", here.Listener.Addr().String())
	}})
	p := engine(t).provider(t, container.Options{})
	hosts, err := host.New(ctx, host.Options{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	h, err := openHost(ctx, hosts, p)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := h.sh(ctx, t, busybox, `wget -q -O - $OTEL_EXPORTER_OTLP_ENDPOINT/`, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
	same(t, "the endpoint's answer", out, "endpoint")
	out, _ = h.sh(ctx, t, busybox, `echo $OTEL_EXPORTER_OTLP_ENDPOINT`, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://mine:4318"})
	same(t, "an endpoint of the workflow's", out, "http://mine:4318")
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
	job.End()
	var names []string
	for _, s := range rec.Ended() {
		names = append(names, s.Name())
	}
	for _, want := range []string{"reach container engine", "create network", "create container", "start container", "remove containers"} {
		if !slices.Contains(names, want) {
			t.Errorf("there is no span %q in %q", want, names)
		}
	}
}

// dieHost is die for a host job.
func dieHost(p *container.Provider, root string, sweep bool) {
	ctx := context.Background()
	hosts, err := host.New(ctx, host.Options{Root: root, Empty: p.Empty})
	if err != nil {
		panic(err)
	}
	if sweep {
		n, err := p.Sweep(ctx)
		fmt.Println("swept", n, hosts.Leftovers(), err)
		return
	}
	h, err := openHost(ctx, hosts, p)
	if err != nil {
		panic(err)
	}
	res, err := h.RunContainer(ctx, &sandbox.ContainerCommand{Image: busybox,
		Entrypoint: []string{"sh", "-c", "mkdir -p deep/er; touch deep/er/file; chmod 0 deep; echo acting; sleep " + os.Getenv(victim+"_SLEEP")},
		Command:    sandbox.Command{Stdout: os.Stdout, Stderr: os.Stderr}})
	fmt.Println("acted", res.ExitCode, err)
	fmt.Println("closed", h.Close(ctx))
}
