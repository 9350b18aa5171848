//go:build linux || darwin

package host

import (
	"bytes"
	"strconv"
)

// proc is one process of the system's table.
type proc struct {
	pid, ppid, pgrp, session int
	dead                     bool // a zombie: it runs nothing and holds nothing
	started                  uint64
	kernel                   bool // the kernel's own
	stopped                  bool // by a signal, or traced; not known everywhere
}

// claim is what a process carries that says whose it is.
type claim struct {
	known   bool   // it is of a job, of this runner or another
	job     uint64 // the job's number
	command uint16
}

// suspect says which processes are looked for.
type suspect struct {
	self    int // this process and
	session int // its session, which no command can join
	job     uint64
	command uint16       // 0: of all commands
	leaders map[int]bool // the sessions and groups of the commands
	members map[int]bool // known from elsewhere: a control group
	since   uint64       // when the first of them can have started
	// adopted also takes this process's children outside its session that
	// carry no claim: orphans which have shed their mark.
	adopted      bool
	adoptedSince uint64
}

// find returns the processes that s looks for: those that belong to a leader's
// session or group, those whose claim says so, those known from elsewhere, and
// whatever descends from one of them. It is pure but for claimOf, which is asked
// only for processes that nothing else has decided.
func find(table []proc, s suspect, claimOf func(pid int) claim) []proc {
	children := make(map[int][]int, len(table))
	for i, p := range table {
		children[p.ppid] = append(children[p.ppid], i)
	}
	taken := make([]bool, len(table))
	var queue []int
	take := func(i int) {
		p := table[i]
		// Nothing of a job can be in the runner's own session, which has
		// the runner's other children.
		if !taken[i] && p.pid != s.self && p.pid > 1 && p.session != s.session {
			taken[i] = true
			queue = append(queue, i)
		}
	}
	for i, p := range table {
		if p.session == s.session || p.pid == s.self {
			continue
		}
		if s.leaders[p.session] || s.leaders[p.pgrp] || s.members[p.pid] || s.claims(p, claimOf) {
			take(i)
		}
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, child := range children[table[i].pid] {
			take(child)
		}
	}
	var found []proc
	for i, p := range table {
		if taken[i] {
			found = append(found, p)
		}
	}
	return found
}

// claims decides by what a process carries.
func (s suspect) claims(p proc, claimOf func(pid int) claim) bool {
	if p.started < s.since && (!s.adopted || p.started < s.adoptedSince) {
		return false // older than all that is looked for
	}
	c := claimOf(p.pid)
	if c.known {
		return c.job == s.job && (s.command == 0 || c.command == s.command)
	}
	return s.adopted && p.ppid == s.self && p.started >= s.adoptedSince
}

// parseTracking finds the tracking variable among NUL-ended KEY=value pairs.
func parseTracking(environ []byte) claim {
	for len(environ) > 0 {
		var pair []byte
		pair, environ, _ = bytes.Cut(environ, []byte{0})
		name, value, _ := bytes.Cut(pair, []byte{'='})
		if string(name) != trackingVariable {
			continue
		}
		rest, ok := bytes.CutPrefix(value, []byte(trackingPrefix))
		job, command, found := bytes.Cut(rest, []byte{'-'})
		j, jerr := strconv.ParseUint(string(job), 16, 64)
		c, cerr := strconv.ParseUint(string(command), 10, 16)
		if !ok || !found || jerr != nil || cerr != nil {
			return claim{}
		}
		return claim{known: true, job: j, command: uint16(c)}
	}
	return claim{}
}

const trackingPrefix = "otelrunner-"

func makeTracking(job uint64, command uint16) string {
	return trackingPrefix + strconv.FormatUint(job, 16) + "-" + strconv.Itoa(int(command))
}
