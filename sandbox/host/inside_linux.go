package host

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"otelrunner/sandbox"
	"otelrunner/sandbox/staging"
)

// User is whom commands run as.
type User struct {
	UID, GID uint32
	Groups   []uint32
}

// InsideOptions describe a place that somebody else has made for one job and will
// remove: a container.
type InsideOptions struct {
	// Workspace and Temp are absolute paths. They are made where they are not
	// there, as are Folders, and given to User.
	Workspace, Temp string
	Folders         []string

	// User is whom commands run as and files are read and written as; nil is
	// this process's own user. It needs the rights of root.
	User *User

	// Environ is the environment of commands, as KEY=value; all of it is
	// theirs. Home, and PATH where it is missing, are set over it.
	Environ []string
	Home    string
}

// Inside is the sandbox of the one job in a container, of which this process is
// the first process. Its commands' processes are tracked one by one, as where the
// host sandbox has no control groups; orphans are waited for as they end.
type Inside struct {
	job
	reaperDone chan struct{}
	reaperOver chan struct{}
}

var _ sandbox.Sandbox = (*Inside)(nil)

// NewInside makes the folders. There must be one Inside a process, and nothing
// else in the process may start children.
func NewInside(o InsideOptions) (*Inside, error) {
	i := &Inside{reaperDone: make(chan struct{}), reaperOver: make(chan struct{})}
	i.staged = map[string]*stagedTree{}
	if o.User != nil {
		if err := o.User.try(func() {}); err != nil {
			return nil, err
		}
	}
	for path, real := range map[string]*string{o.Workspace: &i.workspace, o.Temp: &i.temp} {
		if err := makeFolder(path, o.User); err != nil {
			return nil, err
		}
		var err error
		if *real, err = filepath.EvalSymlinks(path); err != nil {
			return nil, fmt.Errorf("find the job's folder: %w", err)
		}
	}
	for _, path := range o.Folders {
		if err := makeFolder(path, o.User); err != nil {
			return nil, err
		}
	}
	i.spares = spares{folder: i.temp, owner: os.Geteuid()}
	if o.User != nil {
		i.spares.owner = int(o.User.UID)
	}
	i.env = environment{values: map[string]string{}, names: map[string]string{}}
	for _, pair := range o.Environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			i.env.set(name, value)
		}
	}
	if i.env.get("PATH") == "" {
		i.env.set("PATH", defaultPath)
	}
	i.env.set("HOME", o.Home)
	processes := newProcesses(false)
	processes.alone = os.Getpid() == 1
	if o.User != nil {
		processes.credential = &syscall.Credential{Uid: o.User.UID, Gid: o.User.GID, Groups: o.User.Groups}
		i.user = o.User.do
	}
	tree, err := processes.open("")
	if err != nil {
		return nil, err
	}
	i.tree = tree
	i.info = sandbox.Info{
		OS: runtime.GOOS, Arch: runtime.GOARCH,
		Workspace: i.workspace, Temp: i.temp, Home: o.Home,
	}
	go func() {
		defer close(i.reaperOver)
		processes.reapAll(i.reaperDone)
	}()
	return i, nil
}

// makeFolder makes a folder that belongs to the user, with its parents.
func makeFolder(path string, user *User) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("make the folder %q: its path is not absolute", path)
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return diskError("make the folder", path, err)
	}
	if user == nil {
		return nil
	}
	if err := os.Chown(path, int(user.UID), int(user.GID)); err != nil {
		return diskError("give the user the folder", path, err)
	}
	return nil
}

// StageEntries makes a tree as Stage does, from entries: next returns each folder
// before what it holds, the content of regular files, and io.EOF at the end.
func (i *Inside) StageEntries(ctx context.Context, name string, next nextEntry) (string, error) {
	return i.stageOnce(name, func(to string) error {
		var err error
		i.as(func() { err = makeTree(ctx, to, checked(next)) })
		return err
	})
}

// ImportEntries puts a tree of entries into a folder, over what is there; next is
// that of StageEntries.
func (i *Inside) ImportEntries(ctx context.Context, dir string, next nextEntry) error {
	var err error
	i.as(func() { err = mergeTree(ctx, i.path(dir), checked(next)) })
	return err
}

// checked refuses entries outside of the tree.
func checked(next nextEntry) nextEntry {
	return func() (staging.Entry, io.Reader, error) {
		entry, content, err := next()
		if err == nil && (!filepath.IsLocal(entry.Path) || entry.Path == ".") {
			err = fmt.Errorf("%q is outside of the tree", entry.Path)
		}
		return entry, content, err
	}
}

// Close ends every process of the job. The folders stay.
func (i *Inside) Close(ctx context.Context) error {
	err := i.Retire(ctx)
	close(i.reaperDone)
	<-i.reaperOver
	return err
}

// Environ returns the environment of commands, for tests and for logs.
func (i *Inside) Environ() map[string]string { return maps.Clone(i.env.values) }

// do works on files as the user. NewInside has seen that it can; a system that
// refuses it later is a fault of which nobody can make anything, and a panic.
func (u *User) do(work func()) {
	if err := u.try(work); err != nil {
		panic(err)
	}
}

// try works on files as the user, or says why it cannot. Linux has the user and the groups for it a
// thread (setfsuid(2), credentials(7)), so that the work gets a thread of its own,
// which is not used for anything else afterwards.
func (u *User) try(work func()) error {
	type outcome struct {
		err      error
		panicked any
	}
	done := make(chan outcome)
	go func() {
		// Not unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		var o outcome
		defer func() { done <- o }()
		defer func() { o.panicked = recover() }()
		if o.err = u.become(); o.err == nil {
			work()
		}
	}()
	o := <-done
	if o.panicked != nil {
		panic(o.panicked)
	}
	return o.err
}

// become changes this thread's user and groups for file systems.
func (u *User) become() error {
	groups := []int{int(u.GID)}
	for _, g := range u.Groups {
		groups = append(groups, int(g))
	}
	if err := unix.Setgroups(groups); err != nil { // of this thread, unlike package syscall's
		return fmt.Errorf("become user %d for work on files: take its groups: %w: leave the container the capabilities SETUID and SETGID", u.UID, err)
	}
	_, _ = unix.SetfsgidRetGid(int(u.GID))
	_, _ = unix.SetfsuidRetUid(int(u.UID))
	// The calls have no error: what they return is the value before.
	gid, _ := unix.SetfsgidRetGid(-1)
	uid, _ := unix.SetfsuidRetUid(-1)
	if uid != int(u.UID) || gid != int(u.GID) {
		return fmt.Errorf("become user %d for work on files: not permitted: leave the container the capabilities SETUID and SETGID", u.UID)
	}
	return nil
}
