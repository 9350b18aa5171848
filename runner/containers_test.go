package runner

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/job/jobtest"
	"otelrunner/runner/label"
	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
)

// engineOf serves an engine's API on a socket.
func engineOf(t *testing.T, handler http.HandlerFunc) (host string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skipf("SKIP a socket: %v", err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // until Close
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return "unix://" + socket
}

// TestLeftoverThatResists: one container that cannot be removed does not make a
// runner unready whose engine answers.
func TestLeftoverThatResists(t *testing.T) {
	host := engineOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Api-Version", "1.41")
		switch {
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"message": "device or resource busy"}`)
		case strings.HasSuffix(r.URL.Path, "/version"):
			_, _ = io.WriteString(w, `{"ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"}`)
		case strings.HasSuffix(r.URL.Path, "/containers/json"):
			_, _ = io.WriteString(w, `[{"Id": "c1", "Labels": {"otelrunner.runner": "r", "otelrunner.process": "dead"}}]`)
		case strings.HasSuffix(r.URL.Path, "/networks"):
			_, _ = io.WriteString(w, `[]`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	})
	var log strings.Builder
	cfg := config.Default()
	cfg.Container.DockerHost = host
	labels, err := label.ParseList([]string{"box:docker://box:1"})
	if err != nil {
		t.Fatal(err)
	}
	c := newContainers(&cfg, "r", labels, slog.New(slog.NewTextHandler(&log, nil)))
	if err := c.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.swept:
	case <-time.After(time.Minute):
		t.Error("the sweep does not end")
	}
	c.close()
	if away := c.away(); away != "" {
		t.Errorf("the runner is not ready: %s", away)
	}
	if !strings.Contains(log.String(), "device or resource busy") {
		t.Errorf("the log does not say what resists: %s", log.String())
	}
}

// TestContainersOfHostJobs: a runner of host labels asks no engine for anything
// before a job needs a container, and then looks after what it makes there; an engine
// that does not answer is not looked for again.
func TestContainersOfHostJobs(t *testing.T) {
	var asked atomic.Int64
	engine := engineOf(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Api-Version", "1.41")
		switch {
		case strings.HasSuffix(r.URL.Path, "/version"):
			_, _ = io.WriteString(w, `{"ApiVersion": "1.41", "Os": "linux", "Arch": "amd64"}`)
		case strings.HasSuffix(r.URL.Path, "/containers/json"), strings.HasSuffix(r.URL.Path, "/networks"), strings.HasSuffix(r.URL.Path, "/images/json"):
			_, _ = io.WriteString(w, `[]`)
		default:
			_, _ = io.WriteString(w, `{}`)
		}
	})
	labels, err := label.ParseList([]string{"linux:host"})
	if err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, address string, change func(*config.Config)) (c *containers, used int, err error) {
		cfg := config.Default()
		cfg.Container.DockerHost, cfg.Container.DockerTimeout = address, 0
		if change != nil {
			change(&cfg)
		}
		c = newContainers(&cfg, "r", labels, slog.New(slog.NewTextHandler(t.Output(), nil)))
		c.used = func() { used++ }
		t.Cleanup(c.close)
		if err := c.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.empty(t.Context(), t.TempDir()); err != nil {
			t.Errorf("empty, of a runner that has used no engine: %v", err)
		}
		if away := c.look(t.Context()); away != "" || asked.Load() > 0 {
			t.Errorf("before it is needed the engine was asked %d times, and is away: %q", asked.Load(), away)
		}
		hosts, err := host.New(t.Context(), host.Options{Root: t.TempDir(), Empty: c.empty})
		if err != nil {
			t.Fatal(err)
		}
		spec := sandbox.Spec{ID: "task-1", Repository: "octo/demo", Log: func(string) {}}
		s, err := hosts.Open(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		h, err := c.OpenContainers(t.Context(), s, spec)
		if err == nil {
			err = h.Close(t.Context())
		}
		if cerr := s.Close(t.Context()); cerr != nil {
			t.Error(cerr)
		}
		return c, used, err
	}
	t.Run("away", func(t *testing.T) {
		c, used, err := open(t, "unix:///nowhere/docker.sock", nil)
		if err == nil || used != 0 || c.stop != nil {
			t.Errorf("used %d times, looked for: %v; %v", used, c.stop != nil, err)
		}
	})
	t.Run("there", func(t *testing.T) {
		c, used, err := open(t, engine, nil)
		if err != nil || used != 1 || c.stop == nil || asked.Load() == 0 {
			t.Errorf("used %d times, looked after: %v, asked %d times; %v", used, c.stop != nil, asked.Load(), err)
		}
	})
	t.Run("wasm-only", func(t *testing.T) {
		asked.Store(0)
		_, used, err := open(t, engine, func(cfg *config.Config) { cfg.Sandbox.Mode = config.WASMOnly })
		if !errors.Is(err, sandbox.ErrUnsupported) || used != 0 || asked.Load() != 0 {
			t.Errorf("used %d times, asked %d times; %v", used, asked.Load(), err)
		}
	})
}

// TestDockerActionsForbidden: host.docker_actions keeps the runner from asking an
// engine for a host job.
func TestDockerActionsForbidden(t *testing.T) {
	c := &jobtest.Case{
		Name:     "forbidden",
		Workflow: "on: push\njobs: {t: {runs-on: host, steps: [{uses: 'docker://alpine:3'}, {if: failure(), run: echo after}]}}\n",
		Want: jobtest.Want{Result: "failure", Steps: []string{"failure", "success"}, Log: []string{
			"~^##\\[error\\]The action docker://alpine:3 runs in a container, and this runner's operator does not let steps of host jobs start any \\(host.docker_actions is false\\)", "after",
		}},
	}
	cfg := suiteConfig(t, t.TempDir())
	cfg.Host.DockerActions = false
	r := newRecorders(c)
	result, err := Exec(t.Context(), execOptions(t, c, cfg, r, nil))
	checkWorkflow(t, c, result, err, r.outcomes(t))
}
