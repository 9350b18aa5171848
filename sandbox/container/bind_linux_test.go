package container_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/moby/moby/client"
)

// someone is the user of a runner that is not root.
const someone = 45678

// nonRoot is a runner of its own process, whose user may use the engine and is not
// root: the test program in the mode that victim describes.
type nonRoot struct {
	t       *testing.T
	program string
	env     []string
	group   uint32
	parent  string // of workspaces
}

func newNonRoot(t *testing.T) *nonRoot {
	t.Helper()
	l := engine(t)
	socket, local := strings.CutPrefix(l.engine.DaemonHost(), "unix://")
	if os.Getuid() != 0 || !local {
		cannot(t, "a runner that is not root: the test has to be, and the engine's socket on this machine")
	}
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	// t.TempDir is root's alone.
	dir, err := os.MkdirTemp("", "other-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &nonRoot{t: t, program: filepath.Join(dir, "runner"), group: info.Sys().(*syscall.Stat_t).Gid, parent: filepath.Join(dir, "work")}
	helper := filepath.Join(dir, "helper")
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Chmod(dir, 0o755), os.WriteFile(n.program, program, 0o755), os.WriteFile(helper, l.helper, 0o644), //nolint:gosec // another user's
		os.Mkdir(n.parent, 0o755), os.Chown(n.parent, someone, someone),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	n.env = append(os.Environ(), "HOME="+dir, victim+fmt.Sprintf("=bind-%d-%d", os.Getpid(), counter.Add(1)), victim+"_HELPER="+helper, victim+"_BIND="+n.parent)
	return n
}

// start starts it; until returns its next line of that word.
func (n *nonRoot) start(env ...string) (cmd *exec.Cmd, until func(word string) string) {
	n.t.Helper()
	cmd = exec.Command(n.program)
	cmd.Env = append(n.env, env...)
	cmd.Stderr = n.t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: someone, Gid: n.group}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill() // or it has ended
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	return cmd, func(word string) string {
		n.t.Helper()
		for lines.Scan() {
			if lines.Text() == word || strings.HasPrefix(lines.Text(), word+" ") {
				return lines.Text()
			}
		}
		n.t.Fatalf("the runner has ended before it said %q", word)
		return ""
	}
}

// folders are the workspaces that are there.
func (n *nonRoot) folders() (names []string) {
	n.t.Helper()
	entries, err := os.ReadDir(n.parent)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestBindOfAnotherUser: what the container's users have made in a folder of this
// machine is removed with the job, by a runner that could not remove it itself.
func TestBindOfAnotherUser(t *testing.T) {
	n := newNonRoot(t)
	_, until := n.start(victim+"_SLEEP=0", victim+"_MARK=1")
	until("open")
	if len(n.folders()) != 1 {
		t.Fatalf("the workspaces are %v", n.folders())
	}
	same(t, "Close", until("closed"), "closed <nil>")
	if left := n.folders(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestBindOfAKilledRunner: the next start removes it, and nobody else's.
func TestBindOfAKilledRunner(t *testing.T) {
	n := newNonRoot(t)
	others := filepath.Join(n.parent, "otelrunner-0badcafe-task-1")
	if err := os.Mkdir(others, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, until := n.start(victim+"_SLEEP=60", victim+"_MARK=1")
	until("running")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if len(n.folders()) != 2 {
		t.Fatalf("the workspaces are %v", n.folders())
	}
	_, until = n.start(victim + "_DOES=sweep")
	swept := until("swept")
	if !strings.HasSuffix(swept, "<nil>") {
		t.Error(swept)
	}
	same(t, "left", strings.Join(n.folders(), " "), filepath.Base(others))
	images, err := engine(t).engine.ImageList(t.Context(), client.ImageListOptions{Filters: client.Filters{}.Add("dangling", "true")})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range images.Items {
		if i.Size == 0 {
			t.Errorf("the image without files is left: %s", i.ID)
		}
	}
}
