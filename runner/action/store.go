package action

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The folders of a cache. The version is in the first: a later format takes
// another one and leaves this to age.
const (
	entriesDir = "v1"
	locksDir   = "locks"
	scratchDir = "tmp"
	archiveExt = ".zip"
)

// store keeps archives on disk, one file a commit. What several goroutines and
// processes do with one folder is made safe by the file system alone: an archive
// is written aside, synced and renamed; who uses one holds a shared lock on it;
// who fetches one holds an exclusive lock beside it. A crash releases locks and
// leaves files aside, which the next collection removes.
type store struct {
	dir      string
	maxBytes int64
	maxAge   time.Duration
	log      *slog.Logger
}

// entryKey names an archive. scope is set for what was fetched with credentials.
type entryKey struct{ repo, sha, scope string }

func (k entryKey) name() string {
	if k.scope == "" {
		return k.repo + "-" + k.sha
	}
	return k.repo + "-" + k.sha + "-" + k.scope
}

func (s *store) path(k entryKey) string {
	return filepath.Join(s.dir, entriesDir, k.name()+archiveExt)
}

// entry is an archive in use; Close lets the store remove it again.
type entry struct {
	Tree     *Tree
	manifest manifest
	file     *os.File
}

func (e *entry) Close() error { return e.file.Close() }

// open opens an archive; one that is not there gives fs.ErrNotExist. A broken
// one gives another error and is to be fetched again.
func (s *store) open(k entryKey) (*entry, error) {
	file, err := os.Open(s.path(k))
	if err != nil {
		return nil, err
	}
	e, err := s.use(file, k)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return e, nil
}

func (s *store) use(file *os.File, k entryKey) (*entry, error) {
	if err := lockShared(file); err != nil {
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	tree, m, err := newTree(file, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s is broken: %w", file.Name(), err)
	}
	if m.SHA != k.sha {
		return nil, fmt.Errorf("%s is of another commit, %q", file.Name(), m.SHA)
	}
	// The time of the last use decides what is removed first. It is no
	// reason to fail.
	now := time.Now()
	if err := os.Chtimes(file.Name(), now, now); err != nil {
		s.log.Debug("action cache: cannot note a use", "error", err)
	}
	return &entry{Tree: tree, manifest: m, file: file}, nil
}

// put writes an archive by build, which gets an empty folder for its own needs.
// The archive is there whole when put returns nil, and not at all otherwise.
func (s *store) put(ctx context.Context, k entryKey, limit int64, url string, build func(scratch string, w *archiveWriter) error) (err error) {
	scratch, err := s.scratch()
	if err != nil {
		return fmt.Errorf("action cache: %w", err)
	}
	defer func() { err = errors.Join(err, scratch.remove()) }()

	file, err := os.OpenFile(filepath.Join(scratch.dir, "archive"), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("action cache: %w", err)
	}
	w := newArchiveWriter(file, limit)
	w.manifest.URL, w.manifest.SHA = url, k.sha
	err = build(scratch.dir, w)
	if err == nil {
		err = errors.Join(w.close(), file.Sync())
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := os.Rename(file.Name(), s.path(k)); err != nil {
		return fmt.Errorf("action cache: %w", err)
	}
	return nil
}

// scratchFolder is a folder aside, marked as in use by a lock.
type scratchFolder struct {
	dir  string
	lock *os.File
}

const scratchLock = "lock"

func (s *store) scratch() (*scratchFolder, error) {
	dir, err := os.MkdirTemp(filepath.Join(s.dir, scratchDir), "fetch-")
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, scratchLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if _, err := tryLock(lock); err != nil {
		return nil, errors.Join(err, lock.Close(), os.RemoveAll(dir))
	}
	return &scratchFolder{dir: dir, lock: lock}, nil
}

func (f *scratchFolder) remove() error {
	return errors.Join(f.lock.Close(), os.RemoveAll(f.dir))
}

// lockPoll is how often a lock that somebody else holds is tried again: waiting
// for it in the kernel could not be ended by a context.
const lockPoll = 20 * time.Millisecond

// lock takes the right to fetch a commit, among all goroutines and processes.
// Commits share a bounded number of lock files; nobody holds two.
func (s *store) lock(ctx context.Context, k entryKey) (unlock func(), err error) {
	name := filepath.Join(s.dir, locksDir, digest(k.repo+k.sha, 3))
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("action cache: %w", err)
	}
	for {
		ok, err := tryLock(file)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("action cache: lock %s: %w", name, err), file.Close())
		}
		if ok {
			return func() { _ = file.Close() }, nil
		}
		if err := sleep(ctx, lockPoll); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
}

// scratchGrace is how old a folder without a lock is before it is a crash's: its
// maker locks it right after making it.
const scratchGrace = 10 * time.Minute

// collect removes what is too old, what is too much, least recently used first,
// and what crashes left. What is in use stays.
func (s *store) collect(ctx context.Context) error {
	var errs []error
	for _, name := range s.crashed() {
		errs = append(errs, os.RemoveAll(name))
	}
	files, err := s.list()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	var total int64
	for _, f := range files {
		total += f.Size()
	}
	for _, f := range files {
		tooOld := time.Since(f.ModTime()) > s.maxAge
		if ctx.Err() != nil || !tooOld && total <= s.maxBytes {
			break
		}
		removed, err := removeUnused(filepath.Join(s.dir, entriesDir, f.Name()))
		if err != nil {
			errs = append(errs, err)
		}
		if removed {
			total -= f.Size()
			s.log.Debug("action cache: removed", "entry", f.Name(), "bytes", f.Size())
		}
	}
	return errors.Join(errs...)
}

// list gives the archives, the least recently used first.
func (s *store) list() ([]fs.FileInfo, error) {
	names, err := os.ReadDir(filepath.Join(s.dir, entriesDir))
	if err != nil {
		return nil, err
	}
	var files []fs.FileInfo
	for _, e := range names {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), archiveExt) {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	return files, nil
}

// crashed are the folders aside that nobody holds any more.
func (s *store) crashed() []string {
	root := filepath.Join(s.dir, scratchDir)
	names, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var dead []string
	for _, e := range names {
		dir := filepath.Join(root, e.Name())
		if info, err := e.Info(); err != nil || time.Since(info.ModTime()) < scratchGrace {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(dir, scratchLock), os.O_RDWR, 0)
		if err != nil {
			dead = append(dead, dir)
			continue
		}
		if ok, err := tryLock(lock); ok && err == nil {
			dead = append(dead, dir)
		}
		_ = lock.Close()
	}
	return dead
}
