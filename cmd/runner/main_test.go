package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"otelrunner/runner/gitea/giteatest"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "runner-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "runner")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	flags, err := linkerFlags("1.2.3-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-ldflags", flags, "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the program: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// linkerFlags are those of `make build`.
func linkerFlags(version string) (string, error) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(makefile)) {
		if flags, ok := strings.CutPrefix(line, "LDFLAGS :="); ok {
			return strings.ReplaceAll(strings.TrimSpace(flags), "$(VERSION)", version), nil
		}
	}
	return "", errors.New("the Makefile has no LDFLAGS")
}

// rig is a folder in which the program is run, and a server.
type rig struct {
	t      *testing.T
	dir    string
	work   string // where host jobs work
	server *giteatest.Server
	url    string
	env    []string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), work: filepath.Join(t.TempDir(), "work")}
	r.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(r.dir, "home"), "LANG=C.UTF-8",
		"OTELRUNNER_HOST_WORKDIR_PARENT=" + r.work, "SystemRoot=" + os.Getenv("SystemRoot"),
		"OTELRUNNER_CONTAINER_DOCKER_HOST=unix:///nowhere/docker.sock", "OTELRUNNER_CONTAINER_DOCKER_TIMEOUT=0s",
	}
	return r
}

// withServer starts a server for the rig.
func (r *rig) withServer(o giteatest.Options) *rig {
	r.t.Helper()
	r.server = giteatest.New(o)
	r.t.Cleanup(r.server.Close)
	url, err := r.server.Start()
	if err != nil {
		r.t.Fatal(err)
	}
	r.url = url
	return r
}

func (r *rig) write(name, text string) string {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return file
}

// process is the program, running.
type process struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr safeBuffer
	ended          chan struct{}
	err            error
}

// safeBuffer may be read, and waited for, while it is written to.
type safeBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	written chan struct{} // closed by the next write; nil: nobody waits
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written != nil {
		close(b.written)
		b.written = nil
	}
	return b.b.Write(p)
}

// next returns what was written, and a channel that is closed when more is.
func (b *safeBuffer) next() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.written == nil {
		b.written = make(chan struct{})
	}
	return b.b.String(), b.written
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (r *rig) start(args ...string) *process {
	r.t.Helper()
	return r.startAs(func(*exec.Cmd) {}, nil, args...)
}

// startWith runs the program under another one.
func (r *rig) startWith(under []string, args ...string) *process {
	r.t.Helper()
	return r.startAs(func(*exec.Cmd) {}, under, args...)
}

// startAs has the command changed before it starts.
func (r *rig) startAs(change func(*exec.Cmd), under []string, args ...string) *process {
	r.t.Helper()
	p := &process{t: r.t, ended: make(chan struct{})}
	all := append(append(under[:len(under):len(under)], binary), args...)
	p.cmd = exec.Command(all[0], all[1:]...)
	p.cmd.Dir, p.cmd.Env = r.dir, r.env
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	change(p.cmd)
	if err := p.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	r.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Fatalf("the program does not end; it said:\n%s%s", p.stdout.String(), p.stderr.String())
	}
	var exit *exec.ExitError
	switch {
	case p.err == nil:
		return 0
	case errors.As(p.err, &exit):
		return exit.ExitCode()
	}
	p.t.Fatal(p.err)
	return -1
}

// until waits until cond holds of what the program has said on standard error.
func (p *process) until(what string, cond func(stderr string) bool) {
	p.t.Helper()
	ctx := within(p.t, time.Minute)
	for {
		said, more := p.stderr.next()
		if cond(said) {
			return
		}
		select {
		case <-more:
		case <-p.ended:
			if !cond(p.stderr.String()) {
				p.t.Fatalf("the program has ended before %s:\n%s", what, p.stderr.String())
			}
			return
		case <-ctx.Done():
			p.t.Fatalf("waited in vain for %s:\n%s", what, p.stderr.String())
		}
	}
}

// says waits until the program has said something on standard error.
func (p *process) says(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q", text), func(stderr string) bool { return strings.Contains(stderr, text) })
}

// field waits until a JSON line of the program's log has a field, and returns its
// value, a text.
func (p *process) field(name string) (value string) {
	p.t.Helper()
	pattern := regexp.MustCompile(`"` + name + `":"([^"]+)"`)
	p.until("the field "+name, func(stderr string) bool {
		if m := pattern.FindStringSubmatch(stderr); m != nil {
			value = m[1]
		}
		return value != ""
	})
	return value
}

// address is that of the metrics server, by a log in JSON.
func (p *process) address() string {
	p.t.Helper()
	return p.field("address")
}

// run runs the program to its end.
func (r *rig) run(args ...string) (stdout, stderr string, code int) {
	r.t.Helper()
	p := r.start(args...)
	code = p.wait()
	return p.stdout.String(), p.stderr.String(), code
}

func (r *rig) register(args ...string) {
	r.t.Helper()
	all := append([]string{"register", "--instance", r.url, "--token", giteatest.DefaultToken, "--name", "e2e", "--labels", "linux:host"}, args...)
	if _, stderr, code := r.run(all...); code != 0 {
		r.t.Fatalf("register: exit code %d: %s", code, stderr)
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	return within(t, 20*time.Second)
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}
