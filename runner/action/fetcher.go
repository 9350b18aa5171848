package action

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Options are the settings of a [Fetcher].
type Options struct {
	// Dir is the cache's folder; it is made when it is not there. Several
	// processes may share it.
	Dir string
	// MaxBytes bounds what the cache keeps (0: 4 GiB). What is in use is
	// kept over it.
	MaxBytes int64
	// MaxAge is how long an entry that nobody uses is kept (0: 30 days).
	MaxAge time.Duration
	// MaxActionBytes bounds one action, packed and unpacked (0: 2 GiB).
	MaxActionBytes int64

	// Transport carries the requests: proxies, certificates, insecure. nil
	// is http.DefaultTransport.
	Transport http.RoundTripper
	// Parallel is how many fetches may run at once in this process (0: 8).
	Parallel int
	// Attempts is how often a request is made when it fails in a way that
	// may pass (0: 4), and RetryWait what the first pause lasts (0: 500 ms);
	// each further one is twice as long.
	Attempts  int
	RetryWait time.Duration
	// StallTimeout ends a transfer in which no byte arrives (0: 60 s).
	StallTimeout time.Duration

	// Log is for the operator, not for jobs; nil is silence.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	o.MaxBytes = orDefault(o.MaxBytes, 4<<30)
	o.MaxAge = orDefault(o.MaxAge, 30*24*time.Hour)
	o.MaxActionBytes = orDefault(o.MaxActionBytes, 2<<30)
	o.Parallel = orDefault(o.Parallel, 8)
	o.Attempts = orDefault(o.Attempts, 4)
	o.RetryWait = orDefault(o.RetryWait, 500*time.Millisecond)
	o.StallTimeout = orDefault(o.StallTimeout, time.Minute)
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T int | int64 | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// Fetcher brings the repositories of actions into a cache on disk. One serves
// all jobs of a process; it is safe for concurrent use, also by several
// processes with the same folder.
type Fetcher struct {
	options Options
	store   *store
	slots   *semaphore.Weighted

	mu sync.Mutex
	// private has the repositories of the instance that did not answer
	// without a token, so that the next job does not ask twice.
	private map[string]bool
}

// New makes a Fetcher. Its error says that the folder cannot be used.
func New(o Options) (*Fetcher, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, fmt.Errorf("action cache: no folder is configured")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("action cache %s: %w", o.Dir, err)
	}
	s := &store{dir: dir, maxBytes: o.MaxBytes, maxAge: o.MaxAge, log: o.Log}
	for _, sub := range []string{entriesDir, locksDir, scratchDir} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("action cache: %w; give the runner a folder that it can write to", err)
		}
	}
	return &Fetcher{
		options: o,
		store:   s,
		slots:   semaphore.NewWeighted(int64(o.Parallel)),
		private: map[string]bool{},
	}, nil
}

// Collect removes what the cache keeps beyond its bounds, and what crashed
// processes left. It runs by itself after each fetch; call it at start as well.
// What is in use stays.
func (f *Fetcher) Collect(ctx context.Context) error { return f.store.collect(ctx) }

func (f *Fetcher) isPrivate(url string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.private[url]
}

// maxPrivate bounds the memory of private repositories; forgetting one costs a
// request.
const maxPrivate = 10_000

func (f *Fetcher) setPrivate(url string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.private) >= maxPrivate {
		clear(f.private)
	}
	f.private[url] = true
}
