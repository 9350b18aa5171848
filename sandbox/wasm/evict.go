package wasm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// staleAfter is how long after its last use an entry of the cache is nobody's.
const staleAfter = time.Hour

// slackPart is which part of the cache is freed beyond what is needed, so that
// the entries are not listed for each module that is added.
const slackPart = 16

// eviction makes room in the cache.
//
// What nobody has used for an hour goes first, the oldest before the others. Where
// that is not enough, the job whose entries take most gives its oldest, again and
// again: so each of n jobs may keep an n-th of the cache, whatever the others add, and
// more where they need less; one alone has all of it. What goes is in the memory of
// the workers that have read it, and is compiled again for others. What a worker is
// about to read stays (see lease), and so do the shell and what was just added.
type eviction struct {
	c     *cache
	total int64 // bytes of all entries
	fixed int64 // of the shell and of what was added
	added kept  // of no files where it is gone already
	stale []kept
	held  map[string]int64  // bytes by job
	fresh map[string][]kept // by job, the oldest first
}

// eviction looks at what may go.
func (c *cache) eviction(entries []kept, added string) *eviction {
	e := &eviction{c: c, held: map[string]int64{}, fresh: map[string][]kept{}}
	slices.SortFunc(entries, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, k := range entries {
		e.total += k.size
		switch own := k.hash == added; {
		case own || c.keeps(k.hash):
			e.fixed += k.size
			if own {
				e.added = k
				e.held[k.job] += k.size
			}
		case time.Since(k.used) > staleAfter:
			e.stale = append(e.stale, k)
		default:
			e.held[k.job] += k.size
			e.fresh[k.job] = append(e.fresh[k.job], k)
		}
	}
	return e
}

// makeRoom reports whether what was added fits, and removes what that needs: it
// itself where it does not.
func (e *eviction) makeRoom() bool {
	most := e.c.most
	if e.total <= most {
		return true
	}
	if e.fixed <= most { // else nothing that others have would help
		e.evict(most - most/slackPart)
	}
	if e.total <= most || e.c.keeps(e.added.hash) {
		return true
	}
	e.drop(e.added)
	return false
}

// evict removes entries until they take no more than a number of bytes, or none is
// left that may go.
func (e *eviction) evict(to int64) {
	for _, k := range e.stale {
		if e.total <= to {
			return
		}
		e.drop(k)
	}
	for e.total > to {
		job, ok := e.largest()
		if !ok {
			return
		}
		k := e.fresh[job][0]
		if e.fresh[job] = e.fresh[job][1:]; e.drop(k) {
			e.held[job] -= k.size
		}
	}
}

// largest is the job whose entries take most, of those that have one to give.
func (e *eviction) largest() (largest string, ok bool) {
	most := int64(-1)
	for job, list := range e.fresh {
		if held := e.held[job]; len(list) > 0 && (held > most || held == most && job < largest) {
			largest, most = job, held
		}
	}
	return largest, most >= 0
}

// drop removes an entry, unless it is leased or was used since it was looked at.
func (e *eviction) drop(k kept) bool {
	if !e.c.drop(k) {
		return false
	}
	e.total -= k.size
	return true
}

// unlockedTime is how long an entry stays after its last use on a file system
// without locks.
const unlockedTime = leaseTime + 3*touchEvery

// drop removes an entry, its manifest first: without that it is none. It does nothing
// to one that is leased, or was used since it was listed.
func (c *cache) drop(k kept) bool {
	used := filepath.Join(c.dir, k.hash+usedSuffix)
	_, missing := os.Lstat(used)
	f, err := os.OpenFile(used, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		c.log.Warn("a compiled module could not be removed from the cache", "error", err)
		return false
	}
	defer func() { _ = f.Close() }() // it is a lock
	err = tryLock(f)
	if errors.Is(err, errLocked) || err != nil && time.Since(k.used) < unlockedTime {
		return false
	}
	if info, err := f.Stat(); missing == nil && (err != nil || info.ModTime().After(k.used)) {
		return false
	}
	c.mu.Lock()
	delete(c.seen, k.hash)
	delete(c.used, k.hash)
	c.mu.Unlock()
	for _, name := range k.files {
		full := filepath.Join(c.dir, name)
		err := os.Remove(full)
		if err != nil && full == used {
			_ = f.Close() // not every system removes an open file
			err = os.Remove(full)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("a compiled module could not be removed from the cache", "error", err)
			return false
		}
	}
	return true
}
