package container_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// TestForward: a step's program reaches a server in the runner's process over the
// container's loopback, without a network as well, and as another user; so does the
// program of a container beside it.
func TestForward(t *testing.T) {
	l := engine(t)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, strings.ToUpper(string(body)))
	})}
	here, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(here) })
	t.Cleanup(func() { _ = server.Close(); serving.Wait() })
	dial := func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", here.Addr().String())
	}
	for _, network := range []string{"", "none"} {
		t.Run("network "+network, func(t *testing.T) {
			spec := newSpec()
			spec.Image = l.image(t, nil, "USER app")
			s := open(t, l.provider(t, container.Options{Network: network}), spec)
			address, err := s.(sandbox.Forwarder).Forward(t.Context(), dial)
			if err != nil {
				t.Fatal(err)
			}
			post := "wget -q -O - --post-data hello http://" + address + "/"
			for range 20 { // each is gone before the next
				same(t, "the answer", sh(t, s, post), "HELLO")
			}
			same(t, "a large answer", sh(t, s, "dd if=/dev/zero bs=1M count=3 2>/dev/null | tr '\\0' a > f; wget -q -O - --post-file f http://"+address+"/ | wc -c"), "3145728")
			res, err := s.(sandbox.ContainerRunner).RunContainer(t.Context(), &sandbox.ContainerCommand{
				Image: busybox, Command: sandbox.Command{Args: []string{"sh", "-c", post}}})
			if err != nil || res.ExitCode != 0 {
				t.Errorf("a container beside the job's does not reach the port: exit code %d, %v", res.ExitCode, err)
			}
		})
	}
}
