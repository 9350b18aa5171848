package host

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processTable reads the processes of this machine that this user may see,
// without the kernel's own.
func processTable() []proc {
	folder, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = folder.Close() }()
	names, _ := folder.Readdirnames(-1)
	table := make([]proc, 0, len(names))
	buffer := make([]byte, 1024)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := readProc("/proc/"+name+"/stat", buffer)
		if err != nil {
			continue
		}
		if p, ok := parseStat(pid, stat); ok && !p.kernel {
			table = append(table, p)
		}
	}
	return table
}

// kernelThread is the flag of the kernel's own processes, PF_KTHREAD in its
// include/linux/sched.h. Their parent is number 2, but in a container that is a
// process like any other.
const kernelThread = 0x00200000

// readProc reads a small file of /proc without the machinery of os.File, which
// would cost more than the read. What does not fit into buffer is cut off.
func readProc(path string, buffer []byte) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	n, err := unix.Read(fd, buffer)
	if err != nil {
		return nil, err
	}
	return buffer[:n], nil
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The second field is a name
// in parentheses that may itself hold spaces and parentheses.
func parseStat(pid int, stat []byte) (proc, bool) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return proc{}, false
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return proc{}, false
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(fields[i])
		return n
	}
	started, _ := strconv.ParseUint(fields[19], 10, 64)
	flags, _ := strconv.ParseUint(fields[6], 10, 64)
	return proc{
		pid:     pid,
		ppid:    number(1),
		pgrp:    number(2),
		session: number(3),
		dead:    fields[0] == "Z" || fields[0] == "X",
		started: started,
		kernel:  flags&kernelThread != 0,
		stopped: fields[0] == "T" || fields[0] == "t",
	}, true
}

// claimOf reads what a process carries: the mark among its limits, else the
// variable in the environment that it started with.
func claimOf(pid int) claim {
	buffer := make([]byte, 4096)
	name := "/proc/" + strconv.Itoa(pid)
	limits, err := readProc(name+"/limits", buffer)
	if err == nil {
		if c := parseMark(limits); c.known {
			return c
		}
	}
	environ, err := os.ReadFile(name + "/environ")
	if err != nil {
		return claim{}
	}
	return parseTracking(environ)
}

// selfStat returns this process's own entry.
func selfStat() proc {
	stat, err := readProc("/proc/self/stat", make([]byte, 1024))
	if err == nil {
		if p, ok := parseStat(os.Getpid(), stat); ok {
			return p
		}
	}
	session, _ := unix.Getsid(0)
	return proc{pid: os.Getpid(), session: session}
}
