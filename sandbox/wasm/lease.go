package wasm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A worker reads an entry of the cache once, and then has it in its memory. Between
// the runner's look at the entry and that, the entry must stay: the runner holds a
// lock on HASH.used, shared with those who do the same. Who removes an entry locks it
// for himself. The system ends locks with their process, so that runners that share
// the folder need to know nothing of each other.

// leaseTime is after what time a lease ends that no worker has ended: none takes so
// long to read an entry.
const leaseTime = startTime

// lease makes that an entry of the cache stays, until end.
type lease struct {
	once  sync.Once
	file  *os.File
	timer *time.Timer
}

// end ends a lease; nil is none.
func (l *lease) end() {
	if l == nil {
		return
	}
	l.timer.Stop()
	l.unlock()
}

func (l *lease) unlock() {
	l.once.Do(func() { _ = l.file.Close() }) // nothing was written
}

// lease leases an entry that is as it was written. It is nil where there is none,
// or none any more.
func (c *cache) lease(ctx context.Context, hash string) (*lease, error) {
	name := filepath.Join(c.dir, hash+usedSuffix)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // the folder is gone, and with it the entry
	}
	if err != nil {
		return nil, fmt.Errorf("hold a compiled WebAssembly module: %w", err)
	}
	err = share(ctx, f)
	if errors.Is(err, errLocked) || !isAt(f, name) || !c.valid(hash) {
		return nil, f.Close()
	}
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), f.Close())
	}
	// Another error is a file system without locks: there, time alone protects an entry.
	l := &lease{file: f}
	l.timer = time.AfterFunc(leaseTime, l.unlock)
	return l, nil
}

// Who removes an entry takes its lock for a moment.
const (
	lockPause = 2 * time.Millisecond
	lockTries = 500
)

// share locks a file with others. The error is errLocked where one has it for himself
// and keeps it.
func share(ctx context.Context, f *os.File) (err error) {
	for range lockTries {
		if err = tryShare(f); !errors.Is(err, errLocked) {
			return err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// isAt reports whether an open file is the one that has a name.
func isAt(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(open, there)
}
