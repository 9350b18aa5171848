package shell

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"otelrunner/sandbox/wasm/guest/pipe"
)

// fifos are the pipes of process substitutions, by the paths that the
// interpreter invents for them.
type fifos struct {
	mu    sync.Mutex
	pipes map[string]*ends
	sinks sync.WaitGroup // >( ) that still run
}

type ends struct {
	r *pipe.Reader
	w *pipe.Writer
}

// fifoPrefix begins the names that the interpreter gives to fifos.
const fifoPrefix = "sh-interp-"

func newFifos() *fifos { return &fifos{pipes: map[string]*ends{}} }

// OpenSpecial opens one end of a fifo; the second end of a pair removes it.
func (f *fifos) OpenSpecial(name string, flag int) (io.ReadWriteCloser, bool, error) {
	if !strings.HasPrefix(filepath.Base(name), fifoPrefix) {
		return nil, false, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.pipes[name]
	if e == nil {
		r, w := pipe.New()
		e = &ends{r, w}
		f.pipes[name] = e
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		return fifoEnd{nil, e.w, e.w}, true, nil
	}
	if flag&os.O_EXCL == 0 {
		return fifoEnd{e.r, nil, e.r}, true, nil
	}
	f.sinks.Add(1) // build/patch.go marks the reader of a >( ) so
	return fifoEnd{e.r, nil, &sinkCloser{r: e.r, done: f.sinks.Done}}, true, nil
}

type fifoEnd struct {
	io.Reader
	io.Writer
	io.Closer
}

type sinkCloser struct {
	r    *pipe.Reader
	once sync.Once
	done func()
}

func (c *sinkCloser) Close() error {
	c.once.Do(c.done)
	return c.r.Close()
}

// wait gives readers of substitutions a moment to end after the script has.
func (f *fifos) wait() {
	f.mu.Lock()
	for _, e := range f.pipes {
		e.w.Close()
	}
	f.mu.Unlock()
	done := make(chan struct{})
	go func() {
		f.sinks.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Second):
	}
}
