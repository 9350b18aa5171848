package container_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// A daemon is a Docker engine of the test's own, which can be ended and started
// again without anybody else noticing. It uses nothing of the machine's engine.
type daemon struct {
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
	log  bytes.Buffer
}

// newDaemon starts one, whose files are on a disk of that size (mount(8), tmpfs); "" is the machine's.
func newDaemon(t *testing.T, size string) (*daemon, *laboratory) {
	t.Helper()
	shared := engine(t) // the helper is built, and there is an engine at all
	if _, err := exec.LookPath("dockerd"); err != nil || os.Getuid() != 0 {
		cannot(t, "a Docker engine of the test's own: it needs root and dockerd")
	}
	dir, err := os.MkdirTemp("/tmp", "od-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unmountBelow(dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if size != "" {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			cannot(t, "a small disk: mount: "+err.Error())
		}
	}
	d := &daemon{dir: dir}
	d.start(t)
	t.Cleanup(func() {
		d.end(t, syscall.SIGTERM)
		if t.Failed() {
			t.Logf("the engine's log:\n%s", tail(d.log.String(), 4000))
		}
	})
	c, err := client.New(client.WithHost("unix://" + d.socket()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	l := &laboratory{engine: c, helper: shared.helper}
	if err := l.importBusybox(t.Context(), busybox, nil); err != nil {
		t.Fatal(err)
	}
	return d, l
}

// cannot skips a test, or fails it where everything has to be there.
func cannot(t *testing.T, why string) {
	t.Helper()
	if os.Getenv(mustHaveDocker) != "" {
		t.Fatal(why)
	}
	t.Skip("SKIP " + why)
}

// unmountBelow takes away what an engine has mounted, and the small disk.
func unmountBelow(dir string) {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	lines := strings.Split(string(mounts), "\n")
	for _, line := range slices.Backward(lines) { // the last one lies on top
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[1] == dir || strings.HasPrefix(fields[1], dir+"/")) {
			_ = syscall.Unmount(fields[1], syscall.MNT_DETACH) // or it has gone with another
		}
	}
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

func (d *daemon) socket() string { return filepath.Join(d.dir, "s.sock") }

// start starts it and waits until it answers.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	in := func(name string) string { return filepath.Join(d.dir, name) }
	d.cmd = exec.Command("dockerd", "--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"),
		"-H", "unix://"+d.socket(), "--bridge=none", "--iptables=false", "--ip6tables=false", "--userland-proxy=false", "--containerd-namespace", filepath.Base(d.dir))
	// In a network of its own: an engine without a bridge removes docker0, which is
	// that of the machine's engine.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	d.cmd.WaitDelay = 5 * time.Second // what it leaves may hold its output open
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.done = make(chan struct{})
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait()
	}()
	c, err := client.New(client.WithHost("unix://" + d.socket()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err = c.Ping(t.Context(), client.PingOptions{}); err == nil {
			return
		}
		select {
		case <-d.done:
			cannot(t, "a Docker engine of the test's own, which ended at once:\n"+tail(d.log.String(), 1000))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the engine does not answer: %v\n%s", err, tail(d.log.String(), 2000))
		}
	}
}

// end ends it with a signal.
func (d *daemon) end(t *testing.T, signal syscall.Signal) {
	t.Helper()
	_ = d.cmd.Process.Signal(signal) // or it has ended
	select {
	case <-d.done:
	case <-time.After(time.Minute):
		t.Error("the engine does not end")
		_ = d.cmd.Process.Kill()
		<-d.done
	}
	if signal == syscall.SIGKILL {
		d.killContainerd(t)
	}
}

// killContainerd ends what a killed dockerd leaves: it would wait for it in vain
// when it starts again.
func (d *daemon) killContainerd(t *testing.T) {
	t.Helper()
	file := filepath.Join(d.dir, "exec", "containerd", "containerd.pid")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Log(err)
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		t.Fatalf("%s has %q", file, text)
	}
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if strings.Contains(string(line), d.dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // or it has ended
	}
	_ = os.Remove(file)
}

// TestDaemonRestart: the engine is restarted, or killed, in the middle of a job. The
// job ends with one sentence, nothing is left, and the next one runs.
func TestDaemonRestart(t *testing.T) {
	for name, signal := range map[string]syscall.Signal{"stopped": syscall.SIGTERM, "killed": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			d, l := newDaemon(t, "")
			p := l.provider(t, container.Options{Host: "unix://" + d.socket(), Timeout: 2 * time.Second})
			spec := newSpec()
			spec.Services = []sandbox.Service{{Name: "db", Container: sandbox.Container{Image: busybox, Command: []string{"sleep", "600"}}}}
			s, err := p.Open(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			started := newSignal()
			ended := make(chan error, 1)
			go func() {
				_, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "echo running; sleep 600"}, Stdout: started})
				ended <- err
			}()
			started.wait(t)
			d.end(t, signal)
			select {
			case err = <-ended:
			case <-time.After(30 * time.Second):
				t.Fatal("the step does not end with the engine")
			}
			if err == nil || !strings.Contains(err.Error(), "container engine") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the step ended with %v, want one sentence that names the container engine", err)
			}
			t.Log(err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			t.Logf("Close while the engine is away: %v", s.Close(ctx))

			d.start(t)
			if _, err := p.Sweep(t.Context()); err != nil {
				t.Errorf("Sweep: %v", err)
			}
			l.nothingLeft(t, "otelrunner.job="+spec.ID)
			same(t, "the next job", sh(t, open(t, p, newSpec()), "echo works"), "works")
		})
	}
}

// TestDiskFull: the disk of the engine's machine fills up in the middle of a job.
func TestDiskFull(t *testing.T) {
	d, l := newDaemon(t, "64m")
	p := l.provider(t, container.Options{Host: "unix://" + d.socket(), Timeout: 2 * time.Second})
	s := open(t, p, newSpec())
	var out bytes.Buffer
	res, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"dd", "if=/dev/zero", "of=big", "bs=1M", "count=200"}, Stdout: &out, Stderr: &out})
	if err != nil || res.ExitCode == 0 || !strings.Contains(out.String(), "No space left on device") {
		t.Fatalf("the step that fills the disk: %+v, %v\n%s", res, err, out.String())
	}
	err = s.WriteFiles(t.Context(), []sandbox.File{{Path: "more", Data: bytes.Repeat([]byte("x"), 1<<20)}})
	if err == nil || !strings.Contains(err.Error(), "disk") && !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a file more: %v", err)
	}
	if next, err := p.Open(t.Context(), newSpec()); err == nil {
		t.Log("another job still opens: what it needs takes no space")
		closeBox(t, next)
	} else {
		contains(t, "error", err.Error(), "disk", "full")
	}
	same(t, "the job after it has made room", sh(t, s, "rm big; echo works > f; cat f"), "works")
}
