package otel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

// DefaultAddr is where the metrics server listens when it is on.
const DefaultAddr = "127.0.0.1:9101"

// The patience of the server with its clients.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 10 * time.Second
	idleTimeout       = 60 * time.Second
	drainTimeout      = 5 * time.Second

	// maxScrapes may be served at a time; more are answered by 503, so that
	// clients that read slowly cannot pile up.
	maxScrapes = 16
)

// ServerOptions configures the metrics server.
type ServerOptions struct {
	// Addr is host:port; "" is DefaultAddr.
	Addr string

	// WebConfigFile is a file in the format of Prometheus' exporters that gives
	// TLS and basic auth, for all paths; "" is neither.
	WebConfigFile string

	Gatherer  prometheus.Gatherer
	Readiness *Readiness

	// Log gets what goes wrong. Nil discards it.
	Log *slog.Logger
}

// Server shows /metrics, /healthz and /readyz.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan struct{}
	err      error // of Serve; read after done
}

// StartServer listens, and serves until Shutdown. That the address is in use or
// the web config file is wrong is the error.
func StartServer(opts ServerOptions) (*Server, error) {
	if opts.Addr == "" {
		opts.Addr = DefaultAddr
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if err := web.Validate(opts.WebConfigFile); err != nil {
		return nil, &settingsError{fmt.Errorf("metrics server: web config file %s: %w", opts.WebConfigFile, err)}
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", opts.Addr)
	if err != nil {
		return nil, fmt.Errorf("metrics server: cannot listen on %s (another runner or exporter may have the port; choose another one as metrics.addr): %w", opts.Addr, err)
	}

	// Below a warning, the toolkit says what nobody asked for.
	quiet := gate{opts.Log.Handler(), func(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }}
	s := &Server{
		listener: listener,
		done:     make(chan struct{}),
		http: &http.Server{
			Handler:           newHandler(opts),
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			ErrorLog:          slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug),
		},
	}
	go func() {
		defer close(s.done)
		err := web.Serve(listener, s.http, &web.FlagConfig{WebConfigFile: &opts.WebConfigFile}, slog.New(quiet))
		if !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("metrics server on %s: %w", listener.Addr(), err)
			opts.Log.Error("the metrics server has ended", "error", s.err)
		}
	}()
	return s, nil
}

// Addr is where the server listens, with the port that was chosen for 0.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Shutdown lets requests in flight end, for 5 s or until ctx is done, then cuts
// them. Its error is also the one that ended the server before.
func (s *Server) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("metrics server: requests were cut: %w", err), s.http.Close())
	}
	// Shutdown before Serve has registered the listener does not close it.
	if cerr := s.listener.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	<-s.done
	return errors.Join(err, s.err)
}

func newHandler(opts ServerOptions) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(opts.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(opts.Log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // half of the families is better than none
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true, // exemplars exist in this format only
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		text(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reasons := opts.Readiness.Reasons(time.Now()); len(reasons) > 0 {
			text(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n"))
			return
		}
		text(w, http.StatusOK, "ready")
	})
	return mux
}

func text(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body+"\n") // the client's loss
}
