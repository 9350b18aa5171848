package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"otelrunner/runner/gitea/giteatest"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what is written to keys is typed.
type terminal struct{ keys, side *os.File }

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	if err := unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	side, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = side.Close() })
	return &terminal{keys, side}
}

// echoes reports whether the terminal shows what is typed.
func (x *terminal) echoes(t *testing.T) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(x.side.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// dialog starts a command on the terminal; its output is a process's.
func (r *rig) dialog(x *terminal, args ...string) *process {
	r.t.Helper()
	return r.startAs(func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.SysProcAttr = x.side, &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}, nil, args...)
}

// answer waits for a question and types what follows.
func (p *process) answer(x *terminal, question, keys string) {
	p.t.Helper()
	waitFor(p.t, p, question, func() bool { return strings.HasSuffix(p.stderr.String(), question) })
	if _, err := x.keys.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

func TestRegisterAsks(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	x := newTerminal(t)
	p := r.dialog(x, "register", "--name", "asked")
	p.answer(x, "URL of the Gitea server: ", "git.example.org\r")
	p.answer(x, "like https://gitea.example.org\nURL of the Gitea server: ", r.url+"\r")
	p.answer(x, "registration token (not shown): ", giteatest.DefaultToken+"\r")
	p.answer(x, "labels [linux:host]: ", "a:host,b:vm://x\r")
	p.answer(x, "labels [linux:host]: ", "\r")
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.stderr.String())
	}
	contains(t, "the output", p.stdout.String(), `registered "asked" at `+r.url+" with the labels linux:host")
	if strings.Contains(p.stderr.String(), giteatest.DefaultToken) || !x.echoes(t) {
		t.Errorf("the token was shown, or what is typed is not shown afterwards: %s", p.stderr.String())
	}
}

// An interrupt at the question for the token leaves a terminal that shows what is
// typed.
func TestRegisterIsInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t).withServer(giteatest.Options{})
	x := newTerminal(t)
	p := r.dialog(x, "register", "--instance", r.url)
	p.answer(x, "registration token (not shown): ", "half a tok\x03")
	if code := p.wait(); code != 1 {
		t.Errorf("exit code %d: %s", code, p.stderr.String())
	}
	contains(t, "standard error", p.stderr.String(), "runner: read the registration token: interrupted")
	if !x.echoes(t) {
		t.Error("the terminal does not show what is typed")
	}
	if _, err := os.Stat(filepath.Join(r.dir, ".runner")); err == nil {
		t.Error("a registration file was written")
	}
}
