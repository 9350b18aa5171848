//go:build !windows

package main_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// engineAt is a container engine at a socket, which has nothing and can do nothing.
type engineAt struct {
	t      *testing.T
	socket string
	server *http.Server
	served sync.WaitGroup
}

func newEngineAt(t *testing.T, r *rig) *engineAt {
	t.Helper()
	dir, err := os.MkdirTemp("", "engine") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	e := &engineAt{t: t, socket: filepath.Join(dir, "s")}
	r.env = append(r.env, "OTELRUNNER_CONTAINER_DOCKER_HOST=unix://"+e.socket)
	t.Cleanup(e.stop)
	return e
}

func (e *engineAt) start() {
	e.t.Helper()
	listener, err := net.Listen("unix", e.socket)
	if err != nil {
		e.t.Fatal(err)
	}
	e.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		w.Header().Set("Content-Type", "application/json")
		_, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v1"), "/")
		answer, known := map[string]string{
			"_ping": "OK", "version": `{"Os":"linux","Arch":"amd64","ApiVersion":"1.44","MinAPIVersion":"1.24"}`,
			"containers/json": "[]", "networks": "[]", "volumes": `{"Volumes":[]}`,
		}[name]
		if !known {
			w.WriteHeader(http.StatusInternalServerError)
			answer = `{"message":"this engine can do nothing"}`
		}
		_, _ = w.Write([]byte(answer))
	})}
	e.served.Go(func() { _ = e.server.Serve(listener) })
}

func (e *engineAt) stop() {
	if e.server != nil {
		_ = e.server.Close()
		e.served.Wait()
		e.server = nil
	}
}

// labelled waits until the server knows exactly these labels.
func labelled(t *testing.T, r *rig, p *process, want ...string) {
	t.Helper()
	err := r.server.Wait(soon(t), func() bool { return slices.Equal(r.server.Runners()[0].Labels, want) })
	if err != nil {
		t.Fatalf("the server has the labels %v, want %v\n%s", r.server.Runners()[0].Labels, want, p.stderr.String())
	}
}

// done waits for the end of a job.
func done(t *testing.T, r *rig, p *process, id int64, want task.Result) {
	t.Helper()
	if got, err := r.server.WaitResult(soon(t), id); err != nil || got.Result != want {
		t.Fatalf("task %d: %s, %v; want %s\n%s\n%s", id, got.Result, err, want, r.server.Log(id), p.stderr.String())
	}
}

func runsOn(label string) string {
	return strings.Replace(passing, "runs-on: linux", "runs-on: "+label, 1)
}

// A runner that has other labels serves those while the container engine is away.
// Jobs of docker:// labels wait at the server until it is back, and are then taken at
// once, as they are when the engine goes away later.
func TestContainerEngineAway(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	engine := newEngineAt(t, r)
	r.register("--labels", "linux:host,box:docker://img:1")
	r.env = append(r.env, "OTELRUNNER_METRICS_ENABLED=true", "OTELRUNNER_METRICS_ADDR=127.0.0.1:0")
	r.write("c.yaml", "runner: {fetch_interval: 50s}\n")
	inBox := r.server.AddWorkflow(runsOn("box"), giteatest.TaskOptions{})
	onHost := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	p := r.start("serve", "-c", "c.yaml", "--log-format", "json")
	done(t, r, p, onHost, task.Success)
	labelled(t, r, p, "linux")
	if left, _ := r.server.Task(inBox); left.Runner != "" {
		t.Fatalf("a job of a docker:// label was taken: %s", r.server.Log(inBox))
	}
	p.says("the container engine is away: jobs of docker:// labels are not taken until it is back")
	ready := "http://" + p.address() + "/readyz"
	if status, body := fetch(t, ready); status != 503 || !strings.Contains(body, "containers: the container engine at unix://"+engine.socket+" does not answer: start it") {
		t.Errorf("/readyz: %d %s", status, body)
	}

	engine.start()
	done(t, r, p, inBox, task.Failure)
	contains(t, "the job's log", r.server.Log(inBox), "this engine can do nothing")
	labelled(t, r, p, "linux", "box")
	get(t, ready)

	engine.stop()
	r.write("c.yaml", "runner: {fetch_interval: 100ms}\n") // or it would ask in a minute
	p.signal(syscall.SIGHUP)
	labelled(t, r, p, "linux")
	inBox = r.server.AddWorkflow(runsOn("box"), giteatest.TaskOptions{})
	done(t, r, p, r.server.AddWorkflow(passing, giteatest.TaskOptions{}), task.Success)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if left, _ := r.server.Task(inBox); left.Runner != "" {
		t.Errorf("a job of a docker:// label was taken: %s", r.server.Log(inBox))
	}
}

// A runner of docker:// labels alone asks for nothing while the engine is away; a
// label of another kind, added by a reload, is served at once, and so is all when the
// engine is back.
func TestLabelAddedWhileTheContainerEngineIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	engine := newEngineAt(t, r)
	engine.start()
	r.register("--labels", "box:docker://img:1")
	r.write("c.yaml", "runner: {fetch_interval: 100ms, fetch_interval_max: 200ms}\n")
	p := r.start("serve", "-c", "c.yaml")
	if err := r.server.WaitCalls(soon(t), "FetchTask", 1); err != nil {
		t.Fatalf("%v\n%s", err, p.stderr.String())
	}
	engine.stop()
	p.says("no task is taken: the container engine at unix://")
	inBox := r.server.AddWorkflow(runsOn("box"), giteatest.TaskOptions{})
	onHost := r.server.AddWorkflow(passing, giteatest.TaskOptions{})
	r.write("c.yaml", "runner: {fetch_interval: 100ms, fetch_interval_max: 200ms, labels: ['box:docker://img:1', 'linux:host']}\n")
	p.signal(syscall.SIGHUP)
	done(t, r, p, onHost, task.Success)
	labelled(t, r, p, "linux")
	if left, _ := r.server.Task(inBox); left.Runner != "" {
		t.Fatalf("a job of a docker:// label was taken: %s", r.server.Log(inBox))
	}
	engine.start()
	done(t, r, p, inBox, task.Failure)
	labelled(t, r, p, "box", "linux")
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}

// What signals ask while the server is away at the start is not kept waiting by a
// reload that nobody takes yet.
func TestRequestsWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	r.register()
	r.server.SetDown(true)
	r.write("c.yaml", "")
	p := r.start("serve", "-c", "c.yaml")
	p.says("the server cannot be reached")
	for _, key := range []string{"v2", "host", "port"} {
		r.write("c.yaml", "cache: {"+key+": '1'}\n")
		p.signal(syscall.SIGHUP)
		p.says("cache." + key) // has no effect, which is a warning
	}
	p.signal(syscall.SIGUSR1)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}
