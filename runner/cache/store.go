package cache

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Options say where a Store is and what it keeps. Dir, MaxSize and Keep are required.
type Options struct {
	// Dir is its folder, which is made. Several processes may share it.
	Dir string
	// MaxSize is how much all entries may take, in bytes: those that were not used
	// for longest go first. A job may save half of it.
	MaxSize int64
	// Keep is how long an entry is kept that nobody uses.
	Keep time.Duration
	// Free tells how many bytes may still be written to the file system of a folder.
	// Entries make room, and nothing is saved, while that is less than MinFree. nil
	// does not look.
	Free    func(dir string) (int64, error)
	MinFree int64
	// Log gets what goes wrong; nil discards it.
	Log *slog.Logger
}

// DefaultMinFree is a MinFree for disks of which others need something, too.
const DefaultMinFree = 1 << 30

// maxEntries bounds how many there are: each needs a file, however small.
const maxEntries = 20_000

// A Store keeps entries in a folder. It is safe for concurrent use, and several
// processes may have one on the same folder: an entry becomes visible by the renaming
// of a whole file.
type Store struct {
	opts    Options
	entries string
	own     *workplace // where uploads grow

	sweeping sync.Mutex

	mu       sync.Mutex
	reserved map[string]*Upload // by the entry's file
	pending  int64              // bytes of uploads
	arrived  int64              // those of them that are on the disk
	uploads  int                // counts them, for names
}

// Open opens the store, and removes what dead processes did not end.
func Open(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{opts: o, entries: filepath.Join(o.Dir, "entries"), reserved: map[string]*Upload{}}
	if err := os.MkdirAll(s.entries, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of the cache: %w", err)
	}
	var err error
	if s.own, err = newWorkplace(o.Dir); err != nil {
		return nil, fmt.Errorf("the folder of the cache: %w", err)
	}
	s.Sweep(time.Now())
	return s, nil
}

// Close removes what was not ended. No door may be open.
func (s *Store) Close() error { return s.own.close() }

// perJob is how much one job may save, in bytes.
func (s *Store) perJob() int64 { return s.opts.MaxSize / 2 }

// A found entry is one that a lookup has given.
type found struct {
	description
	file string
}

// lookup gives the entry that GitHub would: in each ref, the entry of a key, else the
// newest whose key begins with it, one key after the other.
func (s *Store) lookup(scope *Scope, keys []string, version string) (found, bool) {
	for _, ref := range scope.Read {
		id := identity{scope.Server, scope.Repository, ref, version, ""}
		shelf := sync.OnceValue(func() []found { return s.shelf(&id) })
		for _, key := range keys {
			exact := id
			exact.Key = key
			if e, ok := s.get(&exact); ok {
				return e, true
			}
			var best found
			for _, e := range shelf() {
				if strings.HasPrefix(e.Key, key) && newer(&e.description, &best.description) {
					best = e
				}
			}
			if best.file != "" {
				return best, true
			}
		}
	}
	return found{}, false
}

func newer(a, b *description) bool {
	return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.Key, b.Key)) > 0
}

// get reads the entry of exactly this identity.
func (s *Store) get(id *identity) (found, bool) {
	file := filepath.Join(s.entries, id.file())
	d, err := read(file)
	if err != nil || d.identity != *id {
		return found{}, false
	}
	return found{*d, file}, true
}

// shelf reads all entries that differ from id only in their key.
func (s *Store) shelf(id *identity) []found {
	var list []found
	for _, e := range s.folder(id.shelf()) {
		same := *id
		same.Key = e.Key
		if e.identity == same {
			list = append(list, e)
		}
	}
	return list
}

// folder reads all entries of a folder below the one of all.
func (s *Store) folder(below string) []found {
	dir := filepath.Join(s.entries, below)
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.opts.Log.Warn("look into the cache of jobs", "error", err)
	}
	var list []found
	for _, f := range files {
		file := filepath.Join(dir, f.Name())
		if d, err := read(file); err == nil { // else it was removed just now, or is no entry
			list = append(list, found{*d, file})
		}
	}
	return list
}

// maxSimilar is how many entries are told to who looks for what there is.
const maxSimilar = 100

// similar gives entries of any version that a job can read and whose key begins with
// key.
func (s *Store) similar(scope *Scope, key string) (list []found) {
	for _, ref := range scope.Read {
		id := identity{Server: scope.Server, Repository: scope.Repository, Ref: ref}
		versions, _ := os.ReadDir(filepath.Dir(filepath.Join(s.entries, id.shelf()))) // what is not there has none
		for _, v := range versions {
			for _, e := range s.folder(filepath.Join(filepath.Dir(id.shelf()), v.Name())) {
				same := id
				same.Version, same.Key = e.Version, e.Key
				if e.identity == same && strings.HasPrefix(e.Key, key) && len(list) < maxSimilar {
					list = append(list, e)
				}
			}
		}
	}
	return list
}

// content opens an entry's content. It fails where the entry is gone, or is another
// one by now.
func (s *Store) content(e *found) (io.ReadSeeker, io.Closer, error) {
	f, err := os.Open(e.file)
	if err != nil {
		return nil, nil, fmt.Errorf("open an entry of the cache: %w", err)
	}
	d, err := describe(f)
	if err == nil && (d.identity != e.identity || d.Size != e.Size || !d.Created.Equal(e.Created)) {
		err = errNoEntry
	}
	if err != nil {
		_ = f.Close() // it was only read
		return nil, nil, err
	}
	s.used(e)
	return io.NewSectionReader(f, 0, d.Size), f, nil
}

// used notes that an entry is used.
func (s *Store) used(e *found) {
	now := time.Now()
	_ = os.Chtimes(e.file, now, now) // at worst it goes sooner
}
