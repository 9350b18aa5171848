package giteatest

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Call is one request as it arrived.
type Call struct {
	Method string // Ping, Register, Declare, FetchTask, UpdateTask, UpdateLog, Summary; "" = another path
	Runner string // the uuid that it named
	TaskID int64  // the task that it was about, or got; 0 = none
	Rows   int    // of UpdateLog, new or old
	NoMore bool   // of UpdateLog
	Final  bool   // of UpdateTask: its result was not unspecified
	Bytes  int64  // of the body as it was sent (compressed)
	Start  time.Time
	End    time.Time // zero while it runs
	Fault  bool      // a fault ended it
}

// Stats are the numbers of one method's calls.
type Stats struct {
	Calls         int
	Bytes         int64 // of all bodies as they were sent
	MaxBytes      int64
	Concurrent    int // running now
	MaxConcurrent int
}

type callKey struct{}

// callOf is the record of the call that a handler serves. It is written under
// the server's lock.
func callOf(ctx context.Context) *Call {
	if c, ok := ctx.Value(callKey{}).(*Call); ok {
		return c
	}
	return &Call{}
}

func methodOf(r *http.Request) string {
	path := r.URL.Path
	switch i := strings.LastIndexByte(path, '/'); {
	case strings.Contains(path, "/api/actions/"):
		return path[i+1:]
	case strings.HasSuffix(path, "/summary"):
		return "Summary"
	case strings.HasSuffix(path, "/actions/tasks"):
		return "Tasks"
	case strings.Contains(path, "/api/v1/"):
		return "RunJobs"
	}
	return ""
}

func (s *Server) beginCall(r *http.Request) *Call {
	c := &Call{Method: methodOf(r), Runner: r.Header.Get("x-runner-uuid"), Bytes: max(r.ContentLength, 0), Start: s.now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.statsFor(c.Method) {
		st.Calls++
		st.Bytes += c.Bytes
		st.MaxBytes = max(st.MaxBytes, c.Bytes)
		st.Concurrent++
		st.MaxConcurrent = max(st.MaxConcurrent, st.Concurrent)
	}
	if !s.opt.CountOnly {
		s.calls = append(s.calls, c)
	}
	s.notify()
	return c
}

func (s *Server) endCall(c *Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.End = s.now()
	for _, st := range s.statsFor(c.Method) {
		st.Concurrent--
	}
	s.notify()
}

// statsFor are the method's numbers and those of all calls.
func (s *Server) statsFor(method string) [2]*Stats {
	var out [2]*Stats
	for i, m := range []string{method, allMethods} {
		if s.stats[m] == nil {
			s.stats[m] = &Stats{}
		}
		out[i] = s.stats[m]
	}
	return out
}

const allMethods = "*"

// Calls returns the calls so far of that method ("" = of all), in the order of
// their arrival. There are none with CountOnly.
func (s *Server) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Call
	for _, c := range s.calls {
		if method == "" || c.Method == method {
			out = append(out, *c)
		}
	}
	return out
}

// Stats returns the numbers of that method ("" = of all calls together).
func (s *Server) Stats(method string) Stats {
	if method == "" {
		method = allMethods
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.stats[method]; st != nil {
		return *st
	}
	return Stats{}
}

// Methods are those that were called so far, in alphabetic order.
func (s *Server) Methods() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.stats))
	return slices.DeleteFunc(names, func(m string) bool { return m == allMethods || m == "" })
}

// ResetCalls forgets the calls and numbers so far, of those that run not the
// fact that they run.
func (s *Server) ResetCalls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
	for _, st := range s.stats {
		*st = Stats{Concurrent: st.Concurrent, MaxConcurrent: st.Concurrent}
	}
}
