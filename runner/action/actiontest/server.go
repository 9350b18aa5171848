package actiontest

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// Server serves repositories at /owner/repo and /owner/repo.git. It is safe for
// concurrent use.
type Server struct {
	// URL is where it listens, without a trailing slash.
	URL string

	http *httptest.Server

	mu       sync.Mutex
	repos    map[string]*Repo
	requests []Request
	fault    func(w http.ResponseWriter, r *http.Request) (handled bool)
}

// Request is one that the server got.
type Request struct {
	Method, Path string
	// Password of the basic authorization, or "".
	Password string
	// Status it was answered with.
	Status int
}

// NewServer starts a server on a loopback port; Close ends it.
func NewServer() *Server {
	s := &Server{repos: map[string]*Repo{}}
	s.http = httptest.NewServer(s)
	s.URL = s.http.URL
	return s
}

// Close ends the server, after the requests that run.
func (s *Server) Close() { s.http.Close() }

// Repo gives a repository by owner/repo, and makes it if need be.
func (s *Server) Repo(name string) *Repo {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.repos[name]
	if !ok {
		r = newRepo(name)
		s.repos[name] = r
	}
	return r
}

// Action adds a repository with one commit of plain files, tagged v1, and
// returns the commit's id.
func (s *Server) Action(name string, files map[string]string) string {
	r := s.Repo(name)
	sha := r.Commit(Text(files))
	r.Tag("v1", sha)
	return sha
}

// Requests gives what was asked so far, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Reset forgets the requests so far.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// Fault puts a function before each request: it may wait, answer by itself and
// return true, or panic with http.ErrAbortHandler to cut the connection. nil
// takes it away.
func (s *Server) Fault(f func(w http.ResponseWriter, r *http.Request) (handled bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// FailNext answers the next n requests with a status.
func (s *Server) FailNext(n, status int) {
	var mu sync.Mutex
	s.Fault(func(w http.ResponseWriter, _ *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if n <= 0 {
			return false
		}
		n--
		http.Error(w, "out of order", status)
		return true
	})
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, password, _ := req.BasicAuth()
	sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	s.mu.Lock()
	i := len(s.requests)
	s.requests = append(s.requests, Request{Method: req.Method, Path: req.URL.Path, Password: password})
	fault := s.fault
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if i < len(s.requests) {
			s.requests[i].Status = sw.status
		}
	}()
	if fault != nil && fault(sw, req) {
		return
	}
	s.serveGit(sw, req, password)
}

func (s *Server) serveGit(w http.ResponseWriter, req *http.Request, password string) {
	for suffix, serve := range map[string]func(*Repo, http.ResponseWriter, io.Reader) error{
		"/info/refs":       (*Repo).advertise,
		"/git-upload-pack": (*Repo).uploadPack,
	} {
		name, ok := strings.CutSuffix(req.URL.Path, suffix)
		if !ok {
			continue
		}
		name = strings.TrimSuffix(strings.TrimPrefix(name, "/"), ".git")
		s.mu.Lock()
		repo := s.repos[name]
		s.mu.Unlock()
		if repo == nil || !repo.allows(password) {
			// Gitea does not tell what is private from what is not there.
			w.Header().Set("WWW-Authenticate", `Basic realm="Gitea"`)
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		body := io.Reader(req.Body)
		if req.Header.Get("Content-Encoding") == "gzip" {
			unpacked, err := gzip.NewReader(req.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = unpacked
		}
		if err := serve(repo, w, body); err != nil {
			http.Error(w, fmt.Sprintf("%s: %v", name, err), http.StatusInternalServerError)
		}
		return
	}
	http.NotFound(w, req)
}

func (r *Repo) allows(password string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.token == "" || r.token == password
}
