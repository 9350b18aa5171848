package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// What a client did wrong, or cannot be given.
var (
	errExists  = errors.New("there is such an entry already, or a job is saving it")
	errTooBig  = errors.New("it is larger than what this job may save")
	errNoRoom  = errors.New("there is no room for it on the runner's disk")
	errPieces  = errors.New("too many parts with holes between them")
	errShort   = errors.New("the chunk has not as many bytes as its Content-Range says")
	errMissing = errors.New("not all of it has come, or more than its size")
	errTooMany = errors.New("this job saves too many entries")
	errEnded   = errors.New("the upload has ended")
)

// An Upload is an entry that grows. It is safe for concurrent use.
type Upload struct {
	store *Store
	id    identity
	entry string // the file that it becomes
	name  string // the file that it is
	limit int64  // bytes

	// Held for reading while chunks are written, for writing by what ends it.
	writing sync.RWMutex
	ended   bool
	file    *os.File

	mu     sync.Mutex
	come   pieces
	booked int64 // bytes, of store.pending
}

// bookStep is how much is booked at a time for content whose size is not told: each
// time, all entries are looked at.
const bookStep = 64 << 20

// reserve begins an upload. size is what the client says that the content will have,
// or 0; limit is the most that it may have.
func (s *Store) reserve(id identity, size, limit int64) (_ *Upload, err error) {
	if size > limit {
		return nil, errTooBig
	}
	if size > 0 {
		limit = size
	}
	u := &Upload{store: s, id: id, entry: filepath.Join(s.entries, id.file()), limit: limit}
	if _, there := s.get(&id); there {
		return nil, errExists
	}
	s.mu.Lock()
	if s.reserved[u.entry] != nil {
		s.mu.Unlock()
		return nil, errExists
	}
	s.reserved[u.entry] = u
	s.uploads++
	u.name = filepath.Join(s.own.dir, strconv.Itoa(s.uploads))
	s.mu.Unlock()
	defer func() {
		if err != nil {
			u.forget()
		}
	}()
	if err := u.book(size); err != nil {
		return nil, err
	}
	u.file, err = os.OpenFile(u.name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("begin an entry of the cache: %w", err)
	}
	return u, nil
}

// book sees to it that there is room for the content up to the byte before upTo.
func (u *Upload) book(upTo int64) error {
	u.mu.Lock()
	more := upTo - u.booked
	if more <= 0 {
		u.mu.Unlock()
		return nil
	}
	u.booked += more
	u.mu.Unlock()
	s := u.store
	s.mu.Lock()
	s.pending += more
	pending, unwritten := s.pending, s.pending-s.arrived
	s.mu.Unlock()
	err := s.room(pending, unwritten)
	if err != nil {
		u.mu.Lock()
		u.booked -= more
		u.mu.Unlock()
		s.mu.Lock()
		s.pending -= more
		s.mu.Unlock()
	}
	return err
}

// forget gives back what was reserved.
func (u *Upload) forget() {
	u.mu.Lock()
	booked, arrived := u.booked, u.come.size()
	u.booked, u.come = 0, nil
	u.mu.Unlock()
	s := u.store
	s.mu.Lock()
	s.pending -= booked
	s.arrived -= arrived
	delete(s.reserved, u.entry)
	s.mu.Unlock()
}

// write writes a chunk, which body has to have exactly.
func (u *Upload) write(chunk piece, body io.Reader) error {
	u.writing.RLock()
	defer u.writing.RUnlock()
	switch {
	case u.ended:
		return errEnded
	case chunk.to > u.limit:
		return errTooBig
	}
	if err := u.book(min(u.limit, (chunk.to+bookStep-1)/bookStep*bookStep)); err != nil {
		return err
	}
	n, err := io.Copy(io.NewOffsetWriter(u.file, chunk.from), io.LimitReader(body, chunk.to-chunk.from))
	if err != nil {
		return fmt.Errorf("write a chunk of the cache: %w", err)
	}
	if more, _ := io.ReadFull(body, make([]byte, 1)); n != chunk.to-chunk.from || more > 0 {
		return errShort
	}
	u.mu.Lock()
	before := u.come.size()
	ok := u.come.add(chunk)
	come := u.come.size() - before
	u.mu.Unlock()
	if !ok {
		return errPieces
	}
	u.store.mu.Lock()
	u.store.arrived += come
	u.store.mu.Unlock()
	return nil
}

// commit makes the upload an entry, if what has come is the whole. It can be called
// again if it was not.
func (u *Upload) commit(size int64) error {
	u.writing.Lock()
	defer u.writing.Unlock()
	if u.ended {
		return errEnded
	}
	u.mu.Lock()
	whole := u.come.whole(size)
	u.mu.Unlock()
	if !whole {
		return errMissing
	}
	u.ended = true
	defer u.forget()
	d := description{u.id, size, time.Now().UTC()}
	err := u.finish(&d)
	if err != nil {
		_ = os.Remove(u.name) // the next start tries again
		return fmt.Errorf("keep an entry of the cache: %w", err)
	}
	return nil
}

func (u *Upload) finish(d *description) error {
	tail, err := d.tail()
	if err == nil {
		// A chunk that was cut off may have left bytes behind the end.
		err = u.file.Truncate(d.Size)
	}
	if err == nil {
		_, err = u.file.WriteAt(tail, d.Size)
	}
	if err == nil {
		err = u.file.Sync() // a power cut must not leave a hole under a good description
	}
	if err := errors.Join(err, u.file.Close()); err != nil {
		return err
	}
	for range 10 { // a sweep may remove the empty folder in between
		if err = os.MkdirAll(filepath.Dir(u.entry), 0o700); err != nil {
			return err
		}
		if err = os.Rename(u.name, u.entry); !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return err
}

// discard removes an upload that was not committed.
func (u *Upload) discard() {
	u.writing.Lock()
	defer u.writing.Unlock()
	if u.ended {
		return
	}
	u.ended = true
	_ = u.file.Close()    // nobody needs it
	_ = os.Remove(u.name) // the next start tries again
	u.forget()
}
