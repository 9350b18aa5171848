package main_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
	"otelrunner/runner/task"
)

// crashImage is a shell and nothing else.
const crashImage = "otelrunner-test-crash:1"

// docker runs the engine's own command.
func docker(t *testing.T, stdin []byte, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// shellImage makes crashImage of this machine's busybox. A machine without an engine, or
// without busybox, skips, unless CI says that it has both.
func shellImage(t *testing.T) {
	t.Helper()
	if why := makeShellImage(t); why != "" {
		t.Skip("SKIP containers: " + why)
	}
}

// makeShellImage makes crashImage, or says why there is none.
func makeShellImage(t *testing.T) (why string) {
	t.Helper()
	defer func() {
		if why != "" && os.Getenv("OTELRUNNER_TEST_DOCKER") != "" {
			t.Fatal(why)
		}
	}()
	if out, err := docker(t, nil, "version"); err != nil {
		return fmt.Sprintf("no container engine: %s%v", out, err)
	}
	if _, err := docker(t, nil, "image", "inspect", crashImage); err == nil {
		return ""
	}
	if _, err := os.Stat(busybox); err != nil {
		return fmt.Sprintf("there is no busybox to make an image of: %v", err)
	}
	if out, err := docker(t, shellLayer(t, nil), "import", "-c", "CMD sleep 1000000", "-", crashImage); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return ""
}

// busybox is what images are made of.
const busybox = "/bin/busybox"

// shellLayer is a tar of this machine's busybox under its names, and more files.
func shellLayer(t *testing.T, more map[string]string) []byte {
	t.Helper()
	program, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	add := func(h *tar.Header, data []byte) {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(program))}, program)
	for _, name := range []string{"sh", "sleep", "echo", "touch", "cat", "mkdir", "rm"} {
		add(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	add(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	for name, text := range more {
		add(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}, []byte(text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return layer.Bytes()
}

// withDocker lets the rig's runner find the machine's engine.
func (r *rig) withDocker() {
	for i, v := range r.env {
		if strings.HasPrefix(v, "OTELRUNNER_CONTAINER_DOCKER_HOST=") {
			r.env[i] = "OTELRUNNER_CONTAINER_DOCKER_HOST="
		}
	}
	r.env = append(r.env, "OTELRUNNER_CONTAINER_DOCKER_TIMEOUT=10s", "DOCKER_HOST="+os.Getenv("DOCKER_HOST"))
}

// dockerRig is a registered rig with the label box, whose jobs run in containers of
// crashImage.
func dockerRig(t *testing.T) *rig {
	t.Helper()
	return labelledRig(t, "box:docker://"+crashImage)
}

// labelledRig is a registered rig with a label, that may use the engine.
func labelledRig(t *testing.T, label string) *rig {
	t.Helper()
	shellImage(t)
	// Of a number of its own: tests share the engine, and runners of one uuid would
	// sweep what the other has there.
	r := newRig(t).withServer(giteatest.Options{Seed: uint64(time.Now().UnixNano())})
	r.register("--labels", label)
	r.withDocker()
	r.env = append(r.env, "OTELRUNNER_CONTAINER_PULL=never")
	return r
}

// onEngine is what the rig's runner has on the engine.
func (r *rig) onEngine() (all string) {
	r.t.Helper()
	for _, args := range [][]string{{"ps", "-aq"}, {"network", "ls", "-q"}, {"volume", "ls", "-q"}} {
		out, err := docker(r.t, nil, append(args, "--filter", "label=otelrunner.runner="+r.server.Runners()[0].UUID)...)
		if err != nil {
			r.t.Fatalf("%v: %s", err, out)
		}
		if out != "" {
			all += args[0] + ": " + strings.ReplaceAll(out, "\n", " ") + "; "
		}
	}
	return all
}

// A runner that is killed in a container job with a service: nothing of it is left
// on the engine a minute after the next start, and the job is reported.
func TestKilledInAContainerJob(t *testing.T) {
	t.Parallel()
	onLinux(t)
	r := dockerRig(t)
	id := r.server.AddWorkflow(`
on: push
jobs:
  build:
    runs-on: box
    services: {db: {image: `+crashImage+`}}
    steps:
      - run: echo begun && sleep 1000
        shell: sh
`, giteatest.TaskOptions{})
	p := r.start("serve")
	if err := r.server.Wait(within(t, time.Minute), func() bool { return strings.Contains(r.server.Log(id), "\nbegun\n") }); err != nil {
		t.Fatalf("%v\n%s\n%s", err, r.server.Log(id), p.stderr.String())
	}
	before := r.onEngine()
	if !strings.Contains(before, "ps: ") || !strings.Contains(before, "network: ") {
		t.Fatalf("the job has %q", before)
	}
	p.kill()
	began := time.Now()
	p = r.start("serve")
	done, err := r.server.WaitResult(within(t, time.Minute), id)
	if err != nil || done.Result != task.Failure {
		t.Fatalf("%s, %v\n%s", done.Result, err, p.stderr.String())
	}
	contains(t, "the job's log", r.server.Log(id), "\nbegun\n", "The runner died in the middle of this job", "What the job had left on the runner's machine is removed.")
	// The new runner keeps a network of its own ready.
	there := r.onEngine()
	if kept := strings.Fields(there); there != "" && (len(kept) != 2 || kept[0] != "network:" || strings.Contains(before, strings.TrimSuffix(kept[1], ";"))) {
		t.Errorf("%s after the start, there is %s; before it, there was %s", time.Since(began), there, before)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	if there := r.onEngine(); there != "" {
		t.Errorf("after a runner that ended in order, there is %s", there)
	}
	if journals, _ := filepath.Glob(filepath.Join(r.dir, ".runner.journal", "task-*")); len(journals) > 0 {
		t.Errorf("journals %v are left", journals)
	}
}

// A runner of host labels that is killed while a Docker action of a host job runs: the
// next start, which has no need of an engine itself, leaves nothing of it there.
func TestKilledInADockerActionOfAHostJob(t *testing.T) {
	t.Parallel()
	onLinux(t)
	r := labelledRig(t, "linux:host")
	id := r.server.AddWorkflow(`
on: push
jobs:
  build:
    runs-on: linux
    steps:
      - uses: docker://`+crashImage+`
        with: {entrypoint: sh, args: '-c "mkdir made; echo begun; sleep 1000"'}
`, giteatest.TaskOptions{})
	p := r.start("serve")
	if err := r.server.Wait(within(t, time.Minute), func() bool { return strings.Contains(r.server.Log(id), "\nbegun\n") }); err != nil {
		t.Fatalf("%v\n%s\n%s", err, r.server.Log(id), p.stderr.String())
	}
	if before := r.onEngine(); !strings.Contains(before, "ps: ") || !strings.Contains(before, "network: ") {
		t.Fatalf("the job has %q", before)
	}
	p.kill()
	p = r.start("serve")
	done, err := r.server.WaitResult(within(t, time.Minute), id)
	if err != nil || done.Result != task.Failure {
		t.Fatalf("%s, %v\n%s", done.Result, err, p.stderr.String())
	}
	contains(t, "the job's log", r.server.Log(id), "\nbegun\n", "The runner died in the middle of this job", "What the job had left on the runner's machine is removed.")
	if there := r.onEngine(); there != "" {
		t.Errorf("after the next start, there is %s", there)
	}
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
}
