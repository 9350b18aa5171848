package container

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"
	"go.opentelemetry.io/otel/trace/noop"
)

// TestSilentEngine: an engine that takes connections and says nothing ends every call
// in bounded time, with one sentence.
func TestSilentEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Options{Host: "tcp://engine.test:2375", Timeout: 30 * time.Second, Runner: "r", Log: slog.New(slog.DiscardHandler),
			Helper: func(string) ([]byte, error) { return []byte("helper"), nil }})
		if err != nil {
			t.Fatal(err)
		}
		p.engine.Client, err = client.New(client.WithHost("tcp://engine.test:2375"), client.WithTraceProvider(noop.NewTracerProvider()),
			client.WithAPIVersion("1.41"), client.WithDialContext(func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, there) }() // until the client hangs up
				return here, nil
			}))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		volume := "volume"
		for _, c := range []struct {
			name  string
			call  func(ctx context.Context) error
			takes time.Duration
		}{
			{"sweep", func(ctx context.Context) error { _, err := p.Sweep(ctx); return err }, callTime},
			{"look for an image", func(ctx context.Context) error {
				_, err := p.ensure(ctx, imageWish{name: "i:1"}, func(string) {})
				return err
			}, callTime},
			{"make a network", func(ctx context.Context) error { return p.createNetwork(ctx, "n", nil, false) }, callTime},
			{"make a container", func(ctx context.Context) error {
				p.helper.Store(&volume)
				_, err := p.start(ctx, place{image: image.InspectResponse{ID: "sha256:1"}, settings: newSettings(volumePolicy{})})
				return err
			}, callTime},
			{"bring the helper", func(ctx context.Context) error {
				p.helper.Store(nil)
				_, err := p.helperVolume(ctx, "sha256:1", "amd64")
				return err
			}, callTime},
			{"remove a network", func(ctx context.Context) error { return p.removeNetwork(ctx, "n") }, removeTime},
			{"remove a container", func(ctx context.Context) error { return p.remove(ctx, "c") }, removeTime},
			{"reach", func(ctx context.Context) error { return p.Reach(ctx, func(string) {}) }, 30 * time.Second},
		} {
			arch := "amd64"
			p.engine.arch.Store(&arch)
			if c.name == "reach" {
				p.engine.away()
			}
			began := time.Now()
			err := c.call(t.Context())
			if took := time.Since(began); err == nil || took > c.takes+2*retry {
				t.Errorf("%s: %v after %v, want an error after %v", c.name, err, took, c.takes)
				continue
			}
			t.Log(c.name, err)
			if text := err.Error(); !strings.Contains(text, "engine") || !strings.Contains(text, "answered") && !strings.Contains(text, "in the time there was") {
				t.Errorf("%s: it does not say that the engine is silent: %v", c.name, err)
			}
			if c.takes == callTime && p.engine.arch.Load() != nil {
				t.Errorf("%s: the engine still counts as one that answers", c.name)
			}
		}
	})
}
