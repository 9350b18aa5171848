package cache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"otelrunner/sandbox/pipes"
)

// The bounds of a door. @actions/cache keeps within them by far.
const (
	doorCalls   = 32   // requests at a time; others wait
	doorUploads = 32   // at a time
	doorEntries = 1000 // that one job saves
	doorFound   = 1000 // that one job is told of
	doorBody    = 64 << 10

	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	// stallTime is how long nothing may move in a body.
	stallTime = time.Minute
	// endTime is how long a request may go on when its job has ended.
	endTime = time.Second
)

// DoorOptions say whose door it is.
type DoorOptions struct {
	Scope Scope
	// Looked, which may be nil, is told each lookup's outcome, from several
	// goroutines.
	Looked func(hit bool)
	// Log gets what goes wrong; nil is the store's.
	Log *slog.Logger
}

// A Door is one job's way to a Store: an HTTP server behind a path that only the job
// is told. It listens nowhere until it is asked to; Dial leads to it from within the
// process. It is safe for concurrent use.
type Door struct {
	store  *Store
	opts   DoorOptions
	secret string
	http   *http.Server
	inside *pipes.Listener
	serves sync.WaitGroup
	calls  chan struct{}

	mu      sync.Mutex
	closed  bool
	active  sync.WaitGroup // requests; added to with mu held, while closed is false
	uploads map[int]*Upload
	last    int   // the number of the last upload
	spent   int64 // bytes that were reserved or saved
	found   []found
	places  map[string]int // of found, by file
}

// OpenDoor opens a door.
func (s *Store) OpenDoor(o DoorOptions) *Door {
	if o.Log == nil {
		o.Log = s.opts.Log
	}
	if o.Looked == nil {
		o.Looked = func(bool) {}
	}
	d := &Door{
		store: s, opts: o, secret: rand.Text(), inside: pipes.New(), calls: make(chan struct{}, doorCalls),
		uploads: map[int]*Upload{}, places: map[string]int{},
	}
	d.http = &http.Server{
		Handler: d, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	d.serve(d.inside)
	return d
}

func (d *Door) serve(l net.Listener) {
	d.serves.Go(func() {
		if err := d.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			d.opts.Log.Warn("the cache of a job has ended", "error", err)
		}
	})
}

// Listen opens a port on this machine's loopback, and returns its address.
func (d *Door) Listen() (address string, err error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("open a port for the cache of a job: %w", err)
	}
	d.serve(l)
	return l.Addr().String(), nil
}

// Dial opens a connection to the door inside this process.
func (d *Door) Dial(ctx context.Context) (net.Conn, error) { return d.inside.Dial(ctx) }

// URL is the value of ACTIONS_CACHE_URL for programs that reach the door at address.
func (d *Door) URL(address string) string { return "http://" + address + "/" + d.secret + "/" }

// Secret is what no log may show.
func (d *Door) Secret() string { return d.secret }

// Close ends the door, and removes what was not saved to its end.
func (d *Door) Close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.closed = true
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if d.http.Shutdown(ctx) != nil {
		_ = d.http.Close() // what is under way belongs to nobody any more
	}
	d.serves.Wait()
	d.active.Wait()
	for _, u := range d.uploads {
		u.discard()
	}
}

// ServeHTTP takes one request.
func (d *Door) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	path, ok := strings.CutPrefix(req.URL.Path, "/"+d.secret+"/_apis/artifactcache/")
	if !ok {
		fail(w, http.StatusNotFound, "there is nothing here")
		return
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		fail(w, http.StatusServiceUnavailable, "the job has ended")
		return
	}
	d.active.Add(1)
	d.mu.Unlock()
	defer d.active.Done()
	select {
	case d.calls <- struct{}{}:
		defer func() { <-d.calls }()
	case <-req.Context().Done():
		return
	}
	d.route(newSteady(w, req), req, path)
}
