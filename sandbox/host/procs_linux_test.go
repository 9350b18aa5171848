package host

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"otelrunner/otel/oteltest"
)

func TestParseStat(t *testing.T) {
	stat := "42 (a) b (c) Z 1 2 3 0 -1 4194560 93 0 0 0 0 0 0 0 20 0 1 0 123456 0 0\n"
	got, ok := parseStat(42, []byte(stat))
	if want := (proc{pid: 42, ppid: 1, pgrp: 2, session: 3, dead: true, started: 123456}); !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, bad := range []string{"", "42 (x", "42 (x) S 1"} {
		if _, ok := parseStat(42, []byte(bad)); ok {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestMark(t *testing.T) {
	mark := makeMark(1<<43-1, 65535)
	if got, want := readMark(mark), (claim{known: true, job: 1<<43 - 1, command: 65535}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if mark>>63 != 0 {
		t.Errorf("mark %x is negative for who reads it as signed", mark)
	}
	for _, limit := range []uint64{0, 1 << 30, 1 << 40, unix.RLIM_INFINITY, 1<<63 - 1} {
		if got := readMark(limit); got.known {
			t.Errorf("limit %d is taken for a mark: %+v", limit, got)
		}
	}
}

// TestMarkIsInherited reads the mark of a grandchild that has done all that it
// can to be nobody's, and sees that this process keeps its own limit.
func TestMarkIsInherited(t *testing.T) {
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_RSS, &before); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "env -i setsid sh -c 'cat /proc/self/limits'")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := startMarked(cmd, makeMark(5, 6)); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4096)
	n, _ := out.Read(text)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := parseMark(text[:n]); got != (claim{known: true, job: 5, command: 6}) {
		t.Errorf("the mark is %+v in\n%s", got, text[:n])
	}
	if err := unix.Getrlimit(unix.RLIMIT_RSS, &after); err != nil || after != before {
		t.Errorf("this process's limit was %+v and is %+v", before, after)
	}
}

func TestFindGroupBase(t *testing.T) {
	hybrid := `30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:1 - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
`
	unified := "30 25 0:26 / /sys/fs/cgroup rw shared:4 master:1 - cgroup2 cgroup2 rw\n"
	partial := "30 25 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
	for _, c := range []struct{ mounts, groups, want string }{
		{hybrid, "4:memory:/x\n0::/\n", "/sys/fs/cgroup/unified"},
		{unified, "0::/system.slice/runner.service\n", "/sys/fs/cgroup/system.slice/runner.service"},
		{partial, "0::/docker/abc/in\n", "/sys/fs/cgroup/in"},
		{partial, "0::/elsewhere\n", ""},
		{unified, "4:memory:/x\n", ""},
		{"32 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n", "0::/\n", ""},
		{"", "", ""},
	} {
		if got := findGroupBase([]byte(c.mounts), []byte(c.groups)); got != c.want {
			t.Errorf("base %q, want %q", got, c.want)
		}
	}
}

func TestMountsBelow(t *testing.T) {
	table := `1 0 8:1 / / rw - ext4 x rw
2 1 8:1 / /jobs/a/work/m rw - ext4 x rw
3 1 8:1 / /jobs/ab rw - ext4 x rw
4 2 8:1 / /jobs/a/work/m/sp\040ace rw - ext4 x rw
5 1 8:1 / /jobs/a rw - tmpfs x rw
`
	got := mountsBelow([]byte(table), "/jobs/a")
	if want := []string{"/jobs/a/work/m", "/jobs/a/work/m/sp ace", "/jobs/a"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestOldGroup must never be led to remove anything that is not ours.
func TestOldGroup(t *testing.T) {
	plain := t.TempDir() + "/" + groupPrefix + "x"
	if err := os.Mkdir(plain, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"", "/", "/sys/fs/cgroup", plain, "/nowhere/" + groupPrefix + "x"} {
		if g := oldGroup(path); g != nil {
			t.Errorf("%s is taken for one of our groups", path)
		}
	}
}

// TestReaper adopts an orphan that ends, and leaves a child of exec.Cmd alone.
func TestReaper(t *testing.T) {
	adoptOrphans()
	self := selfStat()
	waited := exec.Command("true")
	if err := waited.Start(); err != nil { // in this session: not the reaper's
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", "-c", "setsid sh -c 'sleep 0.05' > /dev/null 2>&1 & echo $!").Output(); err != nil {
		t.Fatal(err, string(out))
	}
	orphans := func() int {
		return len(slices.DeleteFunc(processTable(), func(p proc) bool {
			return p.ppid != self.pid || !p.dead || p.session == self.session
		}))
	}
	deadline := time.Now().Add(5 * time.Second)
	for orphans() == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if orphans() == 0 {
		t.Skip("no orphan came to this process: it may not be a subreaper here")
	}
	seen := reapSeen(nil, self)
	if len(seen) == 0 || orphans() == 0 {
		t.Fatal("a zombie is reaped at first sight")
	}
	reapSeen(seen, self)
	if n := orphans(); n != 0 {
		t.Errorf("%d zombies are left", n)
	}
	if err := waited.Wait(); err != nil {
		t.Errorf("the end of another part's child was taken: %v", err)
	}
}

// TestRefusedGroups sees that a job goes on where the system has processes not
// start in groups.
func TestRefusedGroups(t *testing.T) {
	p := newProcesses(false)
	tr, err := p.open("refused")
	if err != nil {
		t.Fatal(err)
	}
	tr.(*tree).group = cgroup(t.TempDir()) // a folder, but no control group
	cmd, c, err := tr.start(func() *exec.Cmd { return exec.Command("sh", "-c", "exit 3") })
	if err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	c.release()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !p.refused.Load() {
		t.Errorf("exit code %d, refused %v", code, p.refused.Load())
	}
	_ = os.Remove(tr.(*tree).group.path())
	tr.(*tree).group = nil
	if err := tr.destroy(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLeftErrorNamesProcesses(t *testing.T) {
	err := leftError([]proc{{pid: 12}, {pid: 34}})
	if !strings.Contains(err.Error(), "12, 34") {
		t.Error(err)
	}
}

func TestRemoveOldGroups(t *testing.T) {
	base := groupBase()
	if base == "" || !probeGroup(base) {
		t.Skip("no control groups can be made here")
	}
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	old := base + "/" + groupPrefix + strconv.Itoa(dead.Process.Pid) + "-job"
	if err := os.MkdirAll(old+"/1", 0o755); err != nil {
		t.Fatal(err)
	}
	mine, err := makeGroup(base, "living")
	if err != nil {
		t.Fatal(err)
	}
	removeOldGroups(base)
	if _, err := os.Stat(old); err == nil {
		t.Error("a dead runner's empty group is left")
		_ = os.Remove(old + "/1")
		_ = os.Remove(old)
	}
	if _, err := os.Stat(mine.path()); err != nil {
		t.Error("a living runner's group is gone")
	}
	_ = mine.remove()
}

// TestNobodyElseStaysStopped takes a process for a job's in the first look only:
// it is stopped then, and has to go on afterwards.
func TestNobodyElseStaysStopped(t *testing.T) {
	p := newProcesses(false)
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	state := func() proc {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		is, _ := parseStat(cmd.Process.Pid, stat)
		return is
	}
	obeyed := func(stopped bool) {
		t.Helper()
		oteltest.Eventually(t, "a signal", func() error {
			if is := state(); is.dead || is.stopped != stopped {
				return fmt.Errorf("the process is %+v", is)
			}
			return nil
		})
	}
	looks := 0
	err := p.kill(t.Context(), nil, func() suspect {
		s := suspect{self: p.self.pid, session: p.self.session, job: 1}
		if looks++; looks == 1 {
			s.leaders = map[int]bool{cmd.Process.Pid: true}
		} else if looks == 2 {
			obeyed(true)
		}
		return s
	}, cmd.Process.Pid, p.looks())
	if err != nil {
		t.Fatal(err)
	}
	obeyed(false)
}
