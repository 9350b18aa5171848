package journal

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofrs/flock"
)

// Options configure a Journal. Dir is required.
type Options struct {
	// Dir is the folder; it is made when it is not there.
	Dir string
	// MaxSize bounds one task's Log in bytes, about: Full says when it is
	// reached. Default: 128 MiB.
	MaxSize int64
	// Keep is how long what could not be delivered is kept (default: a week);
	// less than 0 keeps nothing.
	Keep time.Duration
	Log  *slog.Logger

	// Disk is what is written with; nil is the operating system's.
	Disk Disk
}

// Defaults of Options.
const (
	DefaultMaxSize = 128 << 20
	DefaultKeep    = 7 * 24 * time.Hour
)

// Journal is a folder with the Logs of one runner. Its methods are safe for
// concurrent use.
type Journal struct {
	dir     string
	maxSize atomic.Int64
	keep    atomic.Int64 // a time.Duration
	log     *slog.Logger
	lock    *flock.Flock
	disk    Disk

	mu   sync.Mutex
	err  error           // of the process number
	open map[string]*Log // by folder
}

const (
	lockName     = "lock"
	pidName      = "pid"
	fetchingName = "fetching"
	keptName     = "kept"
	taskPrefix   = "task-"
)

// Open locks the folder and removes what was kept for long enough. Its error says
// what to do; it wraps ErrInUse where another process has the folder. A disk that is
// full is no error: see Err.
func Open(o Options) (*Journal, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Disk == nil {
		o.Disk = System{}
	}
	if err := mkdirAll(o.Disk, filepath.Clean(o.Dir)); err != nil {
		return nil, fmt.Errorf("make the journal's folder: %w", err)
	}
	lock, err := acquire(o.Dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: o.Dir, log: o.Log, lock: lock, disk: o.Disk, open: map[string]*Log{}}
	j.SetLimits(o.MaxSize, o.Keep)
	j.Expire(time.Now()) // which makes room
	j.err = j.number()
	if j.err != nil && !IsFull(j.err) {
		_ = lock.Close()
		return nil, j.err
	}
	return j, nil
}

// number writes the process number for Owner.
func (j *Journal) number() error {
	if err := os.WriteFile(filepath.Join(j.dir, pidName), strconv.AppendInt(nil, int64(os.Getpid()), 10), 0o600); err != nil {
		return fmt.Errorf("write the journal's process number: %w", err)
	}
	return nil
}

// Err is not nil where the disk was too full for a journal when it was opened. What
// is in it can be read; Probe says when it takes tasks.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// SetLimits changes Options.MaxSize, for Logs to come, and Options.Keep; 0 is the
// default.
func (j *Journal) SetLimits(maxSize int64, keep time.Duration) {
	if maxSize <= 0 {
		maxSize = DefaultMaxSize
	}
	if keep == 0 {
		keep = DefaultKeep
	}
	j.maxSize.Store(maxSize)
	j.keep.Store(int64(keep))
}

// Dir is the journal's folder.
func (j *Journal) Dir() string { return j.dir }

// Close gives the folder free. Logs that are still open are closed, and found
// again by Unfinished of the next Journal.
func (j *Journal) Close() error {
	j.mu.Lock()
	logs := make([]*Log, 0, len(j.open))
	for _, l := range j.open {
		logs = append(logs, l)
	}
	j.mu.Unlock()
	var err error
	for _, l := range logs {
		err = errors.Join(err, l.Close())
	}
	return errors.Join(err, j.lock.Close())
}

func (j *Journal) left(l *Log) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.open, l.dir)
}

func (j *Journal) taskDir(id int64) string {
	return filepath.Join(j.dir, taskPrefix+strconv.FormatInt(id, 10))
}

// Begin starts the Log of a task. An error is the disk's.
func (j *Journal) Begin(m Meta) (*Log, error) {
	dir := j.taskDir(m.Task)
	j.mu.Lock()
	taken := j.open[dir] != nil
	j.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("begin the journal of task %d: it is being written already", m.Task)
	}
	// A folder of that name is of a run that the server has forgotten: a task's
	// number is never given twice by one server.
	if err := j.disk.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("begin the journal of task %d: %w", m.Task, err)
	}
	if err := j.disk.Mkdir(dir); err != nil {
		return nil, fmt.Errorf("begin the journal of task %d: %w", m.Task, err)
	}
	l, err := j.start(dir, State{Meta: m}, nil, 1)
	if err != nil {
		_ = j.disk.RemoveAll(dir) // what stays is found at the next start
		return nil, fmt.Errorf("begin the journal of task %d: %w", m.Task, err)
	}
	return l, nil
}

// start makes a Log that goes on, in a new segment, after those that there are.
func (j *Journal) start(dir string, state State, segments []segment, number int64) (*Log, error) {
	head := state.checkpoint(number)
	s := segment{number: number, first: state.Next, size: int64(len(head)), body: int64(len(head))}
	file, err := createSegment(j.disk, filepath.Join(dir, segmentName(number)), head)
	if err != nil {
		return nil, err
	}
	if len(segments) == 0 {
		state.First = state.Next
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.newLog(dir, state, append(segments, s))
	l.io.Lock()
	l.file, l.newNames = file, true
	l.io.Unlock()
	l.syncSoon()
	j.open[dir] = l
	return l, nil
}

// createSegment makes a segment's file, which is there only with its checkpoint.
func createSegment(disk Disk, name string, head []byte) (File, error) {
	f, err := disk.Create(name)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(head); err != nil {
		_ = f.Close()
		_ = disk.Remove(name)
		return nil, err
	}
	return f, nil
}

// Unfinished returns the Logs that earlier processes have left, ready to be gone
// on with, the oldest task first. A task of whose Log nothing can be read is among
// them with its number alone, which is logged; a Log that cannot be gone on with, as
// on a full disk, has failed (Log.Failed) and can be read. An error means that a
// folder cannot be read; the Logs of all others are returned beside it.
func (j *Journal) Unfinished() ([]*Log, error) {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return nil, fmt.Errorf("look for unfinished tasks: %w", err)
	}
	var ids []int64
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), taskPrefix)
		if id, err := strconv.ParseInt(text, 10, 64); ok && err == nil && j.taskDir(id) == filepath.Join(j.dir, e.Name()) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var logs []*Log
	var errs []error
	for _, id := range ids {
		l, err := j.resume(id)
		if err != nil {
			errs = append(errs, fmt.Errorf("read the journal of task %d: %w", id, err))
			continue
		}
		logs = append(logs, l)
	}
	return logs, errors.Join(errs...)
}

func (j *Journal) resume(id int64) (*Log, error) {
	dir := j.taskDir(id)
	j.mu.Lock()
	taken := j.open[dir] != nil
	j.mu.Unlock()
	if taken {
		return nil, errors.New("it is being written")
	}
	f, err := read(dir, id)
	if errors.Is(err, errEmpty) {
		// Killed while it was being made, or the power went before anything of it
		// was on the disk.
		j.log.Warn("the journal of an unfinished task cannot be read; its rows are lost", "task", id)
		f.state = State{Meta: Meta{Task: id}}
		if info, err := os.Stat(dir); err == nil {
			f.state.Started = info.ModTime()
		}
	} else if err != nil {
		return nil, err
	}
	if len(f.segments) > 0 && f.cut != "" {
		j.log.Warn("the end of the journal of an unfinished task was cut off; rows of its last moments may be lost", "task", id, "found", f.cut)
	}
	l, err := j.start(dir, f.state, f.segments, f.last+1)
	if err != nil { // a disk that is full, or can only be read: what it has is still to be sent
		l = j.ended(dir, f, fmt.Errorf("go on with the journal in %s: %w", dir, err))
	}
	return l, nil
}

// ended makes a Log that takes nothing more, and from which what was found can be
// read.
func (j *Journal) ended(dir string, f *found, err error) *Log {
	if len(f.segments) == 0 {
		f.segments = []segment{{number: f.last + 1}}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	l := j.newLog(dir, f.state, f.segments)
	l.mu.Lock()
	l.fail(err)
	l.mu.Unlock()
	j.open[dir] = l
	return l
}
