package host

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of its descendants' orphans
// (prctl(2), PR_SET_CHILD_SUBREAPER), so that none gets out of sight. It reports
// whether that worked.
func adoptOrphans() bool { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == nil }

// childless reports, at the price of one system call, that this process has no
// children, living or dead.
func childless() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return errors.Is(err, unix.ECHILD)
}

// reapPeriod is how often adopted zombies are looked for.
const reapPeriod = 2 * time.Second

// reapOrphans waits for the adopted children that have ended, until done.
//
// It must not take the end of a child that another part of this program waits
// for. Those are either in this process's session, or have been started by this
// package, which waits for each from its start: a zombie outside the session that
// is still there a whole period later is nobody's.
func reapOrphans(done <-chan struct{}, self proc) {
	tick := time.NewTicker(reapPeriod)
	defer tick.Stop()
	seen := map[int]uint64{}
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			seen = reapSeen(seen, self)
		}
	}
}

// reapSeen reaps the zombies that were seen before and returns the others.
func reapSeen(seen map[int]uint64, self proc) map[int]uint64 {
	if !zombieWaits() {
		return nil
	}
	next := map[int]uint64{}
	for _, p := range processTable() {
		if p.ppid != self.pid || !p.dead || p.session == self.session {
			continue
		}
		if seen[p.pid] == p.started {
			reap(p.pid)
		} else {
			next[p.pid] = p.started
		}
	}
	return next
}

// zombieWaits reports, at the price of one system call, whether any child has
// ended and not been waited for.
func zombieWaits() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

// clockTicks is USER_HZ, the unit of times in /proc, which is 100 everywhere.
const clockTicks = 100

// clock returns the present in the unit of proc.started, minus a second for its
// rounding.
func clock() uint64 {
	text, err := readProc("/proc/uptime", make([]byte, 64))
	if err != nil {
		return 0
	}
	first, _, _ := bytes.Cut(text, []byte{' '})
	seconds, err := strconv.ParseFloat(string(first), 64)
	if err != nil {
		return 0
	}
	return uint64(max(0, seconds-1) * clockTicks)
}
