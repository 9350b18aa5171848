package sandboxtest

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"otelrunner/sandbox"
)

// errStop is the cause of the suite's cancels.
var errStop = errors.New("stopped by the suite")

// treeTime is the longest that a tree may live after its end was due.
const treeTime = 2 * time.Second

// cancelled runs a command, cancels it when the file "up" is there, and returns
// how long Run took after that.
func (b *box) cancelled(c *sandbox.Command) (sandbox.Result, time.Duration, error) {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	defer cancel(nil)
	type outcome struct {
		res sandbox.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := b.Run(ctx, c)
		done <- outcome{res, err}
	}()
	b.waitFor("up")
	start := time.Now()
	cancel(errStop)
	o := <-done
	return o.res, time.Since(start), o.err
}

func testCancel(t *testing.T, h Harness) {
	t.Run("before it starts", func(t *testing.T) {
		b := h.open(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errStop)
		_, err := b.Run(ctx, b.script("echo ran > ran"))
		want(t, "is the cause", errors.Is(err, errStop), true)
		want(t, "ran", b.read("ran"), "")
	})
	t.Run("deadline", func(t *testing.T) {
		b := h.open(t)
		// How long a command takes until it has written depends on the sandbox and on
		// the machine: a deadline that was too early for it is tried again, longer.
		for limit := 100 * time.Millisecond; ; limit *= 4 {
			ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errStop)
			start := time.Now()
			c := b.script("echo data > out; while :; do :; done")
			c.Collect = []string{"out"}
			res, err := b.Run(ctx, c)
			cancel()
			want(t, "is the cause", errors.Is(err, errStop), true)
			if d := time.Since(start); d > limit+c.Grace+2*time.Second {
				t.Errorf("Run took %v with a deadline of %v", d, limit)
			}
			if len(res.Collected["out"]) == 0 && limit < 10*time.Second {
				continue
			}
			want(t, "collected", string(res.Collected["out"]), "data\n")
			break
		}
		want(t, "the next command", b.sh("echo fine"), "fine")
	})
	if h.NoProcesses {
		return
	}
	t.Run("asks before it kills", func(t *testing.T) {
		b := h.open(t)
		var out buffer
		c := b.script(`trap 'echo bye; sleep 0.2; echo data > out; exit 9' TERM; echo x > up; while :; do sleep 0.02; done`)
		c.Grace, c.Collect, c.Stdout = 5*time.Second, []string{"out"}, &out
		res, took, err := b.cancelled(c)
		want(t, "is the cause", errors.Is(err, errStop), true)
		want(t, "output", out.String(), "bye\n")
		want(t, "collected", string(res.Collected["out"]), "data\n")
		want(t, "exit code", res.ExitCode, 9)
		if took > 4*time.Second {
			t.Errorf("Run waited %v: for the whole grace period, though nothing was left", took)
		}
	})
	t.Run("kills at once without grace", func(t *testing.T) {
		b := h.open(t)
		c := b.script(`trap 'echo data > out; exit 9' TERM; echo x > up; while :; do sleep 0.02; done`)
		c.Grace, c.Collect = 0, []string{"out"}
		res, took, _ := b.cancelled(c)
		want(t, "exit code", res.ExitCode, 137)
		want(t, "collected", len(res.Collected), 0)
		if took > time.Second {
			t.Errorf("Run took %v", took)
		}
	})
	for _, tree := range trees(h) {
		t.Run("kills "+tree.name, func(t *testing.T) {
			b := h.open(t)
			c := b.script(tree.script + "; echo x > up; " + tree.wait)
			_, took, err := b.cancelled(c)
			want(t, "is the cause", errors.Is(err, errStop), true)
			if took > treeTime || took > c.Grace+time.Second+200*time.Millisecond {
				t.Errorf("Run took %v after the cancel", took)
			}
			if tree.beats && b.read("beat") == "" {
				t.Fatal("the process never ran")
			}
			if b.beats(soon) {
				t.Error("a process of the tree lives on")
			}
			want(t, "the next command", b.sh("echo fine"), "fine")
		})
	}
	t.Run("a blocked writer does not hold it up", func(t *testing.T) {
		b := h.open(t)
		release := make(chan struct{})
		defer close(release)
		defer b.close() // must not wait for it either
		c := b.script("echo x > up; while :; do printf '%8192s' x; done")
		c.Stdout = writerFunc(func(p []byte) (int, error) { <-release; return len(p), nil })
		_, took, err := b.cancelled(c)
		want(t, "is the cause", errors.Is(err, errStop), true)
		if took > c.Grace+time.Second+200*time.Millisecond {
			t.Errorf("Run took %v after the cancel", took)
		}
	})
	t.Run("leaves the background of earlier commands", func(t *testing.T) {
		b := h.open(t)
		b.sh("(" + heartbeat + ") > /dev/null 2>&1 &")
		b.waitFor("beat")
		_, _, _ = b.cancelled(b.script("echo x > up; sleep 60"))
		want(t, "the earlier command's process lives", b.beats(late), true)
	})
}

type treeCase struct {
	name, script, wait string
	beats              bool
}

// trees are process trees that do not want to end.
func trees(h Harness) []treeCase {
	beat := "sh -c '" + heartbeat + "'"
	deaf := `sh -c 'trap "" TERM INT HUP; ` + heartbeat + "'"
	sleep := "sleep 60"
	cases := []treeCase{
		{"a child in the foreground", "true", heartbeat, false},
		{"a background process", beat + " & while [ ! -s beat ]; do sleep 0.02; done", sleep, true},
		{"a process that ignores signals", deaf + " & while [ ! -s beat ]; do sleep 0.02; done", `trap "" TERM INT HUP; while :; do sleep 0.05; done`, true},
		{"a nohup process", "nohup " + beat + " > /dev/null 2>&1 & while [ ! -s beat ]; do sleep 0.02; done", sleep, true},
		{"an orphan", "( " + deaf + " & ) ; while [ ! -s beat ]; do sleep 0.02; done", sleep, true},
		{"a stopped process", beat + " & p=$!; while [ ! -s beat ]; do sleep 0.02; done; kill -STOP $p", sleep, true},
		{"a storm of forks", `f() { [ "$1" -gt 0 ] && { f $(($1-1)) & f $(($1-1)) & } ; ` + heartbeat + `; }; f 5 & while [ ! -s beat ]; do sleep 0.02; done`, sleep, true},
		{"a process that makes itself anew", `hop() { echo beat >> beat; sleep 0.01; hop & exit; }; hop & while [ ! -s beat ]; do sleep 0.02; done`, sleep, true},
	}
	if h.NoSetsid {
		return cases
	}
	return append(cases,
		treeCase{"a session of its own", "setsid " + deaf + " & while [ ! -s beat ]; do sleep 0.02; done", sleep, true},
		treeCase{"a daemon", "( setsid sh -c '(" + strings.ReplaceAll(deaf, "'", `'\''`) + " &)' ) > /dev/null 2>&1; while [ ! -s beat ]; do sleep 0.02; done", sleep, true},
		treeCase{"a daemon without environment", "( env -i setsid /bin/sh -c '(PATH=/usr/bin:/bin; " + heartbeat + ") &' ) > /dev/null 2>&1; while [ ! -s beat ]; do sleep 0.02; done", sleep, true},
		treeCase{"sessions that follow one another", `cat > hop <<'END'
echo beat >> beat
sleep 0.01
setsid sh ./hop > /dev/null 2>&1 &
END
setsid sh ./hop & while [ ! -s beat ]; do sleep 0.02; done`, sleep, true},
	)
}

func testBackground(t *testing.T, h Harness) {
	if h.NoProcesses {
		return // it has none
	}
	t.Run("an open pipe does not hang Run", func(t *testing.T) {
		b := h.open(t)
		start := time.Now()
		out, res := b.run(b.script("echo first; (" + heartbeat + ") & echo last"))
		want(t, "exit code", res.ExitCode, 0)
		want(t, "output", out, "first\nlast\n")
		if d := time.Since(start); d > time.Second {
			t.Errorf("Run took %v", d)
		}
		b.waitFor("beat")
		want(t, "it lives on", b.beats(late), true)
	})
	t.Run("one that writes on is neither killed nor heard", func(t *testing.T) {
		b := h.open(t)
		var out buffer
		c := b.script("(while :; do echo noise; echo beat >> beat; sleep 0.02; done) & echo mine; sleep 0.1")
		c.Stdout, c.Stderr = &out, &out
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := b.Run(ctx, c); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("Run took %v", d)
		}
		heard := out.String()
		want(t, "its own output", strings.Contains(heard, "mine\n"), true)
		want(t, "the background process lives on", b.beats(late), true)
		want(t, "it is heard after Run", out.String() != heard, false)
	})
	t.Run("the last lines of a tee", func(t *testing.T) {
		b := h.open(t)
		out, _ := b.run(b.script(`mkfifo p; { cat p; sleep 0.02; echo end; } & exec > p; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo over`))
		if !strings.HasSuffix(out, "over\nend\n") || strings.Count(out, "\n") != 2002 {
			t.Errorf("%d lines came through", strings.Count(out, "\n"))
		}
	})
}

func testClose(t *testing.T, h Harness) {
	t.Run("removes everything", func(t *testing.T) {
		b := h.open(t)
		ws, temp := b.Info().Workspace, b.Info().Temp
		b.sh("mkdir -p a/b; echo x > a/b/f; ln -s / root; ln -s /etc etc; chmod 444 a/b/f; chmod 500 a/b; chmod 000 a")
		b.close()
		if !h.Outside {
			return
		}
		for _, folder := range []string{ws, temp} {
			if _, err := os.Lstat(folder); err == nil {
				t.Errorf("%s is left", folder)
			}
		}
		if _, err := os.Stat("/etc"); err != nil {
			t.Error("Close has followed a symbolic link")
		}
	})
	if h.NoProcesses || !h.Outside {
		return
	}
	some := h.open(t)
	_, retires := some.Sandbox.(sandbox.Retirer)
	some.close()
	for _, tree := range trees(h) {
		if !tree.beats {
			continue
		}
		t.Run("ends "+tree.name, func(t *testing.T) {
			testEnds(t, h, tree.script, func(b *box) { b.close() })
		})
		if !retires {
			continue
		}
		t.Run("retires "+tree.name, func(t *testing.T) {
			testEnds(t, h, tree.script, func(b *box) {
				if err := b.Sandbox.(sandbox.Retirer).Retire(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// testEnds has a script leave a tree of processes, and looks whether any of them
// lives when end has ended them.
func testEnds(t *testing.T, h Harness, script string, end func(*box)) {
	b := h.open(t)
	outside := t.TempDir() + "/beat"
	script = strings.ReplaceAll(script, ">> beat", ">> "+outside)
	script = strings.ReplaceAll(script, "-s beat", "-s "+outside)
	b.run(b.script(script))
	start := time.Now()
	end(b)
	if d := time.Since(start); d > treeTime {
		t.Errorf("it took %v", d)
	}
	size := func() int64 {
		info, err := os.Stat(outside)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	time.Sleep(soon)
	if size() != before {
		t.Error("a process has outlived the job")
	}
}
