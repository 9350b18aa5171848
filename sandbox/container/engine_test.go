package container_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
	"otelrunner/sandbox/sandboxtest"
)

// mustHaveDocker in the environment makes a missing engine a failure.
const mustHaveDocker = "OTELRUNNER_TEST_DOCKER"

// busybox is the image that tests make FROM scratch.
const busybox = "otelrunner-test-busybox:2"

// lab is what all tests share: the engine, the images and the helper.
var lab = sync.OnceValues(func() (*laboratory, error) {
	l := &laboratory{}
	var err error
	if l.engine, err = client.New(client.FromEnv); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := l.engine.Ping(ctx, client.PingOptions{}); err != nil {
		return nil, err
	}
	if l.helper, err = buildHelper(ctx); err != nil {
		return nil, err
	}
	return l, l.importBusybox(ctx, busybox, nil)
})

type laboratory struct {
	engine *client.Client
	helper []byte
}

func buildHelper(ctx context.Context) ([]byte, error) {
	dir, err := os.MkdirTemp("", "helper-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "helper")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", file, "./helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the helper: %w\n%s", err, out)
	}
	return os.ReadFile(file)
}

// goProgram is a static program of one file of source, for Linux.
func goProgram(t *testing.T, source string, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "program"), filepath.Join(dir, "main.go"))
	build.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux"), env...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	return string(program)
}

// importBusybox makes an image of a static busybox and some files. Changes are
// instructions of a Dockerfile.
func (l *laboratory) importBusybox(ctx context.Context, name string, files map[string]string, changes ...string) error {
	if _, err := l.engine.ImageInspect(ctx, name); err == nil && files == nil && changes == nil {
		return nil
	}
	program, err := os.ReadFile("/bin/busybox")
	if err != nil {
		return fmt.Errorf("%w: install busybox-static", err)
	}
	list, err := exec.CommandContext(ctx, "/bin/busybox", "--list").Output()
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(h tar.Header, data string) {
		h.Size = int64(len(data))
		_ = w.WriteHeader(&h) // a Buffer takes everything
		_, _ = io.WriteString(w, data)
	}
	for _, dir := range []string{"bin", "etc", "root", "tmp", "home/app"} {
		add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, "")
	}
	add(tar.Header{Name: "bin/busybox", Mode: 0o755}, string(program))
	for _, tool := range strings.Fields(string(list)) {
		if tool != "busybox" {
			add(tar.Header{Name: "bin/" + tool, Typeflag: tar.TypeSymlink, Linkname: "busybox"}, "")
		}
	}
	add(tar.Header{Name: "etc/passwd", Mode: 0o644}, "root:x:0:0:root:/root:/bin/sh\napp:x:1234:2345:app:/home/app:/bin/sh\n")
	add(tar.Header{Name: "etc/group", Mode: 0o644}, "root:x:0:\napp:x:2345:\n")
	// Debian's has none.
	add(tar.Header{Name: "bin/nohup", Mode: 0o755}, "#!/bin/sh\ntrap '' HUP\nexec \"$@\"\n")
	for name, data := range files {
		add(tar.Header{Name: name, Mode: 0o755}, data)
	}
	if err := w.Close(); err != nil {
		return err
	}
	return l.importImage(ctx, name, &archive, append([]string{"ENV PATH=/bin", "ENV OF_IMAGE=yes"}, changes...))
}

// importFiles makes an image of files only.
func (l *laboratory) importFiles(ctx context.Context, name string, files map[string]string, changes ...string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for file, data := range files {
		_ = w.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(data))}) // a Buffer takes everything
		_, _ = io.WriteString(w, data)
	}
	if err := w.Close(); err != nil {
		return err
	}
	return l.importImage(ctx, name, &archive, changes)
}

func (l *laboratory) importImage(ctx context.Context, name string, archive io.Reader, changes []string) error {
	stream, err := l.engine.ImageImport(ctx, client.ImageImportSource{Source: archive, SourceName: "-"}, name, client.ImageImportOptions{Changes: changes})
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = io.Copy(io.Discard, stream)
	return err
}

// used says that there is something to clear.
var used atomic.Bool

// clear removes what all tests shared. What is in use, by another test program,
// stays.
func (l *laboratory) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	sum := sha256.Sum256(l.helper)
	_, _ = l.engine.VolumeRemove(ctx, "otelrunner-helper-"+hex.EncodeToString(sum[:8]), client.VolumeRemoveOptions{})
	_, _ = l.engine.ImageRemove(ctx, busybox, client.ImageRemoveOptions{PruneChildren: true})
}

// engine returns the laboratory, or skips.
func engine(t testing.TB) *laboratory {
	t.Helper()
	used.Store(true)
	l, err := lab()
	if err != nil {
		if os.Getenv(mustHaveDocker) != "" {
			t.Fatalf("no container engine to test with: %v", err)
		}
		t.Skipf("SKIP container sandbox: no container engine to test with: %v", err)
	}
	return l
}

// image makes an image for one test.
func (l *laboratory) image(t testing.TB, files map[string]string, changes ...string) string {
	t.Helper()
	name := fmt.Sprintf("otelrunner-test-%d:%d", os.Getpid(), counter.Add(1))
	if err := l.importBusybox(t.Context(), name, files, changes...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = l.engine.ImageRemove(context.Background(), name, client.ImageRemoveOptions{Force: true})
	})
	return name
}

var counter atomic.Int64

// provider makes a provider, which leaves nothing when the test ends.
func (l *laboratory) provider(t testing.TB, o container.Options) *container.Provider {
	t.Helper()
	if o.Helper == nil {
		o.Helper = func(string) ([]byte, error) { return l.helper, nil }
	}
	o.HelperArgs = []string{"__helper"}
	if o.Runner == "" {
		o.Runner = fmt.Sprintf("test-%d-%d", os.Getpid(), counter.Add(1))
	}
	if o.Pull == "" {
		o.Pull = container.PullNever
	}
	p, err := container.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("Close of the provider: %v", err)
		}
		l.nothingLeft(t, "otelrunner.runner="+o.Runner)
	})
	return p
}

// nothingLeft fails when something with a label is on the engine.
func (l *laboratory) nothingLeft(t testing.TB, label string) {
	t.Helper()
	if left := l.things(t, label); len(left) > 0 {
		t.Errorf("left on the engine: %v", left)
	}
}

// things are the containers, networks and volumes with a label.
func (l *laboratory) things(t testing.TB, label string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	filters := client.Filters{}.Add("label", label)
	var all []string
	containers, err := l.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		t.Error(err)
	}
	for _, c := range containers.Items {
		all = append(all, "container "+c.Names[0])
	}
	networks, err := l.engine.NetworkList(ctx, client.NetworkListOptions{Filters: filters})
	if err != nil {
		t.Error(err)
	}
	for _, n := range networks.Items {
		all = append(all, "network "+n.Name)
	}
	volumes, err := l.engine.VolumeList(ctx, client.VolumeListOptions{Filters: filters})
	if err != nil {
		t.Error(err)
	}
	for _, v := range volumes.Items {
		all = append(all, "volume "+v.Name)
	}
	return all
}

func TestSuite(t *testing.T) {
	l := engine(t)
	p := l.provider(t, container.Options{})
	sandboxtest.Run(t, sandboxtest.Harness{
		Provider: func(*testing.T) sandbox.Provider { return p },
		Spec:     sandbox.Spec{Image: busybox},
	})
}

// within makes an empty file in a container that is not the job's.
func within(t *testing.T, l *laboratory, id, file string) {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: strings.TrimPrefix(file, "/"), Mode: 0o644, Typeflag: tar.TypeReg}) // a Buffer takes everything
	_ = w.Close()
	if _, err := l.engine.CopyToContainer(t.Context(), id, client.CopyToContainerOptions{DestinationPath: "/", Content: &archive}); err != nil {
		t.Fatal(err)
	}
}

// writeSignal is closed by the first Write.
type writeSignal struct{ c chan struct{} }

func newSignal() *writeSignal { return &writeSignal{make(chan struct{})} }

func (s *writeSignal) Write(p []byte) (int, error) {
	select {
	case <-s.c:
	default:
		close(s.c)
	}
	return len(p), nil
}

func (s *writeSignal) wait(t *testing.T) {
	t.Helper()
	select {
	case <-s.c:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was written")
	}
}
