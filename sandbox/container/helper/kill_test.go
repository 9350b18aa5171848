//go:build linux

package main_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/stream"
)

// TestOnlyTheHelperIsLeft cancels trees that resist: two seconds later there is
// no process but the first one, and it has no zombies.
func TestOnlyTheHelperIsLeft(t *testing.T) {
	namespaces(t)
	b := open(t, provider{start: start{namespace: true}})
	for name, script := range map[string]string{
		"a daemon without environment": `(env -i setsid /bin/sh -c 'trap "" TERM; while :; do /bin/sleep 0.02; done' &) ; touch up; sleep 60`,
		"a fork storm":                 `f() { sh -c 'setsid sleep 60 & setsid sleep 60 &' ; }; i=0; while [ $i -lt 50 ]; do f & i=$((i+1)); done; touch up; sleep 60`,
		"one that is anew":             `hop() { sleep 0.01; hop & exit; }; hop & touch up; trap "" TERM; while :; do sleep 0.05; done`,
		"a stopped one":                `sleep 60 & kill -STOP $!; touch up; wait`,
		"one that closes everything":   `exec 0<&- 1>&- 2>&-; sleep 60 & touch up; wait`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for ctx.Err() == nil {
					if _, err := b.ReadFile(ctx, "up", 1); err == nil {
						cancel()
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			_, err := b.Run(ctx, &sandbox.Command{Args: []string{"sh", "-c", script}, Grace: 100 * time.Millisecond, Remove: []string{"up"}})
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			deadline := time.Now().Add(2 * time.Second)
			for left := b.others(t); left != ""; left = b.others(t) {
				if time.Now().After(deadline) {
					t.Fatalf("left:\n%s", left)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	// The look at the processes must be able to see some.
	b.output(t, "sleep 60 > /dev/null 2>&1 &")
	got := b.others(t)
	for deadline := time.Now().Add(2 * time.Second); !strings.Contains(got, "(sleep)") && time.Now().Before(deadline); got = b.others(t) {
		time.Sleep(20 * time.Millisecond) // the shell's child becomes it
	}
	if strings.Count(got, "\n") != 0 || !strings.Contains(got, "(sleep)") {
		t.Errorf("processes are %q, want one sleep", got)
	}
}

// others lists the processes of the namespace but for the first one and the look.
func (b *box) others(t *testing.T) string {
	t.Helper()
	var others []string
	look := ""
	for line := range strings.Lines(b.output(t, `echo $$; cat /proc/[0-9]*/stat 2> /dev/null; exit 0`)) {
		pid, rest, ok := strings.Cut(line, " ")
		if !ok { // the first line: the look's shell
			look = strings.TrimSpace(pid)
			continue
		}
		if pid != "1" && pid != look && !strings.HasPrefix(rest, "(cat) ") {
			others = append(others, strings.TrimSpace(line))
		}
	}
	return strings.Join(others, "\n")
}

// TestEnds has every way in which a helper is told to end: it takes all processes
// along, and the runner has a sentence.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(t *testing.T, b *box)
		want string
	}{
		"SIGTERM":               {func(t *testing.T, b *box) { _ = b.process.cmd.Process.Signal(syscall.SIGTERM) }, "told to end"},
		"SIGKILL":               {func(t *testing.T, b *box) { _ = b.process.cmd.Process.Kill() }, "gone"},
		"the end of its input":  {func(t *testing.T, b *box) { _ = b.process.WriteCloser.Close() }, "gone"},
		"nonsense on its input": {func(t *testing.T, b *box) { _, _ = b.process.Write([]byte(strings.Repeat("nonsense", 10))) }, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, provider{start: start{stderr: io.Discard}})
			pid := b.output(t, "sleep 60 > /dev/null 2>&1 & echo $!")
			done := make(chan error, 1)
			go func() {
				_, err := b.Run(context.Background(), &sandbox.Command{Args: []string{"sleep", "60"}})
				done <- err
			}()
			time.Sleep(50 * time.Millisecond)
			c.end(t, b)
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("Run goes on")
			}
			_ = b.process.wait()
			if name == "SIGKILL" { // where it is a first process, the kernel kills all
				_ = exec.Command("kill", pid).Run()
				return
			}
			if number, _ := strconv.Atoi(pid); syscall.Kill(number, 0) == nil {
				t.Error("a background process lives on")
			}
		})
	}
}

// TestOrphansAreReaped makes many orphans, which must not stay as zombies.
func TestOrphansAreReaped(t *testing.T) {
	namespaces(t)
	b := open(t, provider{start: start{namespace: true}})
	zombies := `cat /proc/[0-9]*/stat 2> /dev/null | awk '$3 == "Z"' | wc -l`
	b.output(t, `i=0; while [ $i -lt 200 ]; do (true &); i=$((i+1)); done`)
	deadline := time.Now().Add(2 * time.Second)
	for b.output(t, zombies) != "0" {
		if time.Now().After(deadline) {
			t.Fatalf("%s zombies", b.output(t, zombies))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestOutOfReach has a command that looks for the helper's stream.
func TestOutOfReach(t *testing.T) {
	namespaces(t)
	b := open(t, provider{start: start{namespace: true}, user: "65534:65534"})
	for _, script := range []string{"ls /proc/1/fd/", "echo junk > /proc/1/fd/11", "kill -KILL 1", "kill -STOP 1", "cat /proc/1/environ", "cat /proc/1/mem"} {
		if res, err := b.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", script}}); err != nil || res.ExitCode == 0 {
			t.Errorf("%s: exit code %d, %v", script, res.ExitCode, err)
		}
	}
	// Also as the same user as the helper, where it has no right to trace, as in
	// containers of Docker.
	root := open(t, provider{start: start{namespace: true, without: "-all"}})
	for _, script := range []string{"readlink /proc/1/fd/11", "echo junk > /proc/1/fd/11", "cat /proc/1/environ", "cat /proc/1/mem"} {
		if res, err := root.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", script}}); err != nil || res.ExitCode == 0 {
			t.Errorf("as the same user: %s: exit code %d, %v", script, res.ExitCode, err)
		}
	}
	for _, script := range []string{"kill -KILL 1; kill -STOP 1; true", "exec 3<&0 4>&1; cat /proc/self/fd/0; ls -l /proc/self/fd"} {
		root.output(t, script)
	}
	if got := root.output(t, "readlink /proc/self/fd/0"); got != "/dev/null" {
		t.Errorf("standard input is %s", got)
	}
	if got := root.output(t, "for f in /proc/self/fd/*; do echo ${f##*/}; done | sort -n | tail -1"); got > "4" {
		t.Errorf("a command inherits file descriptor %s", got)
	}
}

// TestEnvironment has the image's environment, the job's and the command's.
func TestEnvironment(t *testing.T) {
	p := provider{start: start{env: []string{"PATH=/usr/bin:/bin", "OF_IMAGE=yes", "GODEBUG=", "HOME=/of/image"}}}
	b := open(t, p)
	if got := b.output(t, `echo "$OF_IMAGE $HOME $PATH"`); got != "yes /of/image /usr/bin:/bin" {
		t.Errorf("%q", got)
	}
	if h := b.Hello(); h.Path != "/usr/bin:/bin" || h.Home != "/of/image" || h.OS != "linux" || h.Arch != runtime.GOARCH || h.UID != os.Getuid() {
		t.Errorf("%+v", h)
	}
	// Programs expect signals in their usual state.
	got := b.output(t, "grep -E '^Sig(Ign|Blk)' /proc/self/status")
	for line := range strings.Lines(got) {
		name, hex, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		set, err := strconv.ParseUint(hex, 16, 64)
		// Only the classic signals: those above may come from this test's parent.
		if classic := set & (1<<31 - 1); err != nil || classic != 0 {
			t.Errorf("signals of commands: %s is %s", name, hex)
		}
	}
}

// TestUser runs as another user of the machine.
func TestUser(t *testing.T) {
	namespaces(t)
	p := provider{start: start{namespace: true}, user: "nobody"}
	b := open(t, p)
	if got := b.output(t, "id -un; stat -c %U . ; touch mine && stat -c %U mine; id -G"); strings.Fields(got)[0] != "nobody" || strings.Count(got, "nobody") != 3 {
		t.Errorf("%q", got)
	}
	if err := b.WriteFiles(t.Context(), []sandbox.File{{Path: "deep/written", Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	if got := b.output(t, "stat -c %U deep deep/written | sort -u; rm -r deep"); got != "nobody" {
		t.Errorf("written as %q", got)
	}
	// What the user may not read or write, no request of the job can.
	if _, err := b.ReadFile(t.Context(), "/etc/shadow", 1<<20); err == nil {
		t.Error("the user's file methods read /etc/shadow")
	}
	b.output(t, "ln -s /etc/helper-test-must-not-be link")
	if err := b.WriteFiles(t.Context(), []sandbox.File{{Path: "link", Data: []byte("x")}}); err == nil {
		t.Error("the user's file methods write into /etc")
	}
	// A program that has become root dies as well.
	proc := start{}.process(t)
	c, err := stream.NewClient(t.Context(), proc, stream.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Setup(t.Context(), stream.Setup{Workspace: t.TempDir(), Temp: t.TempDir(), User: "no-such-user"}); err == nil || !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("error %v", err)
	}
}

// TestMillionLines has all lines in order, while other calls go on.
func TestMillionLines(t *testing.T) {
	b := open(t, provider{})
	const lines = 1_000_000
	r, w := io.Pipe()
	var bad atomic.Value
	counted := make(chan int)
	go func() {
		n := 0
		for s := bufio.NewScanner(r); s.Scan(); n++ {
			if want := strconv.Itoa(n + 1); s.Text() != want && bad.Load() == nil {
				bad.Store(fmt.Sprintf("line %d is %q", n+1, s.Text()))
			}
		}
		counted <- n
	}()
	start := time.Now()
	if _, err := b.Run(t.Context(), &sandbox.Command{Args: []string{"seq", "1", strconv.Itoa(lines)}, Stdout: w, Stderr: w}); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	if n := <-counted; n != lines || bad.Load() != nil {
		t.Errorf("%d lines, %v", n, bad.Load())
	}
	t.Logf("%d lines in %v", lines, time.Since(start))
}

// TestSlowWriter stops a command's output without stopping anything else, and
// within bounded memory.
func TestSlowWriter(t *testing.T) {
	b := open(t, provider{})
	release := make(chan struct{})
	var out bytes.Buffer
	done := make(chan error, 1)
	go func() {
		_, err := b.Run(context.Background(), &sandbox.Command{
			Args:   []string{"sh", "-c", "head -c 5000000 /dev/zero; echo x > over"},
			Stdout: blocking{release, &out},
		})
		done <- err
	}()
	for range 20 {
		if _, err := b.LookPath(t.Context(), "sh", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadFile(t.Context(), "/etc/passwd", 1<<20); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadFile(t.Context(), "over", 10); err == nil {
			t.Fatal("the command went on though nobody took its output")
		}
	}
	close(release)
	if err := <-done; err != nil || out.Len() != 5_000_000 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
}

type blocking struct {
	release <-chan struct{}
	to      io.Writer
}

func (w blocking) Write(p []byte) (int, error) {
	<-w.release
	return w.to.Write(p)
}

// TestTimes has the times at which a program wrote, not those of arrival.
func TestTimes(t *testing.T) {
	b := open(t, provider{})
	w := &timed{}
	before := time.Now()
	if _, err := b.Run(t.Context(), &sandbox.Command{Args: []string{"sh", "-c", "echo 1; sleep 0.3; echo 2"}, Stdout: w}); err != nil {
		t.Fatal(err)
	}
	if len(w.times) != 2 {
		t.Fatalf("%d writes", len(w.times))
	}
	if gap := w.times[1].Sub(w.times[0]); gap < 250*time.Millisecond || w.times[0].Before(before) || w.times[1].After(time.Now()) {
		t.Errorf("%v apart: %v", gap, w.times)
	}
}

type timed struct{ times []time.Time }

func (w *timed) Write(p []byte) (int, error) { return 0, errors.New("it has no time") }

func (w *timed) WriteTimed(at time.Time, p []byte) (int, error) {
	w.times = append(w.times, at)
	return len(p), nil
}
