//go:build linux

package host_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"otelrunner/sandbox"
	"otelrunner/sandbox/host"
)

// nobody is the user that the tests become where they are root.
const nobody = 65534

// helper runs a test of this binary in a process of its own, as another user if
// uid is not 0.
func helper(t *testing.T, test string, uid uint32, env ...string) *exec.Cmd {
	t.Helper()
	// The binary lies where only this user can reach it.
	path := filepath.Join(t.TempDir(), "test")
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir = "/"
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	return cmd
}

// TestUnprivileged runs the suite as a user who may not make control groups.
func TestUnprivileged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this is an unprivileged user already")
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, filepath.Dir(root), filepath.Dir(filepath.Dir(root))} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := helper(t, "TestConformance/groups", nobody, "HOME="+root, "TMPDIR="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDelegated runs a part of the suite as a user to whom a control group was
// delegated, as a systemd unit with Delegate=yes has one.
func TestDelegated(t *testing.T) {
	if os.Getenv("HOST_TEST_DELEGATED") != "" {
		s := open(t, provider(t, host.Options{}), sandbox.Spec{})
		defer closeBox(t, s)
		if details := strings.Join(s.Info().Details, " "); !strings.Contains(details, "control group") || strings.Contains(details, "may not") {
			t.Errorf("no control group is used: %s", details)
		}
		if got := output(t, s, "cat /proc/self/cgroup"); !strings.Contains(got, "/otelrunner-") {
			t.Errorf("the step runs in %s", got)
		}
		return
	}
	base := "/sys/fs/cgroup"
	if _, err := os.Stat(base + "/cgroup.procs"); err != nil {
		base += "/unified"
	}
	delegated := filepath.Join(base, fmt.Sprintf("host-test-%d", os.Getpid()))
	inner := filepath.Join(delegated, "inner")
	for _, dir := range []string{delegated, inner} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skip("this user may not make control groups:", err)
		}
		defer func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}()
		for _, name := range []string{"", "cgroup.procs", "cgroup.subtree_control"} {
			if err := os.Chown(filepath.Join(dir, name), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	root := t.TempDir()
	for _, dir := range []string{root, filepath.Dir(root)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	cmd := helper(t, "TestDelegated", nobody, "HOST_TEST_DELEGATED=1", "HOME="+root, "TMPDIR="+root)
	group, err := os.Open(inner)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = group.Close() }()
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = int(group.Fd())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDeadRunnerHelper is the runner that TestSweep kills.
func TestDeadRunnerHelper(t *testing.T) {
	root := os.Getenv("HOST_TEST_DEAD_ROOT")
	if root == "" {
		return // only TestSweep runs it, as a process of its own
	}
	p := provider(t, host.Options{Root: root, NoControlGroup: os.Getenv("HOST_TEST_NO_GROUP") != ""})
	s := open(t, p, sandbox.Spec{ID: "dead", Repository: "octo/dead"})
	beat := os.Getenv("HOST_TEST_BEAT")
	output(t, s, fmt.Sprintf(`mkdir -p ro/x; echo > ro/x/f; chmod 500 ro
(env -i PATH="$PATH" setsid sh -c '(while :; do echo x >> %s; sleep 0.02; done) &' > /dev/null 2>&1); while [ ! -s %s ]; do sleep 0.02; done`, beat, beat))
	fmt.Println("ready", os.Getpid())
	time.Sleep(time.Minute)
}

// TestSweep kills a runner with a job and starts another on the same root, beside
// a third that lives.
func TestSweep(t *testing.T) {
	for name, env := range map[string]string{"groups": "HOST_TEST_NO_GROUP=", "tracking": "HOST_TEST_NO_GROUP=1"} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			beat := filepath.Join(t.TempDir(), "beat")
			living := open(t, provider(t, host.Options{Root: root}), sandbox.Spec{ID: "living"})
			defer closeBox(t, living)
			output(t, living, "echo x > kept")

			cmd := helper(t, "TestDeadRunnerHelper", 0, "HOST_TEST_DEAD_ROOT="+root, "HOST_TEST_BEAT="+beat, env)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ready(t, out)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if _, err := os.Stat(filepath.Join(root, "dead")); err != nil {
				t.Fatal("the dead runner's folder is gone before anything has swept")
			}

			p := provider(t, host.Options{Root: root})
			if _, err := os.Lstat(filepath.Join(root, "dead")); err == nil {
				t.Error("the dead runner's folder is left")
			}
			before, _ := os.ReadFile(beat)
			time.Sleep(200 * time.Millisecond)
			if after, _ := os.ReadFile(beat); len(after) != len(before) {
				t.Error("the dead runner's process lives on")
			}
			if got := output(t, living, "cat kept"); got != "x\n" {
				t.Errorf("the living runner's file has %q", got)
			}
			closeBox(t, open(t, p, sandbox.Spec{ID: "dead"}))
		})
	}
}

// ready waits for the helper's line.
func ready(t *testing.T, out io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready") {
			return
		}
		t.Log(lines.Text())
	}
	t.Fatal("the helper has ended")
}

// TestDiskFull fills a small file system.
func TestDiskFull(t *testing.T) {
	root := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("this user may not mount:", err)
	}
	defer func() {
		if err := syscall.Unmount(root, 0); err != nil {
			t.Error(err)
		}
	}()
	s := open(t, provider(t, host.Options{Root: root}), sandbox.Spec{})
	_, err := s.Run(t.Context(), &sandbox.Command{Args: []string{"true"}, Files: []sandbox.File{{Path: "big", Data: make([]byte, 1<<20)}}})
	if err == nil || !strings.Contains(err.Error(), "no space left") || !strings.Contains(err.Error(), "free some space") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	closeBox(t, s)
}

// TestMountInJob has a step mount another folder into the workspace: Close must
// not empty it.
func TestMountInJob(t *testing.T) {
	precious := t.TempDir()
	if err := os.WriteFile(filepath.Join(precious, "f"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, provider(t, host.Options{}), sandbox.Spec{})
	point := filepath.Join(s.Info().Workspace, "a b")
	if err := os.Mkdir(point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(precious, point, "", syscall.MS_BIND, ""); err != nil {
		closeBox(t, s)
		t.Skip("this user may not mount:", err)
	}
	closeBox(t, s)
	if _, err := os.Stat(filepath.Join(precious, "f")); err != nil {
		t.Error("Close has gone through a mount:", err)
	}
	if _, err := os.Lstat(point); err == nil {
		t.Error("the workspace is left")
		_ = syscall.Unmount(point, 0)
	}
}

// TestRetiredFolder has the folder stay until Close.
func TestRetiredFolder(t *testing.T) {
	s := open(t, provider(t, host.Options{}), sandbox.Spec{})
	file := write(t, s, "file")
	if err := s.(sandbox.Retirer).Retire(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(file); err != nil {
		t.Errorf("Retire has removed what takes long to remove: %v", err)
	}
	closeBox(t, s)
	if _, err := os.Lstat(file); err == nil {
		t.Error("the folder is left")
	}
}

// TestCloseSaysWhatIsLeft has a file that nobody may remove.
func TestCloseSaysWhatIsLeft(t *testing.T) {
	root := t.TempDir()
	s := open(t, provider(t, host.Options{Root: root}), sandbox.Spec{})
	if out, err := exec.Command("chattr", "+i", write(t, s, "stuck")).CombinedOutput(); err != nil {
		closeBox(t, s)
		t.Skipf("no immutable files here: %v %s", err, out)
	}
	path := filepath.Join(s.Info().Workspace, "stuck")
	err := s.Close(t.Context())
	if err == nil || !strings.Contains(err.Error(), "stuck") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %v", err)
	}
	if out, err := exec.Command("chattr", "-i", path).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	provider(t, host.Options{Root: root}) // sweeps what is left
	if _, err := os.Lstat(path); err == nil {
		t.Error("the next start has not removed the rest")
	}
}

func write(t *testing.T, s sandbox.Sandbox, name string) string {
	t.Helper()
	if err := s.WriteFiles(t.Context(), []sandbox.File{{Path: name, Data: []byte("x")}}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(s.Info().Workspace, name)
}

// TestScrubbedMark has a daemon shed the mark too: as an adopted orphan it still
// ends, with its command or with the job.
func TestScrubbedMark(t *testing.T) {
	p := provider(t, host.Options{NoControlGroup: true})
	const script = `(env -i PATH="$PATH" setsid sh -c 'ulimit -S -m unlimited || ulimit -m unlimited; (sleep 61.5 & echo $! > pid) &' > /dev/null 2>&1); while [ ! -s pid ]; do sleep 0.02; done`
	running := func(s sandbox.Sandbox) func() bool {
		data, err := s.ReadFile(context.Background(), "pid", 100)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		limits, _ := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if strings.Contains(string(limits), "Max resident set          5") || strings.Contains(string(limits), "Max resident set          6") {
			t.Skip("this shell cannot shed the mark")
		}
		return func() bool {
			line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return err == nil && strings.Contains(string(line), "61.5")
		}
	}
	s := open(t, p, sandbox.Spec{})
	output(t, s, script)
	alive := running(s)
	if !alive() {
		t.Fatal("the daemon has not started")
	}
	closeBox(t, s)
	if alive() {
		t.Error("the daemon has outlived the job")
	}
	s = open(t, p, sandbox.Spec{})
	defer closeBox(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := s.Run(ctx, &sandbox.Command{Args: []string{"sh", "-c", script + "; sleep 60"}})
	if err == nil {
		t.Fatal("not cancelled")
	}
	if running(s)() {
		t.Error("the daemon has outlived its command")
	}
}

// TestProvidersSideBySide ends a job while one of another Provider has a daemon
// without any mark: it is left alone, and ends with its own job.
func TestProvidersSideBySide(t *testing.T) {
	o := host.Options{NoControlGroup: true}
	one, two := open(t, provider(t, o), sandbox.Spec{}), open(t, provider(t, o), sandbox.Spec{})
	pid := strings.TrimSpace(output(t, two, `(env -i PATH="$PATH" setsid sh -c 'ulimit -S -m unlimited || ulimit -m unlimited; (sleep 62.5 & echo $! > pid) &' > /dev/null 2>&1); while [ ! -s pid ]; do sleep 0.02; done; cat pid`))
	alive := func() bool {
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		return err == nil && strings.Contains(string(line), "62.5")
	}
	closeBox(t, one)
	if !alive() {
		t.Error("the end of one Provider's job has ended a process of another's")
	}
	closeBox(t, two)
	if alive() {
		t.Error("the daemon has outlived the job")
	}
}
