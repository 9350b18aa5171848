//go:build linux

package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/sandboxtest"
	"otelrunner/sandbox/stream"
)

// helper is the path of the program under test.
var helper string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "helper-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		helper = filepath.Join(dir, "helper")
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", helper, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the helper: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// start starts a helper: as the first process of a process namespace of its own,
// or as a child like any other.
type start struct {
	namespace bool
	without   string // capabilities to give up, in setpriv(1)'s form
	env       []string
	stderr    io.Writer
}

// namespaces skips a test where the helper cannot be a first process.
func namespaces(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 || exec.Command("unshare", "--fork", "--pid", "--mount-proc", "true").Run() != nil {
		t.Skip("SKIP first process: a process namespace needs root and unshare(1)")
	}
}

// process is a helper's process and its stream.
type process struct {
	io.ReadCloser
	io.WriteCloser
	cmd  *exec.Cmd
	once sync.Once
	err  error
}

func (p *process) Close() error {
	return errors.Join(p.WriteCloser.Close(), p.ReadCloser.Close())
}

// wait returns how the process ended, and kills it when it does not.
func (p *process) wait() error {
	p.once.Do(func() {
		late := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
		defer late.Stop()
		p.err = p.cmd.Wait()
	})
	return p.err
}

func (s start) process(t testing.TB) *process {
	t.Helper()
	args := []string{helper, "__helper"}
	if s.without != "" {
		args = append([]string{"setpriv", "--bounding-set", s.without, "--inh-caps", s.without, "--"}, args...)
	}
	if s.namespace {
		namespaces(t)
		args = append([]string{"unshare", "--fork", "--pid", "--mount-proc", "--kill-child"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = s.env
	if cmd.Env == nil {
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/root", "OF_IMAGE=yes"}
	}
	cmd.Stderr = os.Stderr
	if s.stderr != nil {
		cmd.Stderr = s.stderr
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	p := &process{ReadCloser: stdout, WriteCloser: stdin, cmd: cmd}
	t.Cleanup(func() {
		_ = p.Close()
		_ = p.wait()
	})
	return p
}

// box is a sandbox in a folder of this machine.
type box struct {
	*stream.Client
	process *process
	info    sandbox.Info
	folder  string
}

func (b *box) Info() sandbox.Info { return b.info }

func (b *box) Close(ctx context.Context) error {
	err := errors.Join(b.Shutdown(ctx), b.Client.Close(), b.process.wait())
	_ = exec.Command("chmod", "-R", "u+rwx", b.folder).Run()
	return errors.Join(err, os.RemoveAll(b.folder))
}

// provider opens boxes.
type provider struct {
	start
	t    testing.TB
	user string
}

func (p provider) Open(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	folder, err := os.MkdirTemp("", "helper-box-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return nil, err
	}
	proc := p.process(p.t)
	client, err := stream.NewClient(ctx, proc, stream.Options{})
	if err != nil {
		return nil, err
	}
	session, err := client.Setup(ctx, stream.Setup{
		Workspace: filepath.Join(folder, "work", filepath.Base(spec.Repository)),
		Temp:      filepath.Join(folder, "temp"),
		Env:       spec.Env,
		User:      p.user,
	})
	if err != nil {
		return nil, errors.Join(err, client.Close(), proc.wait())
	}
	return &box{Client: client, process: proc, folder: folder, info: sandbox.Info{
		Kind: sandbox.Docker, OS: client.Hello().OS, Arch: client.Hello().Arch,
		Workspace: session.Workspace, Temp: session.Temp, Home: session.Home, Name: client.Hello().Hostname,
	}}, nil
}

// TestConformance runs the suite through the stream.
func TestConformance(t *testing.T) {
	for name, p := range map[string]provider{
		"child":         {},
		"first process": {start: start{namespace: true}},
		"another user":  {start: start{namespace: true}, user: "65534:65534"},
	} {
		t.Run(name, func(t *testing.T) {
			if p.namespace {
				namespaces(t)
			}
			sandboxtest.Run(t, sandboxtest.Harness{
				Provider: func(t *testing.T) sandbox.Provider { p := p; p.t = t; return p },
				Outside:  p.user == "", // that user may not write to the tests' folder
			})
		})
	}
}

func open(t testing.TB, p provider) *box {
	t.Helper()
	p.t = t
	s, err := p.Open(t.Context(), sandbox.Spec{Repository: "octo/hello"})
	if err != nil {
		t.Fatal(err)
	}
	b := s.(*box)
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

// output runs a script and returns what it wrote.
func (b *box) output(t testing.TB, script string) string {
	t.Helper()
	var out bytes.Buffer
	res, err := b.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%s: exit code %d, %v\n%s", script, res.ExitCode, err, out.String())
	}
	return strings.TrimSpace(out.String())
}
