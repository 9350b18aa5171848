package host

import (
	"bytes"
	"os/exec"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A mark is a number that a process and all that comes from it carry from birth,
// through setsid, double forks, a cleaned environment and changes of user: the
// soft limit RLIMIT_RSS, which Linux has not enforced since 2.4.30 (getrlimit(2))
// and which anyone may read in /proc/PID/limits. It is set on this process for
// the moment of a fork, because nothing can be put between a fork and an exec.
// A child of the runner that another part of it forks in that moment gets the
// mark too, which is harmless: nothing in the runner's own session is ever taken
// for a job's.
//
// The number is far above every real limit: four bits that tell it from one, 43
// of the job, 16 of the command. Bit 63 stays clear for programs that take the
// number as signed.
const (
	markMagic   = uint64(0x5) << 60
	markMask    = uint64(0xf) << 60
	commandBits = 16
	jobMask     = uint64(1)<<43 - 1
)

func makeMark(job uint64, command uint16) uint64 {
	return markMagic | (job&jobMask)<<commandBits | uint64(command)
}

func readMark(mark uint64) claim {
	if mark&markMask != markMagic || mark == unix.RLIM_INFINITY {
		return claim{}
	}
	return claim{known: true, job: mark >> commandBits & jobMask, command: uint16(mark)}
}

// limitName starts the line of RLIMIT_RSS in /proc/PID/limits.
var limitName = []byte("Max resident set")

// parseMark finds the mark in the text of /proc/PID/limits.
func parseMark(limits []byte) claim {
	_, line, ok := bytes.Cut(limits, limitName)
	if !ok {
		return claim{}
	}
	fields := bytes.Fields(line[:min(len(line), 64)])
	if len(fields) == 0 {
		return claim{}
	}
	mark, err := strconv.ParseUint(string(fields[0]), 10, 64)
	if err != nil {
		return claim{}
	}
	return readMark(mark)
}

// markLock guards this process's RLIMIT_RSS, of which there is one, like the
// process itself, however many Providers there are.
var markLock sync.Mutex //nolint:gochecknoglobals // guards a property of the process

// startMarked starts cmd with a mark. Where the limit cannot be set (somebody
// has lowered the hard limit), it starts without one.
func startMarked(cmd *exec.Cmd, mark uint64) error {
	markLock.Lock()
	defer markLock.Unlock()
	var old unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_RSS, &old) != nil || old.Max < mark {
		return cmd.Start()
	}
	if unix.Setrlimit(unix.RLIMIT_RSS, &unix.Rlimit{Cur: mark, Max: old.Max}) != nil {
		return cmd.Start()
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_RSS, &old) }()
	return cmd.Start()
}
