package container_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/registry"
	"github.com/moby/moby/client"
	"golang.org/x/crypto/bcrypt"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/container/enginetest"
)

func TestMemoryLimit(t *testing.T) {
	p := engine(t).provider(t, container.Options{Memory: "64m"})
	s := open(t, p, newSpec())
	for range 2 {
		res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "head -c 200000000 /dev/zero | tail"}})
		limit, ok := errors.AsType[*sandbox.LimitError](err)
		if !ok {
			t.Fatalf("%+v, %v", res, err)
		}
		same(t, "limit", limit.Limit, "memory")
		contains(t, "error", limit.Text, "memory limit of 64 MiB reached")
		if res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "exit 5"}}); err != nil || res.ExitCode != 5 {
			t.Errorf("the next step: %+v, %v", res, err)
		}
		// A step that lives with it: the failure after it is none of the limit's.
		if res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "head -c 200000000 /dev/zero | tail || true"}}); err != nil || res.ExitCode != 0 {
			t.Errorf("a step that does not mind: %+v, %v", res, err)
		}
		if res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "exit 6"}}); err != nil || res.ExitCode != 6 {
			t.Errorf("the step after it: %+v, %v", res, err)
		}
	}
}

// TestEngineGoes: the engine goes away in the middle of a job, and comes back.
func TestEngineGoes(t *testing.T) {
	l := engine(t)
	x := enginetest.New(t)
	p := l.provider(t, container.Options{Host: x.Host(), Timeout: time.Second})
	s, err := p.Open(t.Context(), newSpec())
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(200*time.Millisecond, x.Cut)
	start := time.Now()
	_, err = s.Run(t.Context(), &sandbox.Command{Args: []string{"sleep", "60"}})
	if err == nil || time.Since(start) > 10*time.Second {
		t.Fatalf("%v after %v", err, time.Since(start))
	}
	contains(t, "error", err.Error(), "the container engine at unix://", "went away while the job ran")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := s.Close(ctx); err == nil {
		t.Error("Close says nothing")
	}
	contains(t, "next job", refused(t, p, newSpec()), "has not answered for 1s")
	x.Listen(t)
	again := open(t, p, newSpec())
	same(t, "after it came back", sh(t, again, "echo fine"), "fine")
	if _, err := p.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	l.nothingLeft(t, "otelrunner.job="+strings.TrimPrefix(s.Info().JobContainer.Network, "otelrunner-"))
	same(t, "after the sweep", sh(t, again, "echo fine"), "fine")
}

// TestHelperVolumeGone: somebody prunes volumes between jobs, of which several start
// at once then: each of them brings back the volume, empty.
func TestHelperVolumeGone(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{Helper: func(string) ([]byte, error) {
		return append(bytes.Clone(l.helper), "of this test"...), nil // a volume of its own
	}})
	s, err := p.Open(t.Context(), newSpec())
	if err != nil {
		t.Fatal(err)
	}
	volume := helperVolumeOf(t, l, s)
	closeBox(t, s)
	for _, jobs := range []int{1, 4, 4, 0} {
		if _, err := l.engine.VolumeRemove(t.Context(), volume, client.VolumeRemoveOptions{}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range jobs {
			wg.Go(func() {
				s, err := p.Open(t.Context(), newSpec())
				if err != nil {
					t.Errorf("one of %d jobs: %v", jobs, err)
					return
				}
				closeBox(t, s)
			})
		}
		wg.Wait()
	}
}

// helperVolumeOf is the volume that a job's container has the helper from.
func helperVolumeOf(t *testing.T, l *laboratory, s sandbox.Sandbox) string {
	t.Helper()
	found, err := l.engine.ContainerInspect(t.Context(), s.Info().JobContainer.ID, client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range found.Container.Mounts {
		if strings.HasPrefix(m.Name, "otelrunner-helper-") {
			return m.Name
		}
	}
	t.Fatalf("the container has no helper: %+v", found.Container.Mounts)
	return ""
}

// TestHealthIsNoticed: within 200 ms of when the engine knew, for most of some
// services, since a busy machine may hold up one.
func TestHealthIsNoticed(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{})
	spec := newSpec()
	var mu sync.Mutex
	noticed := map[string]time.Time{}
	spec.Log = func(line string) {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(strings.SplitAfter(line, " is healthy")[0], "Service "), " is healthy"); ok {
			mu.Lock()
			defer mu.Unlock()
			noticed[name] = time.Now()
		}
	}
	for i := range 5 { // at different times
		spec.Services = append(spec.Services, sandbox.Service{Name: fmt.Sprintf("slow%d", i), Container: sandbox.Container{Image: busybox,
			Command: []string{"sh", "-c", fmt.Sprintf("sleep 1.%d; touch /ok; sleep 60", 3*i)},
			Options: "--health-cmd 'test -e /ok' --health-interval 50ms --health-retries 1000"}})
	}
	known := healthyAt(t, l, spec.ID, len(spec.Services))
	open(t, p, spec)
	var late []time.Duration
	for name, at := range known() {
		late = append(late, noticed[name].Sub(at))
	}
	slices.Sort(late)
	t.Logf("noticed after %v", late)
	if late[len(late)/2] > 200*time.Millisecond {
		t.Errorf("noticed %v after the engine knew, want within 200 ms", late)
	}
}

// healthyAt begins to listen, and returns what waits until n services of a job have
// become healthy and tells when, by the engine's clock, which is this machine's.
func healthyAt(t *testing.T, l *laboratory, job string, n int) func() map[string]time.Time {
	t.Helper()
	stream := l.engine.Events(t.Context(), client.EventsListOptions{Filters: client.Filters{}.
		Add("type", "container").Add("label", "otelrunner.job="+job).Add("event", "health_status")})
	return func() map[string]time.Time {
		t.Helper()
		known := map[string]time.Time{}
		for len(known) < n {
			select {
			case m := <-stream.Messages:
				if m.Action == events.ActionHealthStatusHealthy {
					known[strings.TrimPrefix(m.Actor.Attributes["name"], "otelrunner-"+job+"-")] = time.Unix(0, m.TimeNano)
				}
			case err := <-stream.Err:
				t.Fatal(err)
			case <-time.After(time.Minute):
				t.Fatalf("the engine knows only of %v", known)
			}
		}
		return known
	}
}

// hub is a registry on loopback with a password.
func hub(t *testing.T, l *laboratory) (address string) {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv(mustHaveDocker) != "" {
			t.Fatal("docker-registry is not installed")
		}
		t.Skip("SKIP private registry: docker-registry is not installed")
	}
	dir := t.TempDir()
	hash, err := bcrypt.GenerateFromPassword([]byte("let me in"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = free.Addr().String()
	_ = free.Close()
	config := fmt.Sprintf(`version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: %s/data}}
http: {addr: %q}
auth: {htpasswd: {realm: test, path: %s/htpasswd}}
`, dir, address, dir)
	for name, data := range map[string]string{"config.yml": config, "htpasswd": "octo:" + string(hash) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(program, "serve", filepath.Join(dir, "config.yml"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for range 200 {
		if res, err := http.Get("http://" + address + "/v2/"); err == nil {
			_ = res.Body.Close()
			return address
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("the registry does not answer: %s", log.String())
	return ""
}

// private pushes busybox to a registry that wants a password, and returns its name
// there and what takes it away from the engine.
func private(t *testing.T, l *laboratory, address string) (name string, forget func()) {
	t.Helper()
	name = address + "/octo/private:1"
	if _, err := l.engine.ImageTag(t.Context(), client.ImageTagOptions{Source: busybox, Target: name}); err != nil {
		t.Fatal(err)
	}
	forget = func() {
		_, _ = l.engine.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true})
	}
	t.Cleanup(forget)
	secret, _ := json.Marshal(registry.AuthConfig{Username: "octo", Password: "let me in"})
	pushed, err := l.engine.ImagePush(t.Context(), name, client.ImagePushOptions{RegistryAuth: base64.URLEncoding.EncodeToString(secret)})
	if err != nil {
		t.Fatal(err)
	}
	if err := pushed.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return name, forget
}

func TestPull(t *testing.T) {
	l := engine(t)
	address := hub(t, l)
	name, forget := private(t, l, address)
	config := filepath.Join(t.TempDir(), "config.json")
	auth := fmt.Sprintf(`{"auths": {"http://%s/v2/": {"auth": %q}}}`, address, base64.StdEncoding.EncodeToString([]byte("octo:let me in")))
	if err := os.WriteFile(config, []byte(auth), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		options   container.Options
		container sandbox.Container
		cached    bool
		fails     []string
	}{
		{name: "without credentials", options: container.Options{Pull: container.PullMissing}, fails: []string{"image " + name + " cannot be pulled from " + address + " without credentials"}},
		{name: "wrong credentials", options: container.Options{Pull: container.PullMissing}, container: sandbox.Container{Username: "octo", Password: "wrong"},
			fails: []string{"with the workflow's credentials (user octo)"}},
		{name: "the workflow's", options: container.Options{Pull: container.PullMissing}, container: sandbox.Container{Username: "octo", Password: "let me in"}},
		{name: "the operator's", options: container.Options{Pull: container.PullMissing, DockerConfig: config}},
		{name: "cached, if-not-present", options: container.Options{Pull: container.PullMissing}, cached: true},
		{name: "cached, never", options: container.Options{Pull: container.PullNever}, cached: true},
		{name: "never", options: container.Options{Pull: container.PullNever}, fails: []string{"container.pull is never"}},
		// The policy for private images: who cannot pull it does not get it.
		{name: "cached, always, without credentials", options: container.Options{Pull: container.PullAlways}, cached: true, fails: []string{"cannot be pulled"}},
		{name: "cached, always", options: container.Options{Pull: container.PullAlways, DockerConfig: config}, cached: true},
		{name: "unknown tag", options: container.Options{Pull: container.PullMissing, DockerConfig: config}, container: sandbox.Container{Image: address + "/octo/private:2"}, fails: []string{"cannot be pulled"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			forget()
			if c.cached {
				if _, err := l.engine.ImageTag(t.Context(), client.ImageTagOptions{Source: busybox, Target: name}); err != nil {
					t.Fatal(err)
				}
			}
			p := l.provider(t, c.options)
			spec := newSpec()
			spec.Image = name
			spec.Container = &c.container
			var log lines
			spec.Log = log.log
			if c.fails != nil {
				text := refused(t, p, spec)
				contains(t, "error", text, c.fails...)
				if strings.Contains(text, "let me in") || strings.Contains(text, "wrong") {
					t.Errorf("a password is in %q", text)
				}
				return
			}
			same(t, "output", sh(t, open(t, p, spec), "echo fine"), "fine")
			if pulled := strings.Contains(log.String(), "Pulled image"); pulled == (c.cached && c.options.Pull != container.PullAlways) {
				t.Errorf("pulled: %v\n%s", pulled, log.String())
			}
		})
	}
	t.Run("cached by digest, always, without credentials", func(t *testing.T) {
		forget()
		spec := newSpec()
		spec.Image = name
		same(t, "output", sh(t, open(t, l.provider(t, container.Options{Pull: container.PullMissing, DockerConfig: config}), spec), "echo fine"), "fine")
		found, err := l.engine.ImageInspect(t.Context(), name)
		if err != nil || len(found.RepoDigests) == 0 {
			t.Fatalf("%v, %v", found.RepoDigests, err)
		}
		// What is here by its digest needs no registry, unless rights are to be asked.
		spec = newSpec()
		spec.Image = found.RepoDigests[0]
		var log lines
		spec.Log = log.log
		same(t, "by digest", sh(t, open(t, l.provider(t, container.Options{Pull: container.PullMissing}), spec), "echo fine"), "fine")
		if strings.Contains(log.String(), "Pull") {
			t.Errorf("an image that is here is pulled: %s", log.String())
		}
		spec = newSpec()
		spec.Image = found.RepoDigests[0]
		contains(t, "error", refused(t, l.provider(t, container.Options{Pull: container.PullAlways}), spec), "cannot be pulled")
	})
}

// TestBuildFromPrivate: a Dockerfile is made FROM what the job's own credentials open,
// and who has others, or none, does not get what was built with them.
func TestBuildFromPrivate(t *testing.T) {
	l := engine(t)
	name, forget := private(t, l, hub(t, l))
	build := sandbox.ImageSource{Build: &sandbox.Build{Dockerfile: "Dockerfile", Context: fstest.MapFS{
		"Dockerfile": {Data: []byte("FROM " + name + "\nRUN echo " + fmt.Sprint(counter.Add(1)) + " > /it\n")}}}}
	p := l.provider(t, container.Options{Pull: container.PullMissing})
	box := func(user, password string) sandbox.ContainerRunner {
		spec := newSpec()
		spec.Container = &sandbox.Container{Image: name, Username: user, Password: password}
		return open(t, p, spec).(sandbox.ContainerRunner)
	}
	forget()
	mine := box("octo", "let me in")
	forget()
	built, err := mine.PrepareImage(t.Context(), build, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = l.engine.ImageRemove(context.Background(), built, client.ImageRemoveOptions{Force: true})
	})
	before, err := l.engine.ImageInspect(t.Context(), built)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := mine.PrepareImage(t.Context(), build, func(string) {}); err != nil || again != built {
		t.Errorf("built again: %s, %v", again, err)
	}
	after, err := l.engine.ImageInspect(t.Context(), built)
	if err != nil || !after.Metadata.LastTagTime.After(before.Metadata.LastTagTime) {
		t.Errorf("that it is used is not noted: %v, %v, %v", before.Metadata.LastTagTime, after.Metadata.LastTagTime, err)
	}
	others := box("", "")
	forget()
	if got, err := others.PrepareImage(t.Context(), build, func(string) {}); err == nil {
		t.Errorf("a job without credentials gets %s", got)
	}
}
