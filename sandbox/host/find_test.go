//go:build linux || darwin

package host

import (
	"slices"
	"testing"
)

// TestFind looks for job 7's processes in a table; the runner is process 100 of
// session 90.
func TestFind(t *testing.T) {
	const runner, session = 100, 90
	ours := claim{known: true, job: 7, command: 2}
	claims := map[int]claim{
		200: ours, 201: ours, 210: {known: true, job: 7, command: 1}, 300: {known: true, job: 8, command: 1},
		110: ours, // forked by another part of the runner in the wrong moment
	}
	table := []proc{
		{pid: 1, session: 1},
		{pid: 90, ppid: 1, pgrp: 90, session: 90},
		{pid: 100, ppid: 90, pgrp: 100, session: 90, started: 10},
		{pid: 110, ppid: 100, pgrp: 100, session: 90, started: 50},
		{pid: 200, ppid: 100, pgrp: 200, session: 200, started: 50}, // the command
		{pid: 201, ppid: 200, pgrp: 200, session: 200, started: 51}, // its child
		{pid: 202, ppid: 201, pgrp: 202, session: 202, started: 52}, // without a mark, by ancestry
		{pid: 203, ppid: 202, pgrp: 203, session: 203, started: 53, dead: true},
		{pid: 204, ppid: 1, pgrp: 200, session: 200, started: 54},   // by its session
		{pid: 210, ppid: 100, pgrp: 210, session: 210, started: 40}, // an earlier command's
		{pid: 220, ppid: 100, pgrp: 220, session: 220, started: 60}, // an orphan without a mark
		{pid: 221, ppid: 220, pgrp: 220, session: 220, started: 61}, // and its child
		{pid: 230, ppid: 1, pgrp: 230, session: 230, started: 62},   // known from a control group
		{pid: 300, ppid: 100, pgrp: 300, session: 300, started: 63}, // another job's
		{pid: 400, ppid: 1, pgrp: 400, session: 400, started: 64},   // somebody's
		{pid: 401, ppid: 100, pgrp: 401, session: 401, started: 5},  // older than the job
	}
	base := suspect{self: runner, session: session, job: 7, since: 30}
	with := func(change func(*suspect)) suspect {
		s := base
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		s    suspect
		want []int
	}{
		"the job's":     {base, []int{200, 201, 202, 203, 210}},
		"a command's":   {with(func(s *suspect) { s.command = 1 }), []int{210}},
		"by session":    {with(func(s *suspect) { s.command = 2; s.leaders = map[int]bool{200: true} }), []int{200, 201, 202, 203, 204}},
		"by group":      {with(func(s *suspect) { s.members = map[int]bool{230: true, 110: true} }), []int{200, 201, 202, 203, 210, 230}},
		"adopted":       {with(func(s *suspect) { s.adopted = true; s.adoptedSince = 30 }), []int{200, 201, 202, 203, 210, 220, 221}},
		"adopted later": {with(func(s *suspect) { s.adopted = true; s.adoptedSince = 61 }), []int{200, 201, 202, 203, 210}},
		"too young":     {with(func(s *suspect) { s.since = 51 }), []int{201, 202, 203}},
		"of nobody":     {with(func(s *suspect) { s.job = 9 }), nil},
	} {
		var got []int
		for _, p := range find(table, c.s, func(pid int) claim { return claims[pid] }) {
			got = append(got, p.pid)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: found %v, want %v", name, got, c.want)
		}
	}
}

func TestTracking(t *testing.T) {
	for environ, want := range map[string]claim{
		"A=b\x00RUNNER_TRACKING_ID=" + makeTracking(1<<42+5, 77) + "\x00C=d\x00": {known: true, job: 1<<42 + 5, command: 77},
		"RUNNER_TRACKING_ID=" + makeTracking(1, 2):                               {known: true, job: 1, command: 2},
		"RUNNER_TRACKING_ID=github_1234\x00":                                     {},
		"RUNNER_TRACKING_ID=otelrunner-zz-1":                                     {},
		"RUNNER_TRACKING_ID=otelrunner-1":                                        {},
		"X_RUNNER_TRACKING_ID=otelrunner-1-1":                                    {},
		"":                                                                       {},
	} {
		if got := parseTracking([]byte(environ)); got != want {
			t.Errorf("%q: %+v, want %+v", environ, got, want)
		}
	}
}
