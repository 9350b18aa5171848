package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/stream"
	"otelrunner/sandbox/stream/wire"
)

// peer is the far end of a stream under the control of a test.
type peer struct {
	t    testing.TB
	conn net.Conn
	r    *wire.FrameReader
}

// hello is a regular one.
func hello() wire.Hello {
	return wire.Hello{Build: "test", OS: "linux", Arch: "amd64", PID: 1, Path: "/bin", Home: "/root", Hostname: "box"}
}

// dial makes a client whose peer is in the hands of script, which runs in a
// goroutine of its own; its end does not close the connection. It must be called
// in a synctest bubble, and what it returns ends everything.
func dial(t *testing.T, o stream.Options, script func(*peer)) (*stream.Client, func()) {
	t.Helper()
	near, far := net.Pipe()
	p := &peer{t: t, conn: far, r: wire.NewFrameReader(far)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := far.Write(hello().Frame()); err == nil {
			script(p)
		}
	}()
	c, err := stream.NewClient(t.Context(), near, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, func() {
		_ = far.Close()
		_ = c.Close()
		<-done
	}
}

// next returns the next frame of the client with data, or an end, or a cancel.
func (p *peer) next() (wire.Frame, bool) {
	f, err := p.r.Read()
	f.Payload = bytes.Clone(f.Payload)
	return f, err == nil
}

// call waits for a call and returns the number of its stream.
func (p *peer) call() uint32 {
	for {
		f, ok := p.next()
		if !ok || f.Kind == wire.KindOpen {
			return f.Stream
		}
	}
}

func (p *peer) send(frames ...wire.Frame) {
	for _, f := range frames {
		if _, err := p.conn.Write(wire.AppendFrame(nil, f)); err != nil {
			return
		}
	}
}

// swallow reads what the client sends until it closes.
func (p *peer) swallow() { _, _ = io.Copy(io.Discard, p.conn) }

// encoded makes a payload.
func encoded(build func(e *wire.Encoder)) []byte {
	e := &wire.Encoder{}
	build(e)
	return e.Bytes
}

func data(id uint32, build func(e *wire.Encoder)) wire.Frame {
	return wire.Frame{Kind: wire.KindData, Stream: id, Payload: encoded(build)}
}

// lies are answers to a Run that collects "one" with a limit of 10 bytes and takes
// standard output only.
func lies() map[string]func(p *peer, id uint32) {
	result := func(e *wire.Encoder, code int64) {
		e.Byte(byte(wire.RecordResult))
		e.Int(code)
		e.Uint(0)
		e.Uint(0)
		wire.AppendStatus(e, nil)
	}
	collected := func(e *wire.Encoder, index uint64, size int) {
		e.Byte(byte(wire.RecordCollected))
		e.Uint(index)
		e.Data(make([]byte, size))
	}
	return map[string]func(p *peer, id uint32){
		"bytes that are no frame":    func(p *peer, _ uint32) { _, _ = p.conn.Write([]byte("standard output\nof a step\n")) },
		"a frame that is too long":   func(p *peer, id uint32) { _, _ = p.conn.Write([]byte{0, 1, 0, 1, 3, 0, 0, 0, 1}) },
		"a kind that is none":        func(p *peer, id uint32) { p.send(wire.Frame{Kind: 99, Stream: id}) },
		"a second hello":             func(p *peer, id uint32) { _, _ = p.conn.Write(hello().Frame()) },
		"a stream of its own":        func(p *peer, id uint32) { p.send(wire.Frame{Kind: wire.KindOpen, Stream: id + 1}) },
		"an end with data":           func(p *peer, id uint32) { p.send(wire.Frame{Kind: wire.KindEnd, Stream: id, Payload: []byte("x")}) },
		"a window of the wrong size": func(p *peer, id uint32) { p.send(wire.Frame{Kind: wire.KindWindow, Stream: id, Payload: []byte("x")}) },
		"too much credit": func(p *peer, id uint32) {
			p.send(wire.Frame{Kind: wire.KindWindow, Stream: id, Payload: []byte{255, 255, 255, 255}})
		},
		"data after the end": func(p *peer, id uint32) {
			p.send(wire.Frame{Kind: wire.KindEnd, Stream: id}, data(id, func(e *wire.Encoder) { e.Byte(1) }))
		},
		"an end without an answer": func(p *peer, id uint32) { p.send(wire.Frame{Kind: wire.KindEnd, Stream: id}) },
		"a reset": func(p *peer, id uint32) {
			p.send(wire.Frame{Kind: wire.KindReset, Stream: id, Payload: []byte("no\nreason")})
		},
		"a goodbye": func(p *peer, id uint32) {
			p.send(wire.Frame{Kind: wire.KindGoodbye, Payload: []byte("out of \x1b[31mpatience")})
		},
		"half a frame and the end": func(p *peer, id uint32) { _, _ = p.conn.Write([]byte{0, 0, 0, 9, 3, 0}); _ = p.conn.Close() },
		"nothing and the end":      func(p *peer, id uint32) { _ = p.conn.Close() },
		"a record that is none":    func(p *peer, id uint32) { p.send(data(id, func(e *wire.Encoder) { e.Byte(77) })) },
		"output that nobody wants": func(p *peer, id uint32) {
			p.send(data(id, func(e *wire.Encoder) { e.Byte(byte(wire.RecordStderr)); e.Uint(0); e.String("x") }))
		},
		"a piece of output without end": func(p *peer, id uint32) {
			p.send(data(id, func(e *wire.Encoder) { e.Byte(byte(wire.RecordStdout)); e.Uint(0); e.Uint(1 << 40) }))
		},
		"a number without end": func(p *peer, id uint32) {
			p.send(data(id, func(e *wire.Encoder) { e.Byte(1); e.Bytes = append(e.Bytes, bytes.Repeat([]byte{255}, 20)...) }))
		},
		"a file that nobody wants": func(p *peer, id uint32) { p.send(data(id, func(e *wire.Encoder) { collected(e, 1, 1) })) },
		"a file twice": func(p *peer, id uint32) {
			p.send(data(id, func(e *wire.Encoder) { collected(e, 0, 1); collected(e, 0, 1) }))
		},
		"a file over the limit": func(p *peer, id uint32) { p.send(data(id, func(e *wire.Encoder) { collected(e, 0, 11) })) },
		"an exit code of 256":   func(p *peer, id uint32) { p.send(data(id, func(e *wire.Encoder) { result(e, 256) })) },
		"an exit code of -2":    func(p *peer, id uint32) { p.send(data(id, func(e *wire.Encoder) { result(e, -2) })) },
		"more than its credit": func(p *peer, id uint32) {
			for range 2*wire.Window/wire.MaxPayload + 1 {
				p.send(wire.Frame{Kind: wire.KindData, Stream: id, Payload: bytes.Repeat([]byte{byte(wire.RecordStdout), 0, 1, 'x'}, wire.MaxPayload/4)})
			}
		},
	}
}

// TestLies has a peer that breaks every rule. Each ends in one error that names
// the peer, soon, and no call after it hangs.
func TestLies(t *testing.T) {
	for name, lie := range lies() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, end := dial(t, stream.Options{}, func(p *peer) {
					id := p.call()
					go p.swallow()
					lie(p, id)
				})
				defer end()
				out := writerFunc(func(b []byte) (int, error) {
					if name == "more than its credit" {
						<-t.Context().Done()
					}
					return len(b), nil
				})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if name == "more than its credit" {
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					defer cancel()
				}
				res, err := c.Run(ctx, &sandbox.Command{Args: []string{"true"}, Stdout: out, Collect: []string{"one"}, CollectLimit: 10})
				if err == nil || res.ExitCode != -1 {
					t.Fatalf("the lie is believed: %+v", res)
				}
				if strings.ContainsAny(err.Error(), "\n\x1b") {
					t.Errorf("the error has control characters: %q", err)
				}
				if name == "a reset" {
					return // one call's business
				}
				if c.Err() == nil || !strings.Contains(c.Err().Error(), "the container's first process") {
					t.Errorf("the stream's error is %v", c.Err())
				}
				if _, err := c.ReadFile(ctx, "x", 1); err == nil {
					t.Error("a call after it succeeds")
				}
			})
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestGreetings has what may come instead of a hello.
func TestGreetings(t *testing.T) {
	frame := hello().Frame()
	for name, c := range map[string]struct {
		send []byte
		want string
	}{
		"an error of the system": {[]byte("exec /helper: exec format error\n"), "exec format"},
		"nothing":                {nil, "without a word"},
		"a short word":           {[]byte("no"), `"no"`},
		"another version":        {bytes.Replace(frame, []byte(wire.Magic+strconv.Itoa(wire.Version)), []byte(wire.Magic+"99"), 1), "version"},
		"half a hello":           {frame[:len(frame)-3], "ends inside"},
		"a hello that lies":      {wire.AppendFrame(nil, wire.Frame{Kind: wire.KindHello, Payload: []byte(wire.Magic + strconv.Itoa(wire.Version) + "\n\xff\xff\xff\x7f")}), "number"},
		"another frame":          {wire.AppendFrame(nil, wire.Frame{Kind: wire.KindPing, Payload: make([]byte, 8)}), "instead of hello"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				go func() {
					_, _ = far.Write(c.send)
					_ = far.Close()
				}()
				_, err := stream.NewClient(t.Context(), near, stream.Options{Peer: "the box"})
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "the box") {
					t.Errorf("error %v, want %q in it", err, c.want)
				}
			})
		})
	}
	t.Run("silence", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := stream.NewClient(ctx, near, stream.Options{})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
		})
	})
}

// TestExplain replaces what this side saw by what the container's owner knows.
func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c, end := dial(t, stream.Options{Explain: func(_ context.Context, cause error) error {
			asked++
			return fmt.Errorf("the container was killed: it reached its memory limit of 5 MiB (%w)", cause)
		}}, func(p *peer) { p.call(); _ = p.conn.Close() })
		defer end()
		for range 3 {
			_, err := c.Run(t.Context(), &sandbox.Command{Args: []string{"true"}})
			if err == nil || !strings.Contains(err.Error(), "memory limit") {
				t.Errorf("error %v", err)
			}
		}
		if asked != 1 {
			t.Errorf("it was asked %d times", asked)
		}
	})
}

// TestSilence breaks the stream of a helper that gives no sign of life, once the
// job has begun.
func TestSilence(t *testing.T) {
	for name, answer := range map[string]bool{"deaf": false, "alive": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, end := dial(t, stream.Options{KeepAlive: 10 * time.Second}, func(p *peer) {
					id := p.call()
					p.send(data(id, func(e *wire.Encoder) {
						wire.AppendStatus(e, nil)
						wire.Session{Workspace: "/w", Temp: "/t", Home: "/"}.Append(e)
					}), wire.Frame{Kind: wire.KindEnd, Stream: id})
					for {
						f, ok := p.next()
						if !ok {
							return
						}
						if f.Kind == wire.KindPing && answer {
							p.send(wire.Frame{Kind: wire.KindPong, Payload: f.Payload})
						}
					}
				})
				defer end()
				time.Sleep(time.Hour) // before the job, silence is nothing
				if _, err := c.Setup(t.Context(), stream.Setup{Workspace: "/w", Temp: "/t"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(45 * time.Second)
				if got := c.Err() == nil; got != answer {
					t.Errorf("alive: %v, want %v (%v)", got, answer, c.Err())
				}
				if !answer && !strings.Contains(c.Err().Error(), "sign of life for 30s") {
					t.Errorf("error %v", c.Err())
				}
			})
		})
	}
}

// TestDisobedience cancels a command of a helper that does not care.
func TestDisobedience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := dial(t, stream.Options{}, func(p *peer) { p.call(); p.swallow() })
		defer end()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := c.Run(ctx, &sandbox.Command{Args: []string{"sleep", "1h"}, Grace: 2 * time.Second})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > time.Minute+3*time.Second {
			t.Errorf("Run took %v: %v", took, err)
		}
		if c.Err() != nil {
			t.Errorf("a helper on a busy machine got no time: %v", c.Err())
		}
		// The next command waits for the last, and ends with it.
		_, err = c.Run(t.Context(), &sandbox.Command{Args: []string{"true"}})
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "has not ended the command") || took > time.Minute+20*time.Second {
			t.Errorf("the next command: %v after %v", err, took)
		}
	})
}

// TestDeafPeer reads nothing: no call hangs longer than its context.
func TestDeafPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, end := dial(t, stream.Options{}, func(*peer) {})
		defer end()
		calls := map[string]func(context.Context) error{
			"Run": func(ctx context.Context) error {
				_, err := c.Run(ctx, &sandbox.Command{Args: []string{"true"}})
				return err
			},
			"ReadFile":  func(ctx context.Context) error { _, err := c.ReadFile(ctx, "x", 1); return err },
			"LookPath":  func(ctx context.Context) error { _, err := c.LookPath(ctx, "x", nil); return err },
			"HashFiles": func(ctx context.Context) error { _, err := c.HashFiles(ctx, "x", nil, false); return err },
			"WriteFiles": func(ctx context.Context) error {
				return c.WriteFiles(ctx, []sandbox.File{{Path: "x", Data: make([]byte, 1<<20)}})
			},
			"Stage": func(ctx context.Context) error {
				_, err := c.Stage(ctx, "x", fstest.MapFS{"f": {Data: make([]byte, 1<<20)}})
				return err
			},
			"Ping":     c.Ping,
			"Shutdown": c.Shutdown,
		}
		for name, call := range calls {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			err := call(ctx)
			cancel()
			if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 3*time.Second {
				t.Errorf("%s took %v: %v", name, took, err)
			}
		}
	})
}

// TestLiesAboutFiles has answers of the file methods that are none.
func TestLiesAboutFiles(t *testing.T) {
	ok := func(e *wire.Encoder) { wire.AppendStatus(e, nil) }
	for name, c := range map[string]struct {
		answer func(*wire.Encoder)
		call   func(*stream.Client) error
	}{
		"a file over its limit": {func(e *wire.Encoder) { ok(e); e.String("123456") },
			func(c *stream.Client) error { _, err := c.ReadFile(context.Background(), "x", 5); return err }},
		"a length of a petabyte": {func(e *wire.Encoder) { ok(e); e.Uint(1 << 50) },
			func(c *stream.Client) error { _, err := c.ReadFile(context.Background(), "x", 1<<60); return err }},
		"a sum that is none": {func(e *wire.Encoder) { ok(e); e.String("../../etc/passwd") },
			func(c *stream.Client) error {
				_, err := c.HashFiles(context.Background(), "x", nil, false)
				return err
			}},
		"a tree elsewhere": {func(e *wire.Encoder) { ok(e); e.String("/etc") },
			func(c *stream.Client) error {
				_, err := c.Stage(context.Background(), "x", fstest.MapFS{})
				return err
			}},
		"a status that is none": {func(e *wire.Encoder) { e.Byte(99); e.String(""); e.String("") },
			func(c *stream.Client) error { _, err := c.LookPath(context.Background(), "x", nil); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, end := dial(t, stream.Options{}, func(p *peer) {
					id := p.call()
					go p.swallow()
					p.send(data(id, c.answer), wire.Frame{Kind: wire.KindEnd, Stream: id})
				})
				defer end()
				if err := c.call(client); err == nil || client.Err() == nil {
					t.Errorf("error %v, the stream's %v", err, client.Err())
				}
			})
		})
	}
}

// TestErrors has the errors of the contract on the way.
func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := []error{
			&sandbox.NotFoundError{Name: "/abs/x", Hint: "install it"},
			&sandbox.DirError{Dir: "/nowhere"},
			&sandbox.LimitError{Limit: "files", Text: "too large"},
			&sandbox.LimitError{Limit: "a label\nof its own", Text: "too large"},
			fmt.Errorf("read x: %w", fs.ErrNotExist),
			fmt.Errorf("no: %w", sandbox.ErrUnsupported),
			errors.New("a text of\ntwo lines " + strings.Repeat("x", 1<<20)),
		}
		c, end := dial(t, stream.Options{}, func(p *peer) {
			for _, err := range errs {
				id := p.call()
				p.send(data(id, func(e *wire.Encoder) { wire.AppendStatus(e, err) }), wire.Frame{Kind: wire.KindEnd, Stream: id})
			}
			p.swallow()
		})
		defer end()
		var got []error
		for range errs {
			_, err := c.LookPath(t.Context(), "x", nil)
			got = append(got, err)
		}
		notFound, _ := errors.AsType[*sandbox.NotFoundError](got[0])
		dir, _ := errors.AsType[*sandbox.DirError](got[1])
		limit, _ := errors.AsType[*sandbox.LimitError](got[2])
		other, _ := errors.AsType[*sandbox.LimitError](got[3])
		switch {
		case notFound == nil || notFound.Name != "x" || notFound.Hint != "install it":
			t.Errorf("%#v", got[0])
		case dir == nil || dir.Dir != "/nowhere":
			t.Errorf("%#v", got[1])
		case limit == nil || limit.Limit != "files" || limit.Text != "too large":
			t.Errorf("%#v", got[2])
		case other == nil || other.Limit != "other":
			t.Errorf("%#v", got[3])
		case !errors.Is(got[4], fs.ErrNotExist):
			t.Errorf("%#v", got[4])
		case !errors.Is(got[5], sandbox.ErrUnsupported):
			t.Errorf("%#v", got[5])
		case strings.Contains(got[6].Error(), "\n") || len(got[6].Error()) > wire.MaxText:
			t.Errorf("%d bytes", len(got[6].Error()))
		case c.Err() != nil:
			t.Error(c.Err())
		}
	})
}
