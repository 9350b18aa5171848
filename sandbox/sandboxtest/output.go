package sandboxtest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/sandbox"
)

func testOutput(t *testing.T, h Harness) {
	t.Run("one writer keeps the order", func(t *testing.T) {
		b := h.open(t)
		var out bytes.Buffer
		c := b.script("i=0; while [ $i -lt 500 ]; do echo o$i; echo e$i >&2; i=$((i+1)); done")
		// While the writer waits, much of both comes together.
		w := &waitingWriter{to: &out}
		c.Stdout, c.Stderr = w, w
		b.run(c)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		want(t, "number of lines", len(lines), 1000)
		for i, line := range lines {
			if prefix := "oe"[i%2 : i%2+1]; !strings.HasPrefix(line, prefix) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
	})
	t.Run("two writers", func(t *testing.T) {
		b := h.open(t)
		var out, errOut bytes.Buffer
		c := b.script("echo out; echo err >&2")
		c.Stdout, c.Stderr = &out, &errOut
		b.run(c)
		want(t, "stdout", out.String(), "out\n")
		want(t, "stderr", errOut.String(), "err\n")
	})
	t.Run("no writer", func(t *testing.T) {
		b := h.open(t)
		res, err := b.Run(t.Context(), b.script("echo out; echo err >&2; exit 3"))
		if err != nil {
			t.Fatal(err)
		}
		want(t, "exit code", res.ExitCode, 3)
	})
	t.Run("all bytes of a large output", func(t *testing.T) {
		b := h.open(t)
		var out bytes.Buffer
		c := b.script("i=0; while [ $i -lt 20000 ]; do echo $i-0123456789012345678901234567890123456789; i=$((i+1)); done; printf end")
		c.Stdout = &out
		b.run(c)
		want(t, "number of lines", strings.Count(out.String(), "\n"), 20000)
		want(t, "end", strings.HasSuffix(out.String(), "-0123456789012345678901234567890123456789\nend"), true)
	})
	t.Run("comes while the command runs", func(t *testing.T) {
		b := h.open(t)
		first := make(chan struct{})
		var once sync.Once
		c := b.script("echo now; while [ ! -e go ]; do sleep 0.02; done; echo done")
		c.Stdout = writerFunc(func(p []byte) (int, error) {
			once.Do(func() { close(first) })
			return len(p), nil
		})
		go func() {
			<-first
			_ = b.WriteFiles(t.Context(), []sandbox.File{{Path: "go", Data: []byte("x")}})
		}()
		_, res := b.run(c)
		want(t, "exit code", res.ExitCode, 0)
	})
	t.Run("a slow writer slows the command", func(t *testing.T) {
		b := h.open(t)
		release := make(chan struct{})
		blocked := make(chan struct{})
		var once sync.Once
		n := 0
		c := b.script("i=0; while [ $i -lt 400 ]; do printf '%8192s' x; echo $i > progress; i=$((i+1)); done")
		c.Stdout = writerFunc(func(p []byte) (int, error) {
			once.Do(func() { close(blocked) })
			<-release
			n += len(p)
			return len(p), nil
		})
		go func() {
			<-blocked
			defer close(release)
			// It goes on until the buffers between are full, and then no more.
			before := ""
			for range 50 {
				time.Sleep(300 * time.Millisecond)
				now := b.read("progress")
				if strings.TrimSpace(now) == "399" {
					t.Error("the command went on to its end while nobody took its output")
					return
				}
				if now == before && now != "" {
					return
				}
				before = now
			}
			t.Errorf("the command was still going on, at %q, while nobody took its output", before)
		}()
		b.run(c)
		want(t, "bytes written", n, 400*8192)
	})
	t.Run("a failing writer does not fail the command", func(t *testing.T) {
		b := h.open(t)
		c := b.script("i=0; while [ $i -lt 100 ]; do printf '%8192s' x; i=$((i+1)); done; exit 5")
		c.Stdout = writerFunc(func([]byte) (int, error) { return 0, errors.New("full") })
		_, res := b.run(c)
		want(t, "exit code", res.ExitCode, 5)
	})
}

// waitingWriter takes 20 ms for its first writes.
type waitingWriter struct {
	to     io.Writer
	writes int
}

func (w *waitingWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes < 10 {
		time.Sleep(20 * time.Millisecond)
	}
	return w.to.Write(p)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
