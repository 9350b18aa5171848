package container_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/container"
)

// proxy is a socket before the engine's that writes down requests.
type proxy struct {
	socket string
	mu     sync.Mutex
	calls  []string
	server net.Listener
	conns  []net.Conn
}

func newProxy(t testing.TB) *proxy {
	t.Helper()
	p := &proxy{socket: filepath.Join(t.TempDir(), "docker.sock")}
	p.listen(t)
	return p
}

// listen makes the engine reachable, until cut.
func (p *proxy) listen(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.server = listener
	p.mu.Unlock()
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn)
		}
	}()
}

// cut is the end of an engine, for who talks to it.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.server.Close()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	engine, err := net.Dial("unix", "/var/run/docker.sock")
	if err != nil {
		return
	}
	defer engine.Close()
	p.mu.Lock()
	p.conns = append(p.conns, conn, engine)
	p.mu.Unlock()
	go func() {
		_, _ = io.Copy(conn, engine)
		_ = conn.Close()
	}()
	_, _ = io.Copy(engine, io.TeeReader(conn, p))
	if half, ok := engine.(*net.UnixConn); ok {
		_ = half.CloseWrite()
	}
}

// Write looks for request lines. A request begins a Write: clients flush them.
func (p *proxy) Write(b []byte) (int, error) {
	line, _, _ := strings.Cut(string(b[:min(len(b), 200)]), "\r\n")
	method, rest, ok := strings.Cut(line, " ")
	if path, ok2 := strings.CutSuffix(rest, " HTTP/1.1"); ok && ok2 {
		path, _, _ = strings.Cut(path, "?")
		p.mu.Lock()
		p.calls = append(p.calls, method+" "+path)
		p.mu.Unlock()
	}
	return len(b), nil
}

// since returns the calls from the nth on.
func (p *proxy) since(n int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls[n:])
}

// TestCalls: a job takes few calls of the engine's API, a step none.
func TestCalls(t *testing.T) {
	l := engine(t)
	x := newProxy(t)
	p := l.provider(t, container.Options{Host: "unix://" + x.socket})
	closeBox(t, open(t2{t}, p, newSpec())) // version and helper are known from here on
	before := len(x.since(0))
	s, err := p.Open(t.Context(), newSpec())
	if err != nil {
		t.Fatal(err)
	}
	opened := x.since(before)
	if len(opened) > 5 { // network, image, create, attach, start
		t.Errorf("Open took %d calls: %v", len(opened), opened)
	}
	for range 21 {
		sh(t, s, "true")
	}
	if calls := x.since(before + len(opened)); len(calls) > 0 {
		t.Errorf("steps took %d calls: %v", len(calls), calls)
	}
	closeBox(t, s)
	if calls := x.since(before + len(opened)); len(calls) > 3 { // container, network, one more for its endpoints
		t.Errorf("Close took %d calls: %v", len(calls), calls)
	}
	t.Logf("Open: %v", opened)
}

// t2 is a test whose Cleanup does nothing: what is opened is closed by hand.
type t2 struct{ testing.TB }

func (t2) Cleanup(func()) {}

// BenchmarkJob measures jobs, cold and with a container that was kept ready, with
// floors of this machine measured in the same run. The table is for people:
//
//	go test -run - -bench Job -benchtime 10x ./sandbox/container
func BenchmarkJob(b *testing.B) {
	l := engine(b)
	for _, standby := range []int{0, 1} {
		for _, steps := range []int{1, 21} {
			b.Run(fmt.Sprintf("standby=%d/steps=%d", standby, steps), func(b *testing.B) { benchJob(b, l, standby, steps) })
		}
	}
}

func benchJob(b *testing.B, l *laboratory, standby, steps int) {
	x := newProxy(b)
	p := l.provider(b, container.Options{Host: "unix://" + x.socket, Standby: standby})
	closeBox(b, open(t2{b}, p, newSpec()))
	p.Warm(busybox)
	var opening, stepping, closing, execs, forks []time.Duration
	calls := 0
	for b.Loop() {
		for standby > 0 && p.Warmed(busybox) == 0 {
			time.Sleep(20 * time.Millisecond)
		}
		before := len(x.since(0))
		start := time.Now()
		s, err := p.Open(context.Background(), newSpec())
		if err != nil {
			b.Fatal(err)
		}
		opening = append(opening, time.Since(start))
		calls += len(x.since(before))
		for range steps {
			start = time.Now()
			if _, err := s.Run(context.Background(), &sandbox.Command{Args: []string{"sh", "-c", "true"}, Stdout: io.Discard,
				Files: []sandbox.File{{Path: "/workspace/_temp/env"}}, Collect: []string{"/workspace/_temp/env"}, Remove: []string{"/workspace/_temp/env"}}); err != nil {
				b.Fatal(err)
			}
			stepping = append(stepping, time.Since(start))
		}
		execs = append(execs, timed(func() error { return exec.Command("docker", "exec", s.Info().JobContainer.ID, "true").Run() }))
		forks = append(forks, timed(func() error { return exec.Command("/bin/busybox", "sh", "-c", "true").Run() }))
		start = time.Now()
		closeBox(b, s)
		closing = append(closing, time.Since(start))
	}
	step := median(stepping)
	b.ReportMetric(ms(median(opening)), "open-ms")
	b.ReportMetric(ms(step), "step-ms")
	b.ReportMetric(ms(median(closing)), "close-ms")
	b.ReportMetric(float64(step)/float64(median(execs)), "step/docker-exec")
	b.ReportMetric(float64(step)/float64(median(forks)), "step/fork+exec")
	b.ReportMetric(ms(median(opening)+time.Duration(steps)*step), "job-ms")
	if standby == 0 {
		b.ReportMetric(float64(calls)/float64(len(opening)), "calls/open")
	}
}

func timed(do func() error) time.Duration {
	start := time.Now()
	_ = do() // without the program, it shows as a very short time
	return time.Since(start)
}

func median(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
