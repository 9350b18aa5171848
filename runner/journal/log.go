package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"otelrunner/runner/task"
)

// Log is one task's journal. Its methods are safe for concurrent use; the order
// of rows is the order of the calls to Row.
//
// What is written goes to the system within moments, so that it outlives this
// process, and to the disk at Sync. The first write that fails (a full disk) ends
// the Log: Failed is closed, later records are not taken, and what was taken can
// still be read.
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
	wantSync uint64 // the number of the last call that wants a sync
	synced   uint64 // the calls that have got it
	syncErr  error
	round    chan struct{} // closed, and replaced, after each sync

	// io guards the files; it is taken before mu.
	io        sync.Mutex
	file      *os.File
	unwritten []byte     // what a failed write has left
	old       []*os.File // segments before the last one that are not synced
	newNames  bool       // the folder is not synced
	cursor    cursor
}

const (
	// writeAt is how many bytes wait for the writer before Flush is worth it.
	writeAt = 256 << 10
	// segmentSize is the usual size of a segment.
	segmentSize = 4 << 20
)

// newLog starts the writer of a Log whose segments are known.
func (j *Journal) newLog(dir string, state State, segments []segment) *Log {
	l := &Log{
		journal: j, dir: dir, state: state, segments: segments, seed: seed(state.Task),
		limit: j.maxSize, segment: min(segmentSize, max(j.maxSize/8, 4<<10)),
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

// syncSoon asks for a sync and returns the number of the request.
func (l *Log) syncSoon() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wantSync++
	l.notify()
	return l.wantSync
}

// Sync brings what was appended before the call to the disk: it outlives the
// machine's power. It waits for d at most.
func (l *Log) Sync(d time.Duration) error {
	mine := l.syncSoon()
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		l.mu.Lock()
		done, round, err := l.synced >= mine, l.round, errors.Join(l.err, l.syncErr)
		l.mu.Unlock()
		if done {
			return err
		}
		select {
		case <-round:
		case <-l.gone:
			return errors.Join(l.Err(), errClosed)
		case <-timer.C:
			return fmt.Errorf("sync the journal in %s: the disk did not answer within %s", l.dir, d)
		}
	}
}

var errClosed = errors.New("the journal is closed")

// write is the goroutine that writes and syncs.
func (l *Log) write() {
	defer close(l.gone)
	for {
		select {
		case <-l.wake:
		case <-l.ended:
			l.io.Lock()
			l.flush()
			l.io.Unlock()
			return
		}
		l.mu.Lock()
		want, due := l.wantSync, l.wantSync > l.synced
		l.mu.Unlock()
		l.io.Lock()
		l.flush()
		l.io.Unlock()
		if due {
			l.sync(want)
		}
	}
}

// flush writes what waits, and begins the next segment when this one is full;
// l.io is held.
func (l *Log) flush() {
	l.mu.Lock()
	data := l.pending
	if len(data) == 0 || l.err != nil {
		l.mu.Unlock()
		return
	}
	l.pending, l.spare = l.spare, nil
	last := &l.segments[len(l.segments)-1]
	last.size += int64(len(data))
	var head []byte
	if last.size-last.body >= l.segment {
		next := segment{number: last.number + 1, first: l.state.Next}
		head = l.state.checkpoint(next.number)
		next.size, next.body = int64(len(head)), int64(len(head))
		l.size += next.size
		l.segments = append(l.segments, next)
		l.wantSync++ // only a synced segment makes older ones superfluous
		l.notify()
	}
	l.mu.Unlock()

	if n, err := l.file.Write(data); err != nil {
		l.fail(err, data[n:], head != nil)
		return
	}
	if cap(data) <= 2*writeAt {
		l.mu.Lock()
		l.spare = data[:0]
		l.mu.Unlock()
	}
	if head != nil {
		if err := l.begin(head); err != nil {
			l.fail(err, nil, true)
		}
	}
}

// begin makes the file of the last segment; l.io is held.
func (l *Log) begin(head []byte) error {
	l.mu.Lock()
	number := l.segments[len(l.segments)-1].number
	l.mu.Unlock()
	f, err := createSegment(filepath.Join(l.dir, segmentName(number)), head)
	if err != nil {
		return err
	}
	if l.file != nil {
		l.old = append(l.old, l.file)
	}
	l.file, l.newNames = f, true
	return nil
}

// fail ends the Log after a write failed; l.io is held. unwritten is what did not
// reach the file of the last segment, or of the one before when that one was
// never made.
func (l *Log) fail(err error, unwritten []byte, drop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unwritten = unwritten
	if drop {
		l.segments = l.segments[:len(l.segments)-1]
	}
	l.segments[len(l.segments)-1].size -= int64(len(unwritten))
	l.err = fmt.Errorf("write the journal in %s: %w", l.dir, err)
	close(l.failed)
}

// sync brings everything to the disk, and removes the segments of which the
// server has all. Nobody waits for it but those who called Sync.
func (l *Log) sync(want uint64) {
	l.io.Lock()
	file, old, names := l.file, l.old, l.newNames
	l.old, l.newNames = nil, false
	l.mu.Lock()
	last := l.segments[len(l.segments)-1].number
	l.mu.Unlock()
	l.io.Unlock()

	var err error
	for _, f := range old {
		err = errors.Join(err, f.Sync(), f.Close())
	}
	err = errors.Join(err, file.Sync())
	if names {
		err = errors.Join(err, syncDir(l.dir))
	}
	if err == nil {
		l.prune(last)
	} else {
		err = fmt.Errorf("sync the journal in %s: %w", l.dir, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced, l.syncErr = want, err
	close(l.round)
	l.round = make(chan struct{})
}

// prune removes segments whose rows the server has and that are followed by one
// that is on the disk: last or one before it.
func (l *Log) prune(last int64) {
	l.io.Lock()
	defer l.io.Unlock()
	l.mu.Lock()
	n := 0
	for n+1 < len(l.segments) && l.segments[n+1].number <= last && l.segments[n+1].first <= l.state.Acked {
		n++
	}
	gone := l.segments[:n:n]
	l.segments = l.segments[n:]
	l.state.First = l.segments[0].first
	l.mu.Unlock()
	for _, s := range gone {
		if l.cursor.segment == s.number {
			l.cursor.close()
		}
		_ = os.Remove(filepath.Join(l.dir, segmentName(s.number))) // what stays is read again, and known to be acknowledged
	}
}

// rowCost is the memory in bytes that a row takes beside its text.
const rowCost = 64

// Rows returns rows from the index from on, which must not be before State.First:
// as many as take limit bytes of memory, at least one. None means that
// there are no more. An error means that the disk does not give back what was
// written to it.
func (l *Log) Rows(from int64, limit int) ([]Row, error) {
	l.io.Lock()
	defer l.io.Unlock()
	l.mu.Lock()
	next := l.state.Next
	l.mu.Unlock()
	if from >= next {
		return nil, nil
	}
	if err := l.seek(from); err != nil {
		return nil, err
	}
	var rows []Row
	for size := 0; l.cursor.row < next && (len(rows) == 0 || size < limit); {
		record, err := l.nextRecord()
		if err != nil {
			l.cursor.close()
			return rows, fmt.Errorf("read the journal in %s: row %d: %w", l.dir, l.cursor.row, err)
		}
		if record[0] != kindRow {
			continue
		}
		if l.cursor.row++; l.cursor.row <= from {
			continue
		}
		row, err := parseRow(record[1:])
		if err != nil {
			return rows, fmt.Errorf("read the journal in %s: row %d: %w", l.dir, l.cursor.row, err)
		}
		size += len(row.Text) + rowCost
		rows = append(rows, row)
	}
	return rows, nil
}

// cursor is where reading rows has come to; Log.io guards it.
type cursor struct {
	segment int64
	row     int64 // index of the next row
	offset  int64 // of the next frame
	file    *os.File
	frames  *frames
	end     int64 // how far frames reads
}

func (c *cursor) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
	*c = cursor{}
}

// seek brings the cursor to the row with that index, or before it.
func (l *Log) seek(row int64) error {
	if l.cursor.file != nil && l.cursor.row <= row {
		return nil
	}
	l.mu.Lock()
	s := l.segments[0]
	for _, other := range l.segments[1:] {
		if other.first <= row {
			s = other
		}
	}
	l.mu.Unlock()
	return l.open(s)
}

func (l *Log) open(s segment) error {
	l.cursor.close()
	f, err := os.Open(filepath.Join(l.dir, segmentName(s.number)))
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	l.cursor = cursor{segment: s.number, row: s.first, offset: s.body, file: f}
	return nil
}

// nextRecord returns the record at the cursor; l.io is held.
func (l *Log) nextRecord() ([]byte, error) {
	for {
		if c := &l.cursor; c.frames != nil && c.offset < c.end {
			record, err := c.frames.next()
			if err != nil {
				return nil, err
			}
			c.offset += frameHead + int64(len(record))
			return record, nil
		}
		if err := l.more(); err != nil {
			return nil, err
		}
	}
}

// more lets the cursor see what was written since, or go on with the next
// segment.
func (l *Log) more() error {
	l.mu.Lock()
	i := 0
	for i < len(l.segments) && l.segments[i].number != l.cursor.segment {
		i++
	}
	if i == len(l.segments) {
		l.mu.Unlock()
		return errors.New("its segment is gone")
	}
	s, last := l.segments[i], i == len(l.segments)-1
	var rest []byte
	if last {
		rest = append(append(rest, l.unwritten...), l.pending...)
	}
	var next segment
	if !last {
		next = l.segments[i+1]
	}
	l.mu.Unlock()

	c := &l.cursor
	switch end := s.size + int64(len(rest)); {
	case c.offset < end:
		file := io.NewSectionReader(c.file, min(c.offset, s.size), max(s.size-c.offset, 0))
		rest = rest[max(c.offset-s.size, 0):]
		c.frames = newFrames(io.MultiReader(file, bytes.NewReader(rest)), l.seed)
		c.end = end
		return nil
	case last:
		return io.ErrUnexpectedEOF
	}
	return l.open(next)
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
	if err := os.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("remove the journal of a task that is done: %w", err)
	}
	return nil
}
