package host

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"otelrunner/sandbox"
)

// streams are the three ends of a command's standard files.
type streams struct {
	buffers *buffers

	pumps []*pump
	inner []*os.File // the process's ends, closed here once it has them
	stdin *feed
}

// openStreams makes the pipes of c and gives the process's ends to cmd. Where
// both outputs go to the same Writer, they get one pipe, which keeps their order.
func openStreams(cmd *exec.Cmd, c *sandbox.Command, b *buffers) (*streams, error) {
	s := &streams{buffers: b}
	out, err := s.output(c.Stdout)
	if err != nil {
		return nil, err
	}
	errOut := out
	if !sameWriter(c.Stdout, c.Stderr) {
		if errOut, err = s.output(c.Stderr); err != nil {
			s.started()
			s.abandon()
			return nil, err
		}
	}
	if c.Stdin != nil {
		r, w, err := os.Pipe()
		if err != nil {
			s.started()
			s.abandon()
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		s.inner = append(s.inner, r)
		s.stdin = &feed{pipe: w, done: make(chan struct{})}
		cmd.Stdin = r
		go s.stdin.run(c.Stdin)
	}
	// A nil *os.File in an interface is not nil.
	if out != nil {
		cmd.Stdout = out
	}
	if errOut != nil {
		cmd.Stderr = errOut
	}
	return s, nil
}

func (s *streams) output(w io.Writer) (*os.File, error) {
	if w == nil {
		return nil, nil
	}
	r, inner, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	p := &pump{pipe: r, writer: w, buffers: s.buffers, done: make(chan struct{})}
	s.pumps = append(s.pumps, p)
	s.inner = append(s.inner, inner)
	go p.run()
	return inner, nil
}

// sameWriter reports a == b; values that cannot be compared are not the same.
func sameWriter(a, b io.Writer) (same bool) {
	defer func() {
		if recover() != nil {
			same = false
		}
	}()
	return a == b
}

// started closes the process's ends, so that a pipe ends with its last holder.
func (s *streams) started() {
	for _, f := range s.inner {
		_ = f.Close()
	}
}

// abandon waits for the pumps of a command that never started.
func (s *streams) abandon() {
	for _, p := range s.pumps {
		<-p.done
	}
	s.stdin.stop()
}

// settle waits until all that the command wrote before it ended has been
// written on. Processes that it left may hold the pipes open for as long as they
// like: their readers go on, without a Writer, and are returned.
func (s *streams) settle() (lingering []*pump) {
	s.stdin.stop()
	ended := time.Now()
	for _, p := range s.pumps {
		if !p.settle(ended) {
			lingering = append(lingering, p)
		}
	}
	return lingering
}

// cut is settle for a command whose tree has been killed: nothing more comes,
// and a Writer that is stuck must not hold up the end for longer than limit.
func (s *streams) cut(limit time.Duration) (lingering []*pump) {
	s.stdin.stop()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	late := false
	for _, p := range s.pumps {
		if !late {
			select {
			case <-p.done:
				continue
			case <-timeout.C:
				late = true
			}
		}
		p.detach()
		lingering = append(lingering, p)
	}
	return lingering
}

// feed copies a Reader to the process's standard input.
type feed struct {
	pipe *os.File
	done chan struct{}
}

func (f *feed) run(r io.Reader) {
	defer close(f.done)
	// A process that does not read to the end is not in error.
	_, _ = io.Copy(f.pipe, r)
	_ = f.pipe.Close()
}

// feedTime is what a Reader gets to return after its process has ended.
const feedTime = 50 * time.Millisecond

func (f *feed) stop() {
	if f == nil {
		return
	}
	_ = f.pipe.Close() // ends a write that waits for a reader
	select {
	case <-f.done:
	case <-time.After(feedTime):
	}
}
