package stream_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/stream"
	"otelrunner/sandbox/stream/wire"
)

// recording is a peer whose words are fixed, and which takes whatever it is sent.
type recording struct {
	io.Reader
	closed chan struct{}
	once   sync.Once
}

func (r *recording) Write(p []byte) (int, error) { return len(p), nil }

func (r *recording) Close() error {
	r.once.Do(func() { close(r.closed) })
	return nil
}

// FuzzClient has a peer say anything after its hello. Whatever it is, every call
// returns, what it returns is within the bounds that were asked for, and memory
// stays in proportion.
func FuzzClient(f *testing.F) {
	frames := func(list ...wire.Frame) []byte {
		var b []byte
		for _, frame := range list {
			b = wire.AppendFrame(b, frame)
		}
		return b
	}
	result := func(e *wire.Encoder) {
		e.Byte(byte(wire.RecordStdout))
		e.Uint(1)
		e.String("out\n")
		e.Byte(byte(wire.RecordCollected))
		e.Uint(0)
		e.String("data")
		e.Byte(byte(wire.RecordResult))
		e.Int(3)
		e.Uint(1000)
		e.Uint(1000)
		wire.AppendStatus(e, nil)
	}
	f.Add(frames(data(1, result), wire.Frame{Kind: wire.KindEnd, Stream: 1}))
	f.Add(frames(data(1, result), wire.Frame{Kind: wire.KindReset, Stream: 2, Payload: []byte("no")},
		data(3, func(e *wire.Encoder) { wire.AppendStatus(e, nil); e.String("/bin/true") })))
	f.Add(frames(wire.Frame{Kind: wire.KindPing, Payload: make([]byte, 8)}, wire.Frame{Kind: wire.KindWindow, Stream: 1, Payload: []byte{0, 0, 0, 1}},
		wire.Frame{Kind: wire.KindGoodbye, Payload: []byte("bye")}))
	for id := uint32(1); id < 5; id++ {
		f.Add(frames(data(id, func(e *wire.Encoder) { wire.AppendStatus(e, nil); e.String("127.0.0.1:1") }),
			data(id+1, func(e *wire.Encoder) { wire.AppendStatus(e, nil); e.String("POST / HTTP/1.1") }), wire.Frame{Kind: wire.KindEnd, Stream: id + 1}))
	}
	for _, e := range []func(*wire.Encoder){
		func(e *wire.Encoder) { e.Byte(byte(wire.RecordStdout)); e.Uint(1 << 60); e.Uint(1 << 60) },
		func(e *wire.Encoder) { wire.AppendStatus(e, io.EOF) },
	} {
		f.Add(frames(data(1, e), data(2, e), data(3, e)))
	}
	f.Fuzz(func(t *testing.T, words []byte) {
		r := &recording{closed: make(chan struct{}), Reader: io.MultiReader(bytes.NewReader(hello().Frame()), bytes.NewReader(words))}
		c, err := stream.NewClient(t.Context(), r, stream.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var out bytes.Buffer
		res, _ := c.Run(ctx, &sandbox.Command{Args: []string{"x"}, Stdout: &out, Stderr: &out, Collect: []string{"a", "b"}, CollectLimit: 100})
		for name, data := range res.Collected {
			if len(data) > 100 || name != "a" && name != "b" {
				t.Errorf("collected %d bytes of %s", len(data), name)
			}
		}
		if out.Len() > len(words) || res.ExitCode < -1 || res.ExitCode > 255 || res.Usage.CPU < 0 || res.Usage.PeakMemory < 0 {
			t.Errorf("%d bytes of output, %+v", out.Len(), res)
		}
		if data, _ := c.ReadFile(ctx, "x", 10); len(data) > 10 {
			t.Errorf("read %d bytes", len(data))
		}
		_, _ = c.LookPath(ctx, "x", nil)
		_, _ = c.Forward(ctx, func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			return near, far.Close()
		})
		_, _ = c.Stage(ctx, "x", fstest.MapFS{"f": {Data: []byte("x")}})
		if ctx.Err() != nil {
			t.Error("a call hangs")
		}
		_ = c.Close()
		<-r.closed
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20+64*uint64(len(words)) {
			t.Errorf("%d bytes were allocated for %d", grown, len(words))
		}
	})
}
