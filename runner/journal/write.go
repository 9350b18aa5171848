package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

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
		done, round, err := l.synced >= mine, l.round, l.err
		l.mu.Unlock()
		if done {
			return err
		}
		select {
		case <-round:
		case <-l.gone:
			return errors.Join(l.Err(), errClosed)
		case <-timer.C:
			return fmt.Errorf("bring the journal in %s to the disk: it did not answer within %s", l.dir, d)
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
		l.unwrote(err, data[n:], head != nil)
		return
	}
	if cap(data) <= 2*writeAt {
		l.mu.Lock()
		l.spare = data[:0]
		l.mu.Unlock()
	}
	if head != nil {
		if err := l.begin(head); err != nil {
			l.unwrote(err, nil, true)
		}
	}
}

// begin makes the file of the last segment; l.io is held.
func (l *Log) begin(head []byte) error {
	l.mu.Lock()
	number := l.segments[len(l.segments)-1].number
	l.mu.Unlock()
	f, err := createSegment(l.journal.disk, filepath.Join(l.dir, segmentName(number)), head)
	if err != nil {
		return err
	}
	if l.file != nil {
		l.old = append(l.old, l.file)
	}
	l.file, l.newNames = f, true
	return nil
}

// unwrote ends the Log after a write failed; l.io is held. unwritten is what did
// not reach the file of the last segment, or of the one before when that one was
// never made.
func (l *Log) unwrote(err error, unwritten []byte, drop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unwritten = unwritten
	if drop {
		l.segments = l.segments[:len(l.segments)-1]
	}
	l.segments[len(l.segments)-1].size -= int64(len(unwritten))
	l.fail(fmt.Errorf("write the journal in %s: %w", l.dir, err))
}

// fail ends the Log, once; l.mu is held.
func (l *Log) fail(err error) {
	if l.err != nil {
		return
	}
	l.err = err
	close(l.failed)
}

// sync brings everything to the disk, and removes the segments of which the
// server has all. Nobody waits for it but those who called Sync.
//
// One that fails ends the Log: the system may have thrown away what it could not
// write, and a later sync would succeed without it.
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
	if file != nil { // none could be made
		err = errors.Join(err, file.Sync())
	}
	if names {
		err = errors.Join(err, l.journal.disk.SyncDir(l.dir))
	}
	if !l.placed {
		err = errors.Join(err, l.journal.disk.SyncDir(l.journal.dir))
		l.placed = err == nil
	}
	if err == nil {
		l.prune(last)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.fail(fmt.Errorf("bring the journal in %s to the disk: %w", l.dir, err))
	}
	l.synced = want
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
		_ = l.journal.disk.Remove(filepath.Join(l.dir, segmentName(s.number))) // what stays is read again, and known to be acknowledged
	}
}
