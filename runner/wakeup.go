package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"otelrunner/runner/wake"
)

// minSecret is the shortest secret of a webhook in bytes.
const minSecret = 16

// serveWake starts the webhook's endpoint where it is on; a value on the channel
// is a job that waits.
func (s *service) serveWake(ctx context.Context, labels func() []string) (woken <-chan struct{}, end func(), err error) {
	p := &s.Config.Poll
	if p.Wake == "" {
		return nil, func() {}, nil
	}
	data, err := os.ReadFile(p.WakeSecretFile)
	if err != nil {
		return nil, nil, settings(fmt.Errorf("poll.wake_secret_file: %w", err))
	}
	secret := strings.TrimSpace(string(data))
	if len(secret) < minSecret {
		return nil, nil, settings(fmt.Errorf("poll.wake_secret_file: the secret in %s has %d bytes, fewer than %d: anybody could guess it; `openssl rand -hex 32` makes a good one", p.WakeSecretFile, len(secret), minSecret))
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.Wake)
	if err != nil {
		return nil, nil, fmt.Errorf("poll.wake: %w", err)
	}
	c := make(chan struct{}, 1)
	server := wake.NewServer(wake.New(wake.Options{
		Secret: []byte(secret), Labels: labels, Log: s.log,
		Wake: func() {
			select {
			case c <- struct{}{}:
			default: // somebody is on the way already
			}
		},
	}), s.log)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the webhook's endpoint has ended; the runner goes on by the clock", "error", err)
		}
	}()
	s.log.Info("webhooks wake this runner", "wake_address", listener.Addr().String())
	return c, func() { _ = server.Close(); <-ended }, nil
}
