//go:build linux || darwin

package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// group is a control group.
type group interface {
	path() string
	child(name string) (group, error)
	// attach makes cmd start in the group; the function is called after.
	attach(cmd *exec.Cmd) (func(), error)
	members() map[int]bool
	populated() bool
	kill() error
	remove() error
}

// processes makes the trees of jobs.
type processes struct {
	base string // where control groups are made, "" for nowhere
	self proc
	// adopts says that orphans come to this process: whatever lives of a job
	// descends from one of its children.
	adopts bool

	// refused is set when the system does not let processes start in groups.
	refused atomic.Bool

	first // what the first process of a container has beside this
}

func newProcesses(groups bool) *processes {
	p := &processes{self: selfStat(), adopts: adoptOrphans()}
	if base := groupBase(); groups && base != "" && probeGroup(base) {
		p.base = base
		removeOldGroups(base)
	}
	return p
}

// probeGroup runs a shell in a group to see whether that works here: rights, the
// kernel's version and its filters all have a say.
func probeGroup(base string) bool {
	g, err := makeGroup(base, fmt.Sprintf("probe-%d", rand.Uint32()))
	if err != nil {
		return false
	}
	defer func() { _ = g.remove() }()
	cmd := &exec.Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", "exit 7"}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	detach, err := g.attach(cmd)
	if err != nil {
		return false
	}
	defer detach()
	// The mark of no job keeps a job of another Provider from taking it for its own.
	if startMarked(cmd, makeMark(newNumber(), 0)) != nil {
		return false
	}
	_ = cmd.Wait() // its exit code says whether
	return cmd.ProcessState.ExitCode() == 7
}

// newNumber makes the number of a job, which no other has.
func newNumber() uint64 { return rand.Uint64() & (1<<43 - 1) }

// open makes the tree of a job.
func (p *processes) open(id string) (jobTree, error) {
	openJobs.opened()
	t := &tree{
		processes: p,
		number:    newNumber(),
		since:     clock(),
		leaders:   map[int]bool{},
		done:      make(chan struct{}),
	}
	if p.base != "" && !p.refused.Load() {
		// Where it is not allowed, the job goes without.
		if g, err := makeGroup(p.base, id); err == nil {
			t.group = g
		}
	}
	t.reaper.Go(func() { reapOrphans(t.done, p.self) })
	return t, nil
}

// sweep ends the processes of a job whose runner is dead.
func (p *processes) sweep(ctx context.Context, old trace) error {
	if old.Job == 0 && old.Group == "" {
		return nil
	}
	g := oldGroup(old.Group)
	err := p.kill(ctx, g, func() suspect {
		s := suspect{self: p.self.pid, session: p.self.session, job: old.Job}
		if g != nil {
			s.members = g.members()
		}
		return s
	}, 0, calmLooksWithout) // its orphans have gone elsewhere
	if err == nil && g != nil {
		err = g.remove()
	}
	return err
}

// tree is the processes of one job.
type tree struct {
	processes *processes
	number    uint64 // of the job, in marks
	since     uint64
	group     group // nil where there is none
	done      chan struct{}
	reaper    sync.WaitGroup

	// What follows belongs to the goroutine that calls Run.
	commands uint16
	leaders  map[int]bool // commands whose session is still in use
	leaf     group        // an empty group for the next command
	running  int          // the command that Run waits for
}

func (t *tree) tracking() string { return makeTracking(t.number, t.commands+1) }

func (t *tree) trace() trace {
	tr := trace{Job: t.number}
	if t.group != nil {
		tr.Group = t.group.path()
	}
	return tr
}

func (t *tree) details() []string {
	if t.group != nil {
		return []string{"Processes are held together by control group " + t.group.path() + "."}
	}
	return []string{"Processes are tracked one by one: this user may not make control groups here."}
}

// start starts a command in a session and, if possible, a control group of its
// own.
func (t *tree) start(fresh func() *exec.Cmd) (*exec.Cmd, commandTree, error) {
	c := &command{tree: t, number: t.commands + 1, since: clock()}
	started := t.processes.starting()
	defer func() { started(c.leader) }()
	mark := makeMark(t.number, c.number)
	cmd, err := t.startInGroup(fresh, c, mark)
	if cmd == nil || err != nil && groupRefused(err) {
		// Where there was a group, either it or the program is at fault;
		// without the group it shows which.
		groupErr := err
		cmd = fresh()
		cmd.SysProcAttr = t.processes.attributes()
		err = startMarked(cmd, mark)
		if c.group = nil; err == nil && groupErr != nil {
			t.processes.refused.Store(true)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	t.commands++
	c.leader = cmd.Process.Pid
	t.running = c.leader
	t.leaders[c.leader] = true
	if c.group != nil {
		t.leaf = nil
	}
	return cmd, c, nil
}

// startInGroup returns no Cmd where there is no group.
func (t *tree) startInGroup(fresh func() *exec.Cmd, c *command, mark uint64) (*exec.Cmd, error) {
	if t.group == nil || t.processes.refused.Load() {
		return nil, nil
	}
	if t.leaf == nil {
		leaf, err := t.group.child(strconv.Itoa(int(c.number)))
		if err != nil {
			return nil, nil
		}
		t.leaf = leaf
	}
	cmd := fresh()
	cmd.SysProcAttr = t.processes.attributes()
	detach, err := t.leaf.attach(cmd)
	if err != nil {
		t.leaf = nil
		return nil, nil
	}
	defer detach()
	c.group = t.leaf
	return cmd, startMarked(cmd, mark)
}

func (t *tree) suspect() suspect {
	only, since := openJobs.adoption()
	s := suspect{
		self:         t.processes.self.pid,
		session:      t.processes.self.session,
		job:          t.number,
		leaders:      t.leaders,
		since:        t.since,
		adopted:      only,
		adoptedSince: since,
	}
	if t.group != nil {
		s.members = t.group.members()
	}
	return s
}

// destroyTime bounds the killing where the caller's context does not.
const destroyTime = 10 * time.Second

// destroy kills what the job's commands have left.
func (t *tree) destroy(ctx context.Context) error {
	close(t.done)
	t.reaper.Wait()
	defer openJobs.closed()
	ctx, cancel := context.WithTimeout(ctx, destroyTime)
	defer cancel()
	var err error
	if !t.processes.adopts || !childless() {
		err = t.processes.kill(ctx, t.group, t.suspect, t.running, t.processes.looks())
	}
	if err == nil && t.group != nil {
		err = t.group.remove()
	}
	return err
}

// command is the processes of one command.
type command struct {
	tree   *tree
	number uint16
	leader int
	since  uint64
	group  group
}

func (c *command) suspect() suspect {
	only, _ := openJobs.adoption()
	s := suspect{
		self:         c.tree.processes.self.pid,
		session:      c.tree.processes.self.session,
		job:          c.tree.number,
		command:      c.number,
		leaders:      map[int]bool{c.leader: true},
		since:        c.since,
		adopted:      only,
		adoptedSince: c.since,
	}
	if c.group != nil {
		s.members = c.group.members()
	}
	return s
}

func (c *command) terminate() bool {
	some := false
	for _, p := range living(find(processTable(), c.suspect(), claimOf)) {
		if syscall.Kill(p.pid, syscall.SIGTERM) == nil {
			some = true
			// One that is stopped hears it only when it goes on.
			_ = syscall.Kill(p.pid, syscall.SIGCONT)
		}
	}
	return some
}

func (c *command) alive() bool {
	if c.group != nil && c.group.populated() {
		return true
	}
	return len(living(find(processTable(), c.suspect(), claimOf))) > 0
}

func (c *command) kill(ctx context.Context) error {
	err := c.tree.processes.kill(ctx, c.group, c.suspect, c.leader, c.tree.processes.looks())
	if err == nil && c.group != nil {
		// A group that was killed once is not used again: newer kernels
		// kill what is started in it, too.
		_ = c.group.remove()
		c.group = nil
	}
	c.release()
	return err
}

// release keeps what the destruction of the job will need, and the group, if
// nothing is left in it, for the next command.
func (c *command) release() {
	t := c.tree
	t.running = 0
	t.processes.waited(c.leader)
	if errors.Is(syscall.Kill(-c.leader, 0), syscall.ESRCH) {
		// Its number may be given to another process from now on.
		delete(t.leaders, c.leader)
	}
	if c.group != nil && t.leaf == nil && !c.group.populated() {
		t.leaf = c.group
	}
}

const (
	// freezeRounds bounds the hunt for a tree that forks faster than it is
	// stopped; after it, processes are killed as they are found.
	freezeRounds = 20
	// calmLooks is how many looks at the process table, one after the other,
	// must find nothing. A look takes time, and a process that forks and ends
	// meanwhile can be missed with its child. Where orphans come to this
	// process, its zombie is seen then, which makes the look one that found
	// something; the first process's zombie is another goroutine's and may be
	// seen for long, hence two. Elsewhere the number is all there is.
	calmLooks        = 2
	calmLooksWithout = 4
	// refusals is how many times in a row nothing but "not permitted" may be
	// heard before the hunt is given up.
	refusals = 3
)

func (p *processes) looks() int {
	if p.adopts {
		return calmLooks
	}
	return calmLooksWithout
}

// kill ends a group and every suspect, and returns when looks at the process
// table find none that lives. First all are stopped, so that none can fork while
// the others are looked for and ancestry stays as it is. waited is the process
// that another goroutine waits for, looks how many in a row must find nothing.
func (p *processes) kill(ctx context.Context, g group, suspects func() suspect, waited, looks int) error {
	defer p.hold()()
	if g != nil && g.populated() { // to kill an empty one takes long
		_ = g.kill() // what it cannot kill is found below
	}
	stopped := map[int]uint64{}
	defer func() { resume(stopped) }()
	refused, calm := 0, 0
	pause := time.Millisecond
	for round := 0; ; round++ {
		found := find(processTable(), suspects(), claimOf)
		reaped := p.reap(found, waited)
		left := living(found)
		late := ctx.Err() != nil
		if len(left) == 0 {
			if calm++; reaped {
				calm = 0
			}
			if calm == looks || late {
				return nil // nothing is left, late or not
			}
			continue
		}
		calm = 0
		if late || refused == refusals {
			return leftError(left)
		}
		if round < freezeRounds && stop(left, stopped) {
			continue
		}
		if signalAll(left, syscall.SIGKILL) {
			refused = 0
		} else {
			refused++
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// stop stops those that have not been, by number with the time of their start, and
// reports whether there were any.
func stop(left []proc, stopped map[int]uint64) bool {
	fresh := slices.DeleteFunc(slices.Clone(left), func(p proc) bool {
		started, known := stopped[p.pid]
		return known && started == p.started
	})
	for _, p := range fresh {
		stopped[p.pid] = p.started
	}
	return signalAll(fresh, syscall.SIGSTOP) && len(fresh) > 0
}

// resume lets those go on that live although they were stopped: they could not be
// killed, or have turned out to be somebody else's since. One that this program
// has just forked would hold up every later fork.
func resume(stopped map[int]uint64) {
	if len(stopped) == 0 {
		return
	}
	for _, p := range processTable() {
		if started, known := stopped[p.pid]; known && started == p.started && !p.dead {
			_ = syscall.Kill(p.pid, syscall.SIGCONT) // it may have ended
		}
	}
}

// signalAll sends a signal to the process groups of processes, each of which is
// wholly the job's, because its session is, and reaches what has been forked
// since; and to the processes themselves. It reports whether any could be sent.
func signalAll(list []proc, sig syscall.Signal) bool {
	sent := false
	groups := map[int]bool{}
	for _, p := range list {
		if p.pgrp > 1 && !groups[p.pgrp] {
			groups[p.pgrp] = true
			sent = syscall.Kill(-p.pgrp, sig) == nil || sent
		}
	}
	for _, p := range list {
		sent = syscall.Kill(p.pid, sig) == nil || sent
	}
	return sent
}

// reap waits for dead processes that this one has adopted, and reports whether
// there were any.
func (p *processes) reap(found []proc, waited int) bool {
	some := false
	for _, f := range found {
		if f.dead && f.ppid == p.self.pid && f.pid != waited {
			reap(f.pid)
			some = true
		}
	}
	return some
}

func reap(pid int) {
	var status syscall.WaitStatus
	_, _ = syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
}

func living(list []proc) []proc {
	return slices.DeleteFunc(slices.Clone(list), func(p proc) bool { return p.dead })
}

// leftError names the processes that could not be killed.
func leftError(left []proc) error {
	pids := map[string]bool{}
	for _, p := range left {
		pids[strconv.Itoa(p.pid)] = true
	}
	list := slices.Sorted(maps.Keys(pids))
	if len(list) > 10 {
		list = append(list[:10], "…")
	}
	return fmt.Errorf("end the job's processes: user %d may not kill %s, or the system holds them: end them as root", os.Getuid(), strings.Join(list, ", "))
}
