package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// zombie is SZOMB of sys/proc.h.
const zombie = 5

// processTable reads the processes of this machine.
func processTable() []proc {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil
	}
	table := make([]proc, 0, len(list))
	for _, k := range list {
		pid := int(k.Proc.P_pid)
		session, err := unix.Getsid(pid)
		if err != nil {
			session = -1
		}
		start := k.Proc.P_starttime
		table = append(table, proc{
			pid:     pid,
			ppid:    int(k.Eproc.Ppid),
			pgrp:    int(k.Eproc.Pgid),
			session: session,
			dead:    k.Proc.P_stat == zombie,
			started: uint64(start.Sec)*1_000_000 + uint64(start.Usec),
		})
	}
	return table
}

// claimOf reads the tracking variable in the environment that a process started
// with; the system shows it for processes of the same user.
func claimOf(pid int) claim {
	raw, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil || len(raw) < 4 {
		return claim{}
	}
	// The number of arguments, the program's path, padding, the arguments,
	// the environment: each ends with NUL.
	arguments := binary.LittleEndian.Uint32(raw)
	_, rest, _ := bytes.Cut(raw[4:], []byte{0})
	rest = bytes.TrimLeft(rest, "\x00")
	for range arguments {
		_, rest, _ = bytes.Cut(rest, []byte{0})
	}
	return parseTracking(rest)
}

func selfStat() proc {
	session, _ := unix.Getsid(0)
	return proc{pid: os.Getpid(), session: session}
}

// startMarked starts cmd; this system has no mark but the tracking variable.
func startMarked(cmd *exec.Cmd, _ uint64) error { return cmd.Start() }

func makeMark(uint64, uint16) uint64 { return 0 }

// clock returns the present in the unit of proc.started, microseconds.
func clock() uint64 { return uint64(time.Now().UnixMicro()) }

// There are no control groups here, and no adoption: orphans go to launchd.
func groupBase() string                    { return "" }
func makeGroup(_, _ string) (group, error) { return nil, errors.ErrUnsupported }
func removeOldGroups(string)               {}
func oldGroup(string) group                { return nil }
func groupRefused(error) bool              { return false }
func adoptOrphans() bool                   { return false }
func childless() bool                      { return false }
func reapOrphans(<-chan struct{}, proc)    {}
