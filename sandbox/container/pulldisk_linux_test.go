package container_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"otelrunner/runner/action/actiontest"
	"otelrunner/sandbox/container"
)

// TestDiskFullDuringPull: an image has no room where the engine keeps images. The job
// says so, leaves nothing, and one whose image is there runs.
func TestDiskFullDuringPull(t *testing.T) {
	d, l := newDaemon(t, "64m")
	p := l.provider(t, container.Options{Host: "unix://" + d.socket(), Timeout: 2 * time.Second, Pull: container.PullMissing})
	spec := newSpec()
	spec.Image = registryOf(t, d, 200<<20) + "/tools/lint:1"
	var said lines
	spec.Log = said.log
	err := refused(t, p, spec)
	contains(t, "error", err, "pull image "+spec.Image+": the disk of the machine that runs the containers is full: free some space there", "no space left on device")
	contains(t, "log", said.String(), "Pulling image "+spec.Image)
	l.nothingLeft(t, "otelrunner.job="+spec.ID)
	same(t, "a job whose image is there", sh(t, open(t, p, newSpec()), "echo works"), "works")
}

// registryOf starts a registry that only that engine reaches, whose tools/lint:1 is an
// image with a file of so many zeros, and returns its address.
func registryOf(t *testing.T, d *daemon, size int64) string {
	t.Helper()
	layer, diff := zeros(t, size)
	r := actiontest.NewRegistry()
	t.Cleanup(r.Close)
	r.PushImage("1", layer, diff)
	listener := d.listen(t)
	server := &http.Server{Handler: r} //nolint:gosec // its client is the test's
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ended by Close
	}()
	t.Cleanup(func() {
		_ = server.Close() // with its connections, whatever became of them
		<-served
	})
	return listener.Addr().String()
}

// zeros is a packed layer of one file, and the digest of what is packed.
func zeros(t *testing.T, size int64) (layer []byte, diff string) {
	t.Helper()
	var packed bytes.Buffer
	sum := sha256.New()
	zip := gzip.NewWriter(&packed)
	w := tar.NewWriter(io.MultiWriter(zip, sum))
	err := w.WriteHeader(&tar.Header{Name: "big", Typeflag: tar.TypeReg, Mode: 0o644, Size: size})
	for block := make([]byte, 1<<20); err == nil && size > 0; size -= int64(len(block)) {
		_, err = w.Write(block)
	}
	if err := errors.Join(err, w.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes(), fmt.Sprintf("sha256:%x", sum.Sum(nil))
}

// listen listens on the loopback of the engine's network.
func (d *daemon) listen(t *testing.T) (listener net.Listener) {
	t.Helper()
	var err error
	done := make(chan struct{})
	go func() { // its thread is in that network from now on, and ends with it
		defer close(done)
		runtime.LockOSThread()
		if err = enter(fmt.Sprintf("/proc/%d/ns/net", d.cmd.Process.Pid)); err == nil {
			listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		}
	}()
	if <-done; err != nil {
		t.Fatal(err)
	}
	return listener
}

// enter has this thread be in a network, and its loopback be up.
func enter(network string) error {
	file, err := os.Open(network)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", network, err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(socket) }() // as above
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}
