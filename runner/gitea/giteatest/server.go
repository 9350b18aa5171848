// Package giteatest is a Gitea server in the process, as far as a runner sees
// one: the Actions RPC over real HTTP, by the rules of servers of 2026, with the
// faults that networks and proxies add.
//
// It serves on loopback (Start) and in memory (Client) at once. Its connections
// in memory block durably, so a Server made inside a testing/synctest bubble
// works there with the bubble's clock; it must be closed before the bubble ends.
//
// Tasks are added by AddWorkflow, AddRecorded or AddWire. What the runner did
// with them is read by Task, Rows, Calls and Stats, and awaited by WaitResult
// and Wait, which are woken by events.
package giteatest

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"code.gitea.io/actions-proto-go/ping/v1/pingv1connect"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
	"connectrpc.com/connect"
)

// ErrorForm is how the server's errors are written.
type ErrorForm int

const (
	// ErrorText is what servers of 2026 do: HTTP 500, code `unknown`, and the
	// real code in the text.
	ErrorText ErrorForm = iota
	// ErrorCode sends the code itself.
	ErrorCode
)

// DefaultToken is the registration token unless Options name another.
const DefaultToken = "giteatest-registration-token"

// Options of a Server; the zero value is a server of 2026 with nothing odd.
type Options struct {
	// Token is what Register demands; "" = DefaultToken.
	Token string
	// Now is the clock; nil = time.Now (in a bubble: the bubble's).
	Now func() time.Time
	// Seed makes the faults with a probability repeatable.
	Seed uint64
	// Errors is the form of the server's errors.
	Errors ErrorForm
	// Capabilities are what Declare answers; nil = job-summary. An empty, non-nil
	// slice declares none.
	Capabilities []string
	// IgnoreEmptySeal makes UpdateLog ignore no_more in a request that brings no
	// new row, as some servers do.
	IgnoreEmptySeal bool
	// ReleaseLostClaims takes a task back if the client was gone before FetchTask
	// had answered, as newer servers do. Otherwise it stays assigned.
	ReleaseLostClaims bool
	// PickLimit is how many FetchTask may look for a task at the same time; the
	// others are answered at once with the version that they sent. 0 = no limit.
	PickLimit int
	// PickTime is how long looking takes.
	PickTime time.Duration
	// CountOnly keeps no rows and no list of calls, only their numbers: for
	// benchmarks.
	CountOnly bool
	// RowAge, if set, is told of each stored row the time between its own and its
	// arrival. It is called under the server's lock.
	RowAge func(time.Duration)
	// RunsAPI serves the list of a run's jobs, as servers from 1.25 on do.
	RunsAPI bool
	// TasksAPI serves the list of a repository's tasks, as servers from 1.22 on do.
	TasksAPI bool
	// Path is a path below which the server lives, like "/git"; "" = none.
	Path string
}

// Server is the server. All its methods are safe for concurrent use.
type Server struct {
	opt      Options
	handler  http.Handler
	http     *http.Server
	memory   memoryListener
	client   *http.Client
	serving  sync.WaitGroup // listeners
	conns    sync.WaitGroup // the server's side of connections
	closed   chan struct{}
	closing  sync.Once
	loopback string // set by Start

	mu      sync.Mutex // guards all below
	changed chan struct{}
	waiters int
	random  *rand.Rand
	faults  []*Injected
	down    bool
	dials   error // of connections in memory; nil: they succeed

	runners map[string]*runner // by uuid
	tasks   map[int64]*record
	order   []*record // in the order of adding
	waiting []*record // unassigned, in the order of adding
	version int64
	nextID  int64
	picking int

	calls     []*Call
	stats     map[string]*Stats
	nextSweep time.Time
}

// New starts a server in memory. Close ends it.
func New(o Options) *Server {
	if o.Token == "" {
		o.Token = DefaultToken
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Capabilities == nil {
		o.Capabilities = []string{"job-summary"}
	}
	s := &Server{
		opt:     o,
		memory:  newMemoryListener(),
		closed:  make(chan struct{}),
		random:  rand.New(rand.NewPCG(o.Seed, 0x6769746561)), //nolint:gosec // repeatable on purpose
		runners: map[string]*runner{},
		tasks:   map[int64]*record{},
		stats:   map[string]*Stats{},
		version: 1,
		nextID:  1,
	}
	s.nextSweep = s.now().Add(sweepInterval)
	s.handler = s.newHandler()
	s.http = &http.Server{ //nolint:gosec // never exposed
		Handler: s.handler, ConnState: s.countConns, ErrorLog: log.New(discard{}, "", 0),
	}
	s.client = &http.Client{Transport: &http.Transport{
		DialContext: s.dialMemory, MaxIdleConnsPerHost: 100, IdleConnTimeout: 90 * time.Second,
	}}
	s.serve(s.memory)
	return s
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func (s *Server) serve(l net.Listener) {
	s.serving.Go(func() {
		if err := s.http.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			panic("giteatest: " + err.Error())
		}
	})
}

// Start serves on a loopback port too and returns the URL.
func (s *Server) Start() (string, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("giteatest: %w", err)
	}
	s.Serve(l)
	return s.URL(), nil
}

// Serve serves on l too, until Close closes it; URL then names it.
func (s *Server) Serve(l net.Listener) {
	s.mu.Lock()
	s.loopback = "http://" + l.Addr().String()
	s.mu.Unlock()
	s.serve(l)
}

// URL is the server's address, without a slash at its end: the last one served
// on, else one that only Client's connections reach.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url()
}

func (s *Server) url() string {
	if s.loopback != "" {
		return s.loopback + s.opt.Path
	}
	return "http://gitea.test" + s.opt.Path
}

// Handler is the server as a handler, for servers of one's own (TLS…).
func (s *Server) Handler() http.Handler { return s.handler }

// Client returns a client all of whose connections lead to this server through
// memory, whatever the host of the URL.
func (s *Server) Client() *http.Client { return s.client }

// countConns lets Close wait for connections, which a bubble demands: one that
// was answered before its request had been read lingers for half a second.
func (s *Server) countConns(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	}
}

// Close ends all connections and waits for them. Waiters get an error.
func (s *Server) Close() {
	s.closing.Do(func() {
		close(s.closed)
		_ = s.memory.Close()
		_ = s.http.Close()
		s.client.CloseIdleConnections()
	})
	s.serving.Wait()
	s.conns.Wait()
}

func (s *Server) now() time.Time { return s.opt.Now() }

func (s *Server) newHandler() http.Handler {
	svc := service{s}
	options := []connect.HandlerOption{connect.WithCompressMinBytes(1024)}
	api := http.NewServeMux()
	api.Handle(pingv1connect.NewPingServiceHandler(svc, options...))
	api.Handle(runnerv1connect.NewRunnerServiceHandler(svc, options...))
	mux := http.NewServeMux()
	mux.Handle(s.opt.Path+"/api/actions/", http.StripPrefix(s.opt.Path+"/api/actions", api))
	mux.HandleFunc("PUT "+s.opt.Path+"/api/actions_pipeline/_apis/pipelines/workflows/{run}/jobs/{job}/steps/{step}/summary", s.putSummary)
	if s.opt.RunsAPI {
		mux.HandleFunc("GET "+s.opt.Path+"/api/v1/repos/{owner}/{repo}/actions/runs/{run}/jobs", s.runJobs)
	}
	if s.opt.TasksAPI {
		mux.HandleFunc("GET "+s.opt.Path+"/api/v1/repos/{owner}/{repo}/actions/tasks", s.listTasks)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writePage(w, http.StatusNotFound, "Page Not Found - Gitea")
	})
	return s.withFaults(mux)
}

// fail is an error as the server writes it.
func (s *Server) fail(code connect.Code, format string, a ...any) error {
	text := fmt.Sprintf(format, a...)
	if s.opt.Errors == ErrorCode {
		return connect.NewError(code, errors.New(text))
	}
	return connect.NewError(connect.CodeUnknown, fmt.Errorf("rpc error: code = %s desc = %s", grpcName(code), text))
}

// grpcName is the code as gRPC spells it: AlreadyExists.
func grpcName(code connect.Code) string {
	var name []byte
	up := true
	for _, c := range []byte(code.String()) {
		switch {
		case c == '_':
			up = true
			continue
		case up:
			c -= 'a' - 'A'
			up = false
		}
		name = append(name, c)
	}
	return string(name)
}
