package runner

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otelrunner/runner/config"
	"otelrunner/runner/label"
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
