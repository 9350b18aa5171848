package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// groupPrefix starts the names of our control groups; nothing else is ever
// removed. The runner's process number and the job's id follow.
const groupPrefix = "otelrunner-"

// cgroup is a control group of version 2 (cgroups(7)). No controllers are
// enabled in it: it only holds processes together.
type cgroup string

var _ group = cgroup("")

// groupBase returns the folder of this process's own control group, below which
// a job's can be made: "" where version 2 is not mounted (the unified and the
// hybrid layout have it), or where the kernel cannot kill a group (before 5.14).
func groupBase() string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	return findGroupBase(mounts, groups)
}

// findGroupBase reads the tables of mounts (proc_pid_mountinfo(5)) and of groups
// (cgroups(7), "0::PATH" for version 2).
func findGroupBase(mounts, groups []byte) string {
	own := ""
	for line := range strings.Lines(string(groups)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			own = path
		}
	}
	if own == "" {
		return ""
	}
	for line := range bytes.Lines(mounts) {
		before, after, _ := strings.Cut(string(line), " - ")
		fields := strings.Fields(before)
		kind, _, _ := strings.Cut(after, " ")
		if kind != "cgroup2" || len(fields) < 5 {
			continue
		}
		// The mount may show a part of the hierarchy only.
		below, err := filepath.Rel(unescapeMount(fields[3]), own)
		if err != nil || !filepath.IsLocal(below) {
			continue
		}
		return filepath.Join(unescapeMount(fields[4]), below)
	}
	return ""
}

// makeGroup makes a job's control group.
func makeGroup(base, name string) (group, error) {
	g := cgroup(filepath.Join(base, groupPrefix+strconv.Itoa(os.Getpid())+"-"+name))
	if err := os.Mkdir(string(g), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(string(g), "cgroup.kill")); err != nil {
		return nil, errors.Join(err, os.Remove(string(g)))
	}
	return g, nil
}

// removeOldGroups removes the empty groups of runners that are gone and whose
// lock files are, too. One that holds processes is left: the runner may live in
// another process namespace.
func removeOldGroups(base string) {
	entries, _ := os.ReadDir(base)
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), groupPrefix)
		number, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(number)
		if !ok || err != nil || !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		if g := cgroup(filepath.Join(base, entry.Name())); !g.populated() {
			for _, folder := range g.folders() {
				_ = os.Remove(folder)
			}
		}
	}
}

// oldGroup returns the group that a dead runner has recorded, nil when it is not
// there or not one of ours.
func oldGroup(path string) group {
	if !strings.HasPrefix(filepath.Base(path), groupPrefix) {
		return nil
	}
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil || stat.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil
	}
	return cgroup(filepath.Clean(path))
}

func (g cgroup) path() string { return string(g) }

func (g cgroup) child(name string) (group, error) {
	c := cgroup(filepath.Join(string(g), name))
	return c, os.Mkdir(string(c), 0o755)
}

// attach makes cmd start in the group (clone3(2), CLONE_INTO_CGROUP).
func (g cgroup) attach(cmd *exec.Cmd) (func(), error) {
	fd, err := unix.Open(string(g), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = fd
	return func() { _ = unix.Close(fd) }, nil
}

// groupRefused reports whether a start failed because the kernel, its rights or a
// filter do not let a process begin in a group.
func groupRefused(err error) bool {
	for _, refusal := range []error{syscall.EACCES, syscall.EPERM, syscall.ENOSYS, syscall.EINVAL, syscall.EBUSY, syscall.EOPNOTSUPP, syscall.ENOENT, syscall.ENODEV, syscall.EBADF} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// folders returns the group and all below it, deepest first: a step may have
// made some.
func (g cgroup) folders() []string {
	var list []string
	_ = filepath.WalkDir(string(g), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			list = append([]string{path}, list...)
		}
		return nil
	})
	return list
}

func (g cgroup) members() map[int]bool {
	pids := map[int]bool{}
	for _, folder := range g.folders() {
		text, _ := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
		for line := range strings.Lines(string(text)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
	}
	return pids
}

func (g cgroup) populated() bool {
	events, err := readProc(filepath.Join(string(g), "cgroup.events"), make([]byte, 256))
	return err == nil && bytes.Contains(events, []byte("populated 1"))
}

func (g cgroup) kill() error {
	return os.WriteFile(filepath.Join(string(g), "cgroup.kill"), []byte("1"), 0)
}

// remove removes an empty group; the kernel may need a moment after the last
// process's end.
func (g cgroup) remove() error {
	var err error
	for try := range 10 {
		err = nil
		for _, folder := range g.folders() {
			if rerr := os.Remove(folder); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
				err = rerr
			}
		}
		if err == nil {
			return nil
		}
		time.Sleep(time.Duration(try) * time.Millisecond)
	}
	return fmt.Errorf("remove the job's control group: %w", err)
}
