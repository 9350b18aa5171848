package host

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// first is what the first process of a container has beside what every runner
// has: commands as another user, and the care for every orphan.
//
// Its reaper waits for each child as it ends, but for those that are commands:
// those are waited for by their own goroutines. The lock is held from before a
// fork until its child is known as a command. In a runner, which has other
// children, there is no such reaper.
type first struct {
	credential *syscall.Credential // nil: this process's own

	alone bool // it is the first process of a namespace: all others are the job's

	reaping  sync.Mutex
	commands map[int]bool
}

func (f *first) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: f.credential}
}

// starting is called before a command is forked, and what it returns after that,
// with its process number; 0 when there is none.
func (f *first) starting() func(pid int) {
	f.reaping.Lock()
	return func(pid int) {
		if pid > 0 && f.commands != nil {
			f.commands[pid] = true
		}
		f.reaping.Unlock()
	}
}

// waited is called when a command has been waited for.
func (f *first) waited(pid int) {
	f.reaping.Lock()
	defer f.reaping.Unlock()
	delete(f.commands, pid)
}

// hold keeps everything in its place while processes are looked for and killed,
// until what it returns is called. The reaper waits: the dead that it took would
// be missed as a sign of life. The first process of a namespace also stops all
// others at once, so that none of them can fork or flee from the look; those that
// are left go on afterwards, but for those that were stopped before.
func (f *first) hold() (release func()) {
	f.reaping.Lock()
	if !f.alone {
		return f.reaping.Unlock
	}
	before := map[int]bool{}
	for _, p := range processTable() {
		before[p.pid] = p.stopped
	}
	_ = unix.Kill(-1, unix.SIGSTOP) // an error says that there is nobody
	return func() {
		defer f.reaping.Unlock()
		for _, p := range processTable() {
			if p.pid != 1 && !p.dead && !before[p.pid] {
				_ = unix.Kill(p.pid, unix.SIGCONT) // it may have ended
			}
		}
	}
}

// reapAll waits for every child that ends and is no command, until done.
func (f *first) reapAll(done <-chan struct{}) {
	f.reaping.Lock()
	f.commands = map[int]bool{}
	f.reaping.Unlock()
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	for {
		f.reapNow()
		select {
		case <-done:
			return
		case <-ended:
		}
	}
}

// reapNow waits for those that have ended.
func (f *first) reapNow() {
	f.reaping.Lock()
	defer f.reaping.Unlock()
	if !zombieWaits() {
		return
	}
	self := os.Getpid()
	for _, p := range processTable() {
		if p.dead && p.ppid == self && !f.commands[p.pid] {
			reap(p.pid)
		}
	}
}
