package container_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moby/moby/client"

	"otelrunner/otel/oteltest"
	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// lines collects a job's progress.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) log(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, line)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func newSpec() sandbox.Spec {
	return sandbox.Spec{ID: fmt.Sprintf("t%d-%d", os.Getpid(), counter.Add(1)), Repository: "octo/hello", Image: busybox,
		Owner: map[string]string{"task": "7"}, Log: func(string) {}}
}

func open(t testing.TB, p *container.Provider, spec sandbox.Spec) sandbox.Sandbox {
	t.Helper()
	s, err := p.Open(t.Context(), spec)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { closeBox(t, s) })
	return s
}

func closeBox(t testing.TB, s sandbox.Sandbox) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// sh runs a script and returns all that it wrote.
func sh(t testing.TB, s sandbox.Sandbox, script string) string {
	t.Helper()
	var out bytes.Buffer
	res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%s: exit code %d, %v\n%s", script, res.ExitCode, err, out.String())
	}
	return strings.TrimSpace(out.String())
}

func same(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}

func contains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q: %s", what, part, text)
		}
	}
}

// refused opens a sandbox that must not open, and returns why.
func refused(t testing.TB, p *container.Provider, spec sandbox.Spec) string {
	t.Helper()
	s, err := p.Open(t.Context(), spec)
	if err == nil {
		closeBox(t, s)
		t.Fatal("it opens")
	}
	return err.Error()
}

func TestJob(t *testing.T) {
	l := engine(t)
	image := l.image(t, nil, "USER app")
	p := l.provider(t, container.Options{CPUs: "1.5", Memory: "256m", PIDs: 200, ValidVolumes: []string{"otelcache-*"}})
	spec := newSpec()
	spec.Env = map[string]string{"OF_RUNNER": "1"}
	spec.Container = &sandbox.Container{Image: image, Env: map[string]string{"OF_JOB": "2"},
		Options: "--tmpfs /fast:size=1m --memory 1g --hostname box -e OF_OPTIONS=3 --add-host db:10.9.8.7 --ulimit nofile=99 --shm-size 2m --label x=y --cap-drop NET_RAW"}
	var log lines
	spec.Log = log.log
	s := open(t, p, spec)
	same(t, "user", sh(t, s, "id -u; id -g"), "1234\n2345")
	same(t, "workspace", sh(t, s, "pwd; touch file; stat -c %u file; echo $HOME"), "/workspace/octo/hello\n1234\n/home/app")
	same(t, "environment", sh(t, s, "echo $OF_IMAGE $OF_RUNNER $OF_JOB $OF_OPTIONS"), "yes 1 2 3")
	same(t, "host name", sh(t, s, "hostname"), "box")
	same(t, "hosts", sh(t, s, "grep -c 10.9.8.7 /etc/hosts"), "1")
	same(t, "open files", sh(t, s, "ulimit -n"), "99")
	same(t, "memory", sh(t, s, "cat /sys/fs/cgroup/memory.max 2> /dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"), "268435456")
	contains(t, "mounts", sh(t, s, "cat /proc/mounts"), " /fast tmpfs", " /.otelrunner ")
	if out, _ := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "echo x > /.otelrunner/helper"}}); out.ExitCode == 0 {
		t.Error("a step can write the helper")
	}
	contains(t, "log", log.String(), "--memory 1 GiB is more than this runner allows: it is 256 MiB")
	info := s.Info()
	contains(t, "details", strings.Join(info.Details, "\n"), image[:10], "uid 1234", "1.5 CPUs, 256 MiB of memory, 200 processes")
	same(t, "network", info.JobContainer.Network, "otelrunner-"+spec.ID)
	if left := l.things(t, "otelrunner.task=7"); len(left) < 3 {
		t.Errorf("labelled with the task are only %v", left)
	}
	found, err := l.engine.ContainerInspect(t.Context(), info.JobContainer.ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(found.Raw), "OF_JOB") {
		t.Error("the engine shows the job's variables")
	}
}

func TestNoNetwork(t *testing.T) {
	p := engine(t).provider(t, container.Options{})
	spec := newSpec()
	spec.Container = &sandbox.Container{Options: "--network none"}
	s := open(t, p, spec)
	same(t, "interfaces", sh(t, s, "ls /sys/class/net"), "lo")
	spec = newSpec()
	spec.Container = &sandbox.Container{Options: "--network none"}
	spec.Services = []sandbox.Service{{Name: "db", Container: sandbox.Container{Image: busybox}}}
	contains(t, "error", refused(t, p, spec), "no network")
}

// TestScratch: an image that holds one program and nothing else.
func TestScratch(t *testing.T) {
	l := engine(t)
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("otelrunner-test-scratch:%d", os.Getpid())
	if err := l.importFiles(t.Context(), name, map[string]string{"echo": string(program)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = l.engine.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true})
	})
	spec := newSpec()
	spec.Image = name
	s := open(t, l.provider(t, container.Options{}), spec)
	var out bytes.Buffer
	if res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"/echo", "hi"}, Stdout: &out}); err != nil || res.ExitCode != 0 || out.String() != "hi\n" {
		t.Errorf("%+v, %v, %q", res, err, out.String())
	}
	_, err = s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "true"}})
	if _, ok := errors.AsType[*sandbox.NotFoundError](err); !ok {
		t.Errorf("a shell that is not there: %v", err)
	}
}

func TestServices(t *testing.T) {
	l := engine(t)
	web := l.image(t, map[string]string{"www/index.html": "it works\n"}, `CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]`)
	p := l.provider(t, container.Options{})
	spec := newSpec()
	var log lines
	spec.Log = log.log
	spec.Services = []sandbox.Service{
		{Name: "web", Container: sandbox.Container{Image: web, Ports: []string{"8080"},
			Options: "--health-cmd 'wget -q -O /dev/null http://127.0.0.1:8080/' --health-interval 200ms --health-retries 50 --network-alias www"}},
		{Name: "plain", Container: sandbox.Container{Image: web, Env: map[string]string{"A": "b"}}},
		{Name: "command", Container: sandbox.Container{Image: web, Command: []string{"httpd", "-f", "-p", "8080", "-h", "/www"}, Options: "--entrypoint /bin/false",
			Entrypoint: []string{"busybox"}}},
		{Name: "left-out"},
	}
	s := open(t, p, spec)
	contains(t, "log", log.String(), "Service web is healthy")
	for _, name := range []string{"web", "www", "plain", "command"} {
		same(t, name, sh(t, s, "for i in 1 2 3 4 5; do wget -q -O - http://"+name+":8080/ && exit; sleep 0.2; done"), "it works")
	}
	port := s.Info().ServiceInfo["web"].Ports["8080"]
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 5*time.Second)
	if err != nil {
		t.Fatalf("the published port: %v", err)
	}
	_ = conn.Close()
	if _, ok := s.Info().ServiceInfo["left-out"]; ok {
		t.Error("a service without an image runs")
	}
}

func TestServicesThatFail(t *testing.T) {
	l := engine(t)
	bad := l.image(t, nil, `CMD ["sh", "-c", "echo cannot find my data; sleep 60"]`)
	p := l.provider(t, container.Options{HealthTimeout: 3 * time.Second})
	for name, c := range map[string]struct {
		container sandbox.Container
		parts     []string
	}{
		"unhealthy": {sandbox.Container{Image: bad, Options: "--health-cmd 'echo no; exit 1' --health-interval 100ms --health-retries 2"},
			[]string{"service db is unhealthy", "no", "cannot find my data"}},
		"dies": {sandbox.Container{Image: bad, Options: "--health-cmd true --health-interval 5s --entrypoint /bin/false"},
			[]string{"service db ended with exit code 1 before it was healthy"}},
		"never": {sandbox.Container{Image: bad, Options: "--health-cmd 'exit 1' --health-interval 50ms --health-retries 1000"},
			[]string{"service db has not become healthy within 3s", "cannot find my data"}},
		"privileged": {sandbox.Container{Image: bad, Options: "--privileged"}, []string{"service db", "--privileged"}},
		"no image":   {sandbox.Container{Image: "otelrunner-test-none:1"}, []string{"service db", "otelrunner-test-none:1 is not on this machine"}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := newSpec()
			spec.Services = []sandbox.Service{{Name: "db", Container: c.container}}
			contains(t, "error", refused(t, p, spec), c.parts...)
			l.nothingLeft(t, "otelrunner.job="+spec.ID)
		})
	}
}

func TestEngineAway(t *testing.T) {
	p, err := container.New(container.Options{Host: "unix:///nowhere/docker.sock", Timeout: 1200 * time.Millisecond,
		Helper: func(string) ([]byte, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	spec := newSpec()
	spec.Log = log.log
	contains(t, "error", refused(t, p, spec), "unix:///nowhere/docker.sock has not answered for 1.2s", "container.docker_host")
	contains(t, "log", log.String(), "waiting up to 1.2s")
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestImages(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{})
	for image, part := range map[string]string{
		"otelrunner-test-none:1": "is not on this machine, and container.pull is never",
		"../containers/json":     "is not the name of an image",
		"UPPER":                  "is not the name of an image",
		"":                       "names no image",
	} {
		spec := newSpec()
		spec.Image = image
		contains(t, image, refused(t, p, spec), part)
	}
}

// TestEndsFromOutside: what happens to a container behind the runner's back.
func TestEndsFromOutside(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{Memory: "64m"})
	for _, c := range []struct {
		name  string
		act   func(id string) error
		parts string
	}{
		{"killed", func(id string) error {
			_, err := l.engine.ContainerKill(context.Background(), id, client.ContainerKillOptions{Signal: "KILL"})
			return err
		}, "the job's container was killed (SIGKILL)"},
		{"removed", func(id string) error {
			_, err := l.engine.ContainerRemove(context.Background(), id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			return err
		}, "the job's container was"},
		{"stopped", func(id string) error {
			_, err := l.engine.ContainerKill(context.Background(), id, client.ContainerKillOptions{Signal: "TERM"})
			return err
		}, "first process of the job's container was told to end while the job ran: was the container engine stopped"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, p, newSpec())
			time.AfterFunc(300*time.Millisecond, func() {
				if err := c.act(s.Info().JobContainer.ID); err != nil {
					t.Error(err)
				}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			_, err := s.Run(ctx, &sandbox.Command{Args: []string{"sleep", "60"}})
			if err == nil || ctx.Err() != nil {
				t.Fatalf("Run: %v", err)
			}
			t.Log(err)
			contains(t, "error", err.Error(), c.parts)
		})
	}
}

func TestRunContainer(t *testing.T) {
	l := engine(t)
	image := l.image(t, nil, `ENTRYPOINT ["sh", "-c", "echo \"$0 $1 $OF_IMAGE $IN\"; pwd; cat /github/workspace/made; echo out=1 >> $OUT; exit 3"]`, `CMD ["zero", "one"]`)
	p := l.provider(t, container.Options{})
	spec := newSpec()
	var log lines
	spec.Log = log.log
	s := open(t, p, spec)
	sh(t, s, "echo from the job > made")
	runner := s.(sandbox.ContainerRunner)
	file := s.Info().Temp + "/output"
	command := func(out *bytes.Buffer, args ...string) sandbox.Command {
		return sandbox.Command{Args: args, Env: map[string]string{"IN": "put", "OUT": file}, Stdout: out, Stderr: out,
			Files: []sandbox.File{{Path: file}}, Collect: []string{file}, Remove: []string{file}}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "zero one yes put\n/workspace/octo/hello\nfrom the job\n"},
		{[]string{"a", "b c"}, "a b c yes put\n/workspace/octo/hello\nfrom the job\n"},
	} {
		var out bytes.Buffer
		res, err := runner.RunContainer(t.Context(), &sandbox.ContainerCommand{Image: image, Command: command(&out, c.args...)})
		if err != nil || res.ExitCode != 3 {
			t.Fatalf("%+v, %v\n%s", res, err, out.String())
		}
		same(t, "output", out.String(), c.want)
		same(t, "collected", string(res.Collected[file]), "out=1\n")
	}
	t.Run("entrypoint", func(t *testing.T) {
		var out bytes.Buffer
		res, err := runner.RunContainer(t.Context(), &sandbox.ContainerCommand{Image: image, Entrypoint: []string{"echo", "instead"}, Command: command(&out, "x")})
		if err != nil || res.ExitCode != 0 {
			t.Fatal(res, err)
		}
		same(t, "output", out.String(), "instead x\n")
	})
	t.Run("dockerfile", func(t *testing.T) {
		build := &sandbox.Build{Dockerfile: "docker/Dockerfile", Context: fstest.MapFS{
			"docker/Dockerfile": {Data: []byte("FROM " + busybox + "\nCOPY main.sh /main.sh\nRUN echo built > /built\nENTRYPOINT [\"/main.sh\"]\n")},
			"main.sh":           {Data: []byte("#!/bin/sh\ncat /built\necho \"$@\"\ntouch by-action\n"), Mode: fs.FileMode(0o755)},
		}}
		for range 2 {
			var out bytes.Buffer
			name, err := runner.PrepareImage(t.Context(), sandbox.ImageSource{Build: build}, log.log)
			if err != nil {
				t.Fatal(err, log.String())
			}
			res, err := runner.RunContainer(t.Context(), &sandbox.ContainerCommand{Image: name, Command: command(&out, "x")})
			if err != nil || res.ExitCode != 0 {
				t.Fatal(res, err, log.String(), out.String())
			}
			same(t, "output", out.String(), "built\nx\n")
		}
		same(t, "files", sh(t, s, "ls"), "by-action\nmade")
		if n := strings.Count(log.String(), "Building the action's image"); n != 1 {
			t.Errorf("built %d times", n)
		}
	})
	t.Run("dockerfile of the workspace", func(t *testing.T) {
		sh(t, s, "mkdir -p act/ion; echo hello > act/ion/data; ln -s data act/ion/link; mkfifo act/ion/pipe; printf 'FROM "+busybox+"\nCOPY . /it\nENTRYPOINT [\"cat\", \"/it/link\"]\n' > act/ion/Dockerfile")
		source := sandbox.ImageSource{Build: &sandbox.Build{Dir: "act/ion", Dockerfile: "Dockerfile"}}
		first, err := runner.PrepareImage(t.Context(), source, log.log)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if res, err := runner.RunContainer(t.Context(), &sandbox.ContainerCommand{Image: first, Command: sandbox.Command{Stdout: &out}}); err != nil || res.ExitCode != 0 {
			t.Fatal(res, err)
		}
		same(t, "output", out.String(), "hello\n")
		sh(t, s, "touch act/ion/data")
		if again, err := runner.PrepareImage(t.Context(), source, log.log); err != nil || again != first {
			t.Errorf("the same files: %s and %s, %v", first, again, err)
		}
		sh(t, s, "echo other > act/ion/data")
		if again, err := runner.PrepareImage(t.Context(), source, log.log); err != nil || again == first {
			t.Errorf("other files: %s and %s, %v", first, again, err)
		}
		source.Build.Dir = "not/here"
		if _, err := runner.PrepareImage(t.Context(), source, log.log); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a folder that is not there: %v", err)
		}
		sh(t, s, "rm -r act")
	})
	t.Run("dockerfile that fails", func(t *testing.T) {
		_, err := runner.PrepareImage(t.Context(), sandbox.ImageSource{Build: &sandbox.Build{Dockerfile: "Dockerfile",
			Context: fstest.MapFS{"Dockerfile": {Data: []byte("FROM " + busybox + "\nRUN echo going down; exit 7\n")}}}}, log.log)
		if err == nil {
			t.Fatal("it runs")
		}
		contains(t, "error", err.Error(), "build the action's image", "7")
		contains(t, "log", log.String(), "going down")
	})
	t.Cleanup(func() {
		images, err := l.engine.ImageList(context.Background(), client.ImageListOptions{Filters: client.Filters{}.Add("label", "otelrunner.action")})
		if err != nil {
			t.Error(err)
		}
		for _, i := range images.Items {
			_, _ = l.engine.ImageRemove(context.Background(), i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		}
	})
}

func TestBind(t *testing.T) {
	l := engine(t)
	image := l.image(t, nil, "USER app")
	parent := t.TempDir()
	p := l.provider(t, container.Options{BindWorkdir: true, WorkdirParent: parent})
	spec := newSpec()
	spec.Image = image
	s, err := p.Open(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	sh(t, s, "echo here > file; mkdir -p deep/er; chmod 0 deep")
	files, err := filepath.Glob(filepath.Join(parent, "otelrunner-*-"+spec.ID, "octo", "hello", "file"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the workspace's file is at %v, %v", files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil || string(data) != "here\n" {
		t.Errorf("%q, %v", data, err)
	}
	closeBox(t, s)
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// ready waits until a container is kept ready.
func ready(t *testing.T, p *container.Provider) {
	t.Helper()
	oteltest.Eventually(t, "a container that is ready", func() error {
		if n := p.Warmed(busybox); n != 1 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
}

func TestStandby(t *testing.T) {
	l := engine(t)
	web := l.image(t, map[string]string{"www/index.html": "it works\n"}, `CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]`)
	p := l.provider(t, container.Options{Standby: 1})
	p.Warm(busybox)
	ready(t, p)
	spec := newSpec()
	spec.Env = map[string]string{"A": "b"}
	spec.Services = []sandbox.Service{{Name: "web", Container: sandbox.Container{Image: web}}}
	s := open(t, p, spec)
	contains(t, "network", s.Info().JobContainer.Network, "standby")
	same(t, "workspace", sh(t, s, "pwd; echo $A; ls -A; touch x"), "/workspace/octo/hello\nb")
	same(t, "service", sh(t, s, "for i in 1 2 3 4 5; do wget -q -O - http://web:8080/ && exit; sleep 0.2; done"), "it works")
	ready(t, p)
	if n, err := p.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("the sweep removed %d living things, %v", n, err)
	}
	same(t, "after the sweep", sh(t, s, "echo alive"), "alive")
	other := newSpec()
	other.Container = &sandbox.Container{Options: "--cpus 0.5"}
	if n := open(t, p, other).Info().JobContainer.Network; strings.Contains(n, "standby") {
		t.Error("a job with options took a container that was kept ready")
	}
}

// TestCancelledOpen: what was made before a cancel is gone.
func TestCancelledOpen(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{})
	for _, after := range []time.Duration{1, 30 * time.Millisecond, 120 * time.Millisecond, 300 * time.Millisecond} {
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(after, func() { cancel(stop) })
		spec := newSpec()
		s, err := p.Open(ctx, spec)
		if err == nil {
			closeBox(t, s)
		} else if !errors.Is(err, stop) {
			t.Errorf("cancelled after %v: %v", after, err)
		}
		cancel(nil)
		l.nothingLeft(t, "otelrunner.job="+spec.ID)
	}
}
