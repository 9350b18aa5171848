package cache

import (
	"io"
	"net/http"
	"time"
)

// steady is a request whose bodies may take as long as they like, as long as they
// move: each part of them has stallTime. It hides what else a ResponseWriter can, so
// that each part goes through it.
type steady struct {
	http.ResponseWriter
	control *http.ResponseController
	from    io.ReadCloser
}

// newSteady takes the body's place in the request.
func newSteady(w http.ResponseWriter, req *http.Request) *steady {
	s := &steady{ResponseWriter: w, control: http.NewResponseController(w), from: req.Body}
	s.extend()
	req.Body = struct {
		io.Reader
		io.Closer
	}{readFunc(s.read), req.Body}
	return s
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// extend moves both deadlines. A writer without them (a test's) has none.
func (s *steady) extend() {
	at := time.Now().Add(stallTime)
	_ = s.control.SetReadDeadline(at)
	_ = s.control.SetWriteDeadline(at)
}

func (s *steady) read(p []byte) (int, error) {
	s.extend()
	return s.from.Read(p) //nolint:wrapcheck // its errors are the body's own
}

// Write implements http.ResponseWriter.
func (s *steady) Write(p []byte) (int, error) {
	s.extend()
	return s.ResponseWriter.Write(p) //nolint:wrapcheck // as above
}
