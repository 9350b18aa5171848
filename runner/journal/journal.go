package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	maxSize int64
	keep    time.Duration
	log     *slog.Logger
	lock    *flock.Flock

	mu   sync.Mutex
	open map[string]*Log // by folder
}

// ErrInUse says that another process uses the folder.
var ErrInUse = errors.New("another runner is using it")

const (
	lockName     = "lock"
	pidName      = "pid"
	fetchingName = "fetching"
	keptName     = "kept"
	taskPrefix   = "task-"
)

// Open locks the folder and removes what was kept for long enough. Its error says
// what to do; it wraps ErrInUse where another process has the folder.
func Open(o Options) (*Journal, error) {
	if o.MaxSize <= 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.Keep == 0 {
		o.Keep = DefaultKeep
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the journal's folder: %w", err)
	}
	lock := flock.New(filepath.Join(o.Dir, lockName), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the journal: %w", err)
	}
	if !locked {
		return nil, fmt.Errorf("the journal %s: %w", o.Dir, ErrInUse)
	}
	j := &Journal{dir: o.Dir, maxSize: o.MaxSize, keep: o.Keep, log: o.Log, lock: lock, open: map[string]*Log{}}
	if err := os.WriteFile(filepath.Join(o.Dir, pidName), strconv.AppendInt(nil, int64(os.Getpid()), 10), 0o600); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("write the journal's process number: %w", err)
	}
	j.Expire(time.Now())
	return j, nil
}

// Owner is the number of the process that has the journal in dir; ok is false if
// there is none.
func Owner(dir string) (pid int, ok bool, err error) {
	name := filepath.Join(dir, lockName)
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	lock := flock.New(name, flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err != nil {
		return 0, false, fmt.Errorf("look who has the journal %s: %w", dir, err)
	}
	if locked {
		return 0, false, lock.Close()
	}
	data, err := os.ReadFile(filepath.Join(dir, pidName))
	if err != nil {
		return 0, false, fmt.Errorf("look who has the journal %s: %w", dir, err)
	}
	pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return 0, false, fmt.Errorf("look who has the journal %s: %s does not hold a process number", dir, pidName)
	}
	return pid, true, nil
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
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("begin the journal of task %d: %w", m.Task, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("begin the journal of task %d: %w", m.Task, err)
	}
	l, err := j.start(dir, State{Meta: m}, nil, 1)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("begin the journal of task %d: %w", m.Task, err)
	}
	return l, nil
}

// start makes a Log that goes on, in a new segment, after those that there are.
func (j *Journal) start(dir string, state State, segments []segment, number int64) (*Log, error) {
	head := state.checkpoint(number)
	s := segment{number: number, first: state.Next, size: int64(len(head)), body: int64(len(head))}
	file, err := createSegment(filepath.Join(dir, segmentName(number)), head)
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
func createSegment(name string, head []byte) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(head); err != nil {
		_ = f.Close()
		_ = os.Remove(name)
		return nil, err
	}
	return f, nil
}

// Unfinished returns the Logs that earlier processes have left, ready to be gone
// on with, the oldest task first. What cannot be read is moved to the kept files
// and logged. An error means that the folder itself cannot be read, or not
// written to.
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
		m := Meta{Task: id}
		if info, err := os.Stat(dir); err == nil {
			m.Started = info.ModTime()
		}
		return j.start(dir, State{Meta: m}, nil, f.last+1)
	}
	if err != nil {
		return nil, err
	}
	if f.cut != "" {
		j.log.Warn("the end of the journal of an unfinished task was cut off; rows of its last moments may be lost", "task", id, "found", f.cut)
	}
	return j.start(dir, f.state, f.segments, f.last+1)
}

// Fetching notes that a fetch is under way, or is not any more: if the process
// dies meanwhile, the next one can say that the server may have given it a task
// of which it knows nothing.
func (j *Journal) Fetching(on bool) error {
	name := filepath.Join(j.dir, fetchingName)
	if !on {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("note the end of a fetch: %w", err)
		}
		return nil
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return fmt.Errorf("note a fetch: %w", err)
	}
	return nil
}

// WasFetching reports when the fetch began during which an earlier process died;
// ok is false when it did not die so.
func (j *Journal) WasFetching() (began time.Time, ok bool) {
	info, err := os.Stat(filepath.Join(j.dir, fetchingName))
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// Mark keeps a name for the processes after this one.
func (j *Journal) Mark(name string) error {
	if err := os.WriteFile(filepath.Join(j.dir, "mark-"+name), nil, 0o600); err != nil {
		return fmt.Errorf("mark %s in the journal: %w", name, err)
	}
	return nil
}

// Marked reports whether this process or one before it has called Mark.
func (j *Journal) Marked(name string) bool {
	_, err := os.Stat(filepath.Join(j.dir, "mark-"+name))
	return err == nil
}

// probeSize is what Probe writes: more than the begin of a Log.
const probeSize = 64 << 10

// Probe reports whether the journal could take another task now: it writes a
// little and removes it.
func (j *Journal) Probe() error {
	f, err := os.CreateTemp(j.dir, "probe-")
	if err != nil {
		return fmt.Errorf("the journal cannot be written to: %w", err)
	}
	_, err = f.Write(make([]byte, probeSize))
	err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	if err != nil {
		return fmt.Errorf("the journal cannot be written to: %w", err)
	}
	return nil
}
