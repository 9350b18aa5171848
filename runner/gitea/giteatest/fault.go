package giteatest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect"
)

// Fault is trouble for some calls: built by a function (Latency, Status, …) and
// narrowed by its methods, which return the narrowed copy.
//
//	s.Inject(giteatest.CutAfter().On("UpdateLog").Skip(1).Times(2))
type Fault struct {
	methods []string
	skip    int
	times   int
	chance  float64

	delay  time.Duration // before the handler
	reply  time.Duration // between the handler and the answer
	kind   kind
	status int
	header http.Header
	page   string // title
	code   connect.Code
	rows   int
	limit  int64
}

type kind int

const (
	kindNone kind = iota
	kindStatus
	kindError
	kindCutBefore
	kindCutAfter
	kindHang
	kindPartial
	kindLimit
	kindEcho
)

// Latency delays the call before it is handled.
func Latency(d time.Duration) Fault { return Fault{delay: d} }

// SlowReply delays the answer of a call that has been handled: a FetchTask has
// assigned its task by then.
func SlowReply(d time.Duration) Fault { return Fault{reply: d} }

// Status answers that HTTP status with a web page, as a proxy does, without
// handling the call.
func Status(status int) Fault {
	return Fault{kind: kindStatus, status: status, page: fmt.Sprintf("%d %s", status, http.StatusText(status))}
}

// HTML answers that status (200 too) with a web page of that title.
func HTML(status int, title string) Fault {
	return Fault{kind: kindStatus, status: status, page: title}
}

// Redirect answers a redirect.
func Redirect(status int, to string) Fault {
	return Fault{kind: kindStatus, status: status, header: http.Header{"Location": {to}}, page: "Moved"}
}

// Code answers an error of the server itself, in the Server's error form.
func Code(code connect.Code, text string) Fault {
	return Fault{kind: kindError, code: code, page: text}
}

// CutBefore cuts the connection before the call is handled.
func CutBefore() Fault { return Fault{kind: kindCutBefore} }

// CutAfter cuts the connection after the call has been handled: its answer is lost.
func CutAfter() Fault { return Fault{kind: kindCutAfter} }

// Hang answers nothing until the client gives up or the server is closed.
func Hang() Fault { return Fault{kind: kindHang} }

// PartialAck stores at most that many rows of a request.
func PartialAck(rows int) Fault { return Fault{kind: kindPartial, rows: rows} }

// BodyLimit answers 413 to bodies of more bytes (as they are sent), as a proxy
// does. Smaller ones pass and are not counted.
func BodyLimit(bytes int64) Fault { return Fault{kind: kindLimit, limit: bytes} }

// EchoVersion makes FetchTask answer as a server at its limit of concurrent picks:
// no task, and the version that was sent.
func EchoVersion() Fault { return Fault{kind: kindEcho} }

// On narrows the fault to calls of these methods (see Call.Method).
func (f Fault) On(methods ...string) Fault { f.methods = slices.Clone(methods); return f }

// Skip lets the first n calls pass.
func (f Fault) Skip(n int) Fault { f.skip = n; return f }

// Times ends the fault after n calls; 0 = never.
func (f Fault) Times(n int) Fault { f.times = n; return f }

// Chance lets it happen with probability p, by the Server's seed.
func (f Fault) Chance(p float64) Fault { f.chance = p; return f }

// After adds a delay before the fault.
func (f Fault) After(d time.Duration) Fault { f.delay = d; return f }

// RetryAfter adds that header to a Status or HTML.
func (f Fault) RetryAfter(d time.Duration) Fault {
	f.header = http.Header{"Retry-After": {strconv.Itoa(int(d / time.Second))}}
	return f
}

// Injected is a fault at work.
type Injected struct {
	s      *Server
	f      Fault
	passed int
	hits   int
}

// Inject sets the fault to work. Several apply together: their delays add up, and
// the first that ends a call does.
func (s *Server) Inject(f Fault) *Injected {
	in := &Injected{s: s, f: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, in)
	return in
}

// Remove ends the fault; calls that it holds are not released.
func (in *Injected) Remove() {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	in.s.faults = slices.DeleteFunc(in.s.faults, func(o *Injected) bool { return o == in })
}

// Hits is how many calls it happened to.
func (in *Injected) Hits() int {
	in.s.mu.Lock()
	defer in.s.mu.Unlock()
	return in.hits
}

// trouble is what all faults together mean for one call.
type trouble struct {
	delay   time.Duration
	reply   time.Duration
	end     *Fault // nil = it is handled and answered
	ackRows int    // -1 = all
	echo    bool
}

type troubleKey struct{}

func faultOf(ctx context.Context) trouble {
	if t, ok := ctx.Value(troubleKey{}).(trouble); ok {
		return t
	}
	return trouble{ackRows: -1}
}

// troubleFor asks every fault about the call, counting its chances.
func (s *Server) troubleFor(c *Call) trouble {
	t := trouble{ackRows: -1}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down || s.dials != nil {
		t.end = &Fault{kind: kindCutBefore}
		return t
	}
	for _, in := range s.faults {
		if !in.happens(c) {
			continue
		}
		f := in.f
		t.delay += f.delay
		t.reply += f.reply
		switch f.kind {
		case kindNone:
		case kindPartial:
			t.ackRows = f.rows
		case kindEcho:
			t.echo = true
		default:
			if t.end == nil {
				t.end = &f
			}
		}
	}
	c.Fault = t.end != nil
	return t
}

func (in *Injected) happens(c *Call) bool {
	f := in.f
	switch {
	case len(f.methods) > 0 && !slices.Contains(f.methods, c.Method),
		f.kind == kindLimit && c.Bytes <= f.limit,
		f.times > 0 && in.hits >= f.times:
		return false
	case in.passed < f.skip:
		in.passed++
		return false
	case f.chance > 0 && in.s.random.Float64() >= f.chance:
		return false
	}
	in.hits++
	return true
}

// withFaults records every call and lets the faults happen around its handler.
func (s *Server) withFaults(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := s.beginCall(r)
		defer s.endCall(c)
		t := s.troubleFor(c)
		if t.delay > 0 || t.end != nil {
			// A server notices that a client is gone only once it has read the body.
			buffered, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(buffered))
		}
		if !s.sleep(r.Context(), t.delay) {
			return
		}
		ctx := context.WithValue(context.WithValue(r.Context(), callKey{}, c), troubleKey{}, t)
		r = r.WithContext(ctx)
		if t.end != nil {
			s.end(w, r, t.end, next)
			return
		}
		if t.reply > 0 {
			s.replyLate(w, r, c, t.reply, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// end ends a call in the way of its fault.
func (s *Server) end(w http.ResponseWriter, r *http.Request, f *Fault, next http.Handler) {
	switch f.kind {
	case kindCutAfter:
		next.ServeHTTP(newLater(), r)
		panic(http.ErrAbortHandler)
	case kindCutBefore:
		panic(http.ErrAbortHandler)
	case kindHang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	case kindLimit:
		writePage(w, http.StatusRequestEntityTooLarge, "413 Request Entity Too Large")
	case kindError:
		_ = connect.NewErrorWriter().Write(w, r, s.fail(f.code, "%s", f.page))
	default:
		for k, v := range f.header {
			w.Header()[k] = v
		}
		writePage(w, f.status, f.page)
	}
}

// replyLate handles a call and answers after d. If the client is gone by then, a
// server that releases lost claims does.
func (s *Server) replyLate(w http.ResponseWriter, r *http.Request, c *Call, d time.Duration, next http.Handler) {
	later := newLater()
	next.ServeHTTP(later, r)
	if s.sleep(r.Context(), d) {
		later.writeTo(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[c.TaskID]; c.Method == "FetchTask" && t != nil && s.opt.ReleaseLostClaims {
		s.release(t)
	}
}

// sleep reports whether d passed before the client or the server was gone.
func (s *Server) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closed:
	}
	return false
}

// later keeps an answer until it is time, or for ever.
type later struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newLater() *later { return &later{header: http.Header{}, status: http.StatusOK} }

func (l *later) Header() http.Header         { return l.header }
func (l *later) WriteHeader(status int)      { l.status = status }
func (l *later) Write(p []byte) (int, error) { return l.body.Write(p) }

func (l *later) writeTo(w http.ResponseWriter) {
	for k, v := range l.header {
		w.Header()[k] = v
	}
	w.WriteHeader(l.status)
	_, _ = l.body.WriteTo(w)
}

func writePage(w http.ResponseWriter, status int, title string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html><head><title>%s</title></head><body><h1>%s</h1></body></html>\n", title, title)
}
