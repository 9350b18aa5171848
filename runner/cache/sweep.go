package cache

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keptFile is an entry's file as a sweep sees it.
type keptFile struct {
	name string
	size int64
	used time.Time
}

// Sweep removes the entries that nobody has used for long enough, and what is too much.
func (s *Store) Sweep(now time.Time) { s.sweep(now, 0, 0) }

// room makes room for pending bytes beside the entries, of which some are still to be
// written. It fails where even the removal of all entries would not do, or the disk
// has too little left.
func (s *Store) room(pending, unwritten int64) error {
	if pending > s.opts.MaxSize {
		return errNoRoom
	}
	if !s.sweep(time.Now(), pending, unwritten) {
		return errNoRoom
	}
	return nil
}

// sweep removes entries until they and pending bytes keep to all bounds, and reports
// whether the disk has enough left. What two processes remove at the same time is
// told to each other by their locks.
func (s *Store) sweep(now time.Time, pending, unwritten int64) bool {
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	defer exclusive(s.opts.Dir)()
	files, total := s.files()
	free, known := s.free()
	for i, f := range files {
		old := now.Sub(f.used) > s.opts.Keep
		much := total+pending > s.opts.MaxSize || len(files)-i > maxEntries
		full := known && free-unwritten < s.opts.MinFree
		if !old && !much && !full {
			break // the others were used later
		}
		if err := os.Remove(f.name); err != nil {
			s.opts.Log.Warn("remove an entry of the cache of jobs", "error", err)
			continue
		}
		s.removeEmpty(filepath.Dir(f.name))
		total -= f.size
		free += f.size
	}
	return total+pending <= s.opts.MaxSize && (!known || free-unwritten >= s.opts.MinFree)
}

// files are all entries, the one that was not used for longest first.
func (s *Store) files() (files []keptFile, total int64) {
	err := filepath.WalkDir(s.entries, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a folder that was removed meanwhile
		}
		if info, err := d.Info(); err == nil {
			files = append(files, keptFile{name, info.Size(), info.ModTime()})
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		s.opts.Log.Warn("look through the cache of jobs", "error", err)
	}
	slices.SortFunc(files, func(a, b keptFile) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.name, b.name)) })
	return files, total
}

// free is how much may be written to the disk.
func (s *Store) free() (n int64, known bool) {
	if s.opts.Free == nil {
		return 0, false
	}
	n, err := s.opts.Free(s.opts.Dir)
	if err != nil {
		s.opts.Log.Warn("how much is free where the cache of jobs is", "error", err)
		return 0, false
	}
	return n, true
}

// removeEmpty removes a folder, and those around it, while nothing is in them.
func (s *Store) removeEmpty(dir string) {
	for dir != s.entries && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}
