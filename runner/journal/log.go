package journal

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"otelrunner/runner/task"
)

// Log is one task's journal. Its methods are safe for concurrent use; the order
// of rows is the order of the calls to Row.
//
// What is written goes to the system within moments, so that it outlives this
// process, and to the disk at Sync. The first write (a full disk) or sync (a disk
// that fails) that does not succeed ends the Log: Failed is closed, later records
// are not taken, and what was taken can still be read.
//
// Exactly one of Close, Done and Keep ends it.
type Log struct {
	journal *Journal
	dir     string
	limit   int64 // bytes after which Full
	segment int64 // bytes after which the next segment begins
	seed    uint32

	wake   chan struct{} // one token: there is something for the writer
	ended  chan struct{} // closed by stop
	gone   chan struct{} // closed when the writer has ended
	failed chan struct{}
	stop   func()

	mu       sync.Mutex
	state    State
	segments []segment // the last one is written to
	pending  []byte    // frames for the last segment that are not written yet
	spare    []byte    // for pending's next turn
	size     int64     // of the segments that the server does not have, and of pending
	credited int64     // number of the last segment that size does not count any more
	err      error
	wantSync uint64        // the number of the last call that wants a sync
	synced   uint64        // the calls that have got it
	round    chan struct{} // closed, and replaced, after each sync

	// io guards the files; it is taken before mu.
	io        sync.Mutex
	file      File
	unwritten []byte // what a failed write has left
	old       []File // segments before the last one that are not synced
	newNames  bool   // the folder is not synced
	cursor    cursor

	placed bool // the folder's own name is on the disk; the writer's alone
}

const (
	// writeAt is how many bytes wait for the writer before Flush is worth it.
	writeAt = 256 << 10
	// usualSegment is the size of a segment where the bound of a Log is not small.
	usualSegment = 4 << 20
)

// segmentSize is how many bytes a segment of a Log has, about.
func (j *Journal) segmentSize() int64 {
	return min(usualSegment, max(j.maxSize.Load()/8, 4<<10))
}

// newLog starts the writer of a Log whose segments are known.
func (j *Journal) newLog(dir string, state State, segments []segment) *Log {
	l := &Log{
		journal: j, dir: dir, state: state, segments: segments, seed: seed(state.Task),
		limit: j.maxSize.Load(), segment: j.segmentSize(),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), gone: make(chan struct{}), failed: make(chan struct{}),
		round: make(chan struct{}),
	}
	for _, s := range segments {
		l.size += s.size
	}
	l.stop = sync.OnceFunc(func() { close(l.ended); <-l.gone })
	go l.write()
	return l
}

// State is what the Log knows of its task.
func (l *Log) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	s.Events = slices.Clone(s.Events)
	s.Outputs = maps.Clone(s.Outputs)
	return s
}

// Size is what the Log takes on the disk, in bytes, with what is about to be
// written.
func (l *Log) Size() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size
}

// Full reports whether the Log has reached its size; it still takes what it is
// given. Ack makes room.
func (l *Log) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size >= l.limit
}

// Failed is closed when the Log takes no more; Err then says why.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// Err is the error that ended the Log, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Row appends a row. It does no I/O. It reports whether the row is kept; if not,
// the Log has failed.
func (l *Log) Row(t time.Time, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false
	}
	before := len(l.pending)
	b := append(l.pending, emptyHead[:]...)
	l.pending = sealFrame(appendRow(b, t, text), before, l.seed)
	l.size += int64(len(l.pending) - before)
	l.state.Next++
	if before == 0 {
		l.notify()
	}
	return true
}

// Event appends a step's start (res is Unspecified) or end, and has all that came
// before brought to the disk soon, beside whatever comes next.
func (l *Log) Event(step int, t time.Time, res task.Result) {
	e := Event{Step: step, Time: t, Result: res}
	l.mu.Lock()
	e.Next = l.state.Next
	l.mu.Unlock()
	l.append(func(b []byte) []byte { return appendJSON(b, kindEvent, e) }, func(s *State) { s.Events = append(s.Events, e) })
	l.syncSoon()
}

// Ack says that the server has the rows before the index acked, which have shift
// added to their index there. What is no longer needed is removed.
func (l *Log) Ack(acked, shift int64) {
	l.append(func(b []byte) []byte {
		acked = min(acked, l.state.Next) // a server counts the row that seals its log, too
		return appendAck(b, acked, shift)
	}, func(s *State) {
		s.Acked, s.Shift = max(s.Acked, acked), shift
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range len(l.segments) - 1 {
		s := l.segments[i]
		if l.segments[i+1].first > l.state.Acked {
			break
		}
		if s.number > l.credited {
			l.credited = s.number
			l.size -= s.size
			l.wantSync++ // which is followed by prune
			l.notify()
		}
	}
}

// Finish appends the end of the job: its outputs, which contain no secrets, its
// result and the time.
//
// A Log that has an end keeps the first one.
func (l *Log) Finish(res task.Result, end time.Time, outputs map[string]string) {
	l.mu.Lock()
	ended := l.state.Result.Final()
	l.mu.Unlock()
	if ended {
		return
	}
	for k, v := range outputs {
		l.append(func(b []byte) []byte { return appendJSON(b, kindOutput, output{k, v}) }, func(s *State) { s.output(k, v) })
	}
	l.append(func(b []byte) []byte { return appendJSON(b, kindResult, result{res, end}) }, func(s *State) { s.Result, s.End = res, end })
	l.syncSoon()
}

func (l *Log) append(write func([]byte) []byte, apply func(*State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	before := len(l.pending)
	l.pending = appendFrame(l.pending, l.seed, write)
	l.size += int64(len(l.pending) - before)
	apply(&l.state)
	if before == 0 {
		l.notify()
	}
}

func (l *Log) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Behind reports whether so much waits for the writer that Flush is to be called,
// where it blocks nobody else.
func (l *Log) Behind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) >= writeAt && l.err == nil
}

// Flush hands what was appended before the call to the system: it outlives this
// process from then on.
func (l *Log) Flush() error {
	l.io.Lock()
	defer l.io.Unlock()
	l.flush()
	return l.Err()
}

// Close ends the Log and leaves it on disk, for the next start.
func (l *Log) Close() error {
	l.end()
	return l.Err()
}

// end stops the writer and closes the files.
func (l *Log) end() {
	l.stop()
	l.io.Lock()
	defer l.io.Unlock()
	l.cursor.close()
	for _, f := range append(l.old, l.file) {
		if f != nil {
			_ = f.Close()
		}
	}
	l.old, l.file = nil, nil
	l.journal.left(l)
}

// Done ends the Log and removes it: the server has everything.
func (l *Log) Done() error {
	l.end()
	if err := l.journal.disk.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("remove the journal of a task that is done: %w", err)
	}
	return nil
}
