// Package serve is the helper's half of a stream: it does what a stream.Client
// asks for, in a Place.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/staging"
	"otelrunner/sandbox/stream/wire"
)

// Place is where a job is to run.
type Place interface {
	// Hello describes the place.
	Hello() wire.Hello
	// Open makes it a job's. It is called at most once.
	Open(wire.Setup) (Box, wire.Session, error)
}

// Box is a place that has been given to a job: the methods of sandbox.Sandbox,
// with their contract, but that trees to be staged come entry by entry.
type Box interface {
	Run(ctx context.Context, c *sandbox.Command) (sandbox.Result, error)
	LookPath(ctx context.Context, name string, path []string) (string, error)
	ReadFile(ctx context.Context, path string, limit int64) ([]byte, error)
	WriteFiles(ctx context.Context, files []sandbox.File) error
	HashFiles(ctx context.Context, dir string, patterns []string, followSymlinks bool) (string, error)

	// StageEntries makes a tree from what next returns until io.EOF: folders
	// before what they hold, and the content of regular files, which is valid
	// until the next call.
	StageEntries(ctx context.Context, name string, next func() (staging.Entry, io.Reader, error)) (string, error)

	// ImportEntries puts such a tree into a folder, over what is there.
	ImportEntries(ctx context.Context, dir string, next func() (staging.Entry, io.Reader, error)) error

	// Close ends every process of the job.
	Close(ctx context.Context) error
}

// CloseTime bounds the end of the job's processes when the stream has ended.
const CloseTime = 5 * time.Second

// Serve says hello on rwc and serves until the stream ends, or stop has a value,
// whose value is the reason that the peer is told. When it returns, the job's
// processes have ended, or the error says what is left or what was wrong with the
// stream.
func Serve(rwc io.ReadWriteCloser, place Place, stop <-chan string) error {
	if _, err := rwc.Write(place.Hello().Frame()); err != nil {
		return fmt.Errorf("say hello to the runner: %w", err)
	}
	s := &server{place: place}
	// The stream's end tells the runner that everything has ended.
	defer func() { _ = rwc.Close() }()
	conn := wire.NewConn(keepOpen{rwc}, rwc, wire.Config{Accept: s.accept})
	select {
	case <-conn.Done():
	case reason := <-stop:
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_ = conn.Goodbye(ctx, reason)
		cancel()
	}
	// The end of the connection ends the context of every call.
	conn.Close(nil)
	s.forward.close()
	conn.WaitAccepted()
	err := fault(conn.Err())
	if box, _ := s.opened(); box != nil {
		ctx, cancel := context.WithTimeout(context.Background(), CloseTime)
		defer cancel()
		err = errors.Join(err, box.Close(ctx))
	}
	return err
}

// fault returns nil for the regular ends of a connection.
func fault(err error) error {
	var goodbye *wire.GoodbyeError
	gone := errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE)
	if errors.As(err, &goodbye) || errors.Is(err, wire.ErrClosed) || gone {
		return nil
	}
	return fmt.Errorf("the stream to the runner: %w", err)
}

// keepOpen keeps a connection from closing what it runs on.
type keepOpen struct{ io.ReadWriter }

func (keepOpen) Close() error { return nil }

type server struct {
	place   Place
	running sync.Mutex // held by the command that runs
	forward forward

	mu  sync.Mutex
	set bool
	box Box
}

var errNoJob = errors.New("this place has not been given to a job")

func (s *server) opened() (Box, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.box == nil {
		return nil, errNoJob
	}
	return s.box, nil
}

// accept serves one call. A panic ends the call and not the helper.
func (s *server) accept(stream *wire.Stream) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "a call has failed: %v\n%s", p, debug.Stack())
			stream.Reset(fmt.Sprintf("the helper has a fault: %v", p))
		}
	}()
	c := &call{stream: stream, in: wire.NewDecoder(stream), out: &wire.Encoder{}}
	err := s.serve(c)
	if c.in.Err() != nil {
		stream.Reset("the call is not valid: " + c.in.Err().Error())
		return
	}
	if c.answered {
		return
	}
	status := &wire.Encoder{}
	wire.AppendStatus(status, err)
	if err == nil {
		status.Bytes = append(status.Bytes, c.out.Bytes...)
	}
	if _, err := stream.Write(status.Bytes); err == nil {
		stream.CloseWrite()
		// What failed early is still being sent.
		_, _ = io.Copy(io.Discard, c.in.Rest())
	}
}

// call is one call: what is read from in are its arguments, what is in out is
// sent after a status that says that it has succeeded.
type call struct {
	stream   *wire.Stream
	in       *wire.Decoder
	out      *wire.Encoder
	answered bool
}

func (s *server) serve(c *call) error {
	method := wire.Method(c.in.Byte())
	if method == wire.MethodSetup {
		return s.setup(c)
	}
	box, err := s.opened()
	if err != nil {
		return err
	}
	ctx := c.stream.Context()
	switch method {
	case wire.MethodRun:
		return s.run(c, box)
	case wire.MethodStage:
		return stage(c, box)
	case wire.MethodImport:
		return box.ImportEntries(ctx, c.in.String(wire.MaxPath), entries(c))
	case wire.MethodLookPath:
		name, path := c.in.String(wire.MaxPath), c.in.Strings(wire.MaxCount, wire.MaxPath)
		return answer(c, func() (string, error) { return box.LookPath(ctx, name, path) })
	case wire.MethodReadFile:
		name, limit := c.in.String(wire.MaxPath), int64(c.in.Uint(wire.MaxFile))
		return answer(c, func() ([]byte, error) { return box.ReadFile(ctx, name, limit) })
	case wire.MethodHashFiles:
		dir, patterns, follow := c.in.String(wire.MaxPath), c.in.Strings(wire.MaxCount, wire.MaxArg), c.in.Bool()
		return answer(c, func() (string, error) { return box.HashFiles(ctx, dir, patterns, follow) })
	case wire.MethodWriteFiles:
		files := wire.DecodeFiles(c.in)
		if c.in.Err() != nil {
			return c.in.Err()
		}
		return box.WriteFiles(ctx, files)
	case wire.MethodListen:
		return answer(c, s.forward.listen)
	case wire.MethodAccept:
		return s.forward.accept(c)
	}
	c.in.Violation("there is no method %d", method)
	return c.in.Err()
}

// answer calls work, unless the arguments were wrong, and sends its result.
func answer[T string | []byte](c *call, work func() (T, error)) error {
	if c.in.Err() != nil {
		return c.in.Err()
	}
	result, err := work()
	if err == nil {
		c.out.String(string(result))
	}
	return err
}

func (s *server) setup(c *call) error {
	setup := wire.DecodeSetup(c.in)
	if c.in.Err() != nil {
		return c.in.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set {
		return errors.New("this place has been given to a job before")
	}
	s.set = true
	box, session, err := s.place.Open(setup)
	if err != nil {
		return err
	}
	s.box = box
	session.Append(c.out)
	return nil
}

func stage(c *call, box Box) error {
	name := c.in.String(wire.MaxPath)
	path, err := box.StageEntries(c.stream.Context(), name, entries(c))
	c.out.String(path)
	return err
}

// entries reads a tree.
func entries(c *call) func() (staging.Entry, io.Reader, error) {
	var content io.Reader
	return func() (staging.Entry, io.Reader, error) {
		if content != nil { // what was not read of the last one
			_, _ = io.Copy(io.Discard, content)
			content = nil
		}
		more := c.in.Bool()
		if c.in.Err() != nil {
			return staging.Entry{}, nil, c.in.Err()
		}
		if !more {
			return staging.Entry{}, nil, io.EOF
		}
		e := wire.DecodeEntry(c.in)
		if e.Mode.IsRegular() {
			content = c.in.Reader(e.Size)
		}
		return staging.Entry{Path: e.Path, Mode: e.Mode, Size: e.Size, Target: e.Target}, content, c.in.Err()
	}
}
