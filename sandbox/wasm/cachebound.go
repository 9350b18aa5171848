package wasm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"otelrunner/sandbox/wasm/rootfs"
)

// Every module that a job makes up is another one, with compiled code of several
// times its size, so that the cache is bounded: what was not used for longest goes
// first. Several runners may share the folder: an entry that one of them has just
// looked at stays until a worker has surely read it.

const (
	// touchEvery is how often it is written down that an entry is used.
	touchEvery = 10 * time.Second
	// inUse is how long after its last use an entry stays in any case: a worker
	// reads it within startTime.
	inUse = startTime + 3*touchEvery
	// crashGrace is how old a file must be that belongs to no entry.
	crashGrace = time.Hour
)

// The beginnings of the names of what is being made.
const (
	compileFolder = "compile-"
	newFile       = ".new-"
)

// touch writes down that an entry is used. Where that fails, it is removed the
// sooner, and compiled again.
func (c *cache) touch(hash string) {
	now := time.Now()
	c.mu.Lock()
	last, known := c.used[hash]
	fresh := known && now.Sub(last) < touchEvery
	if !fresh {
		if c.used == nil {
			c.used = map[string]time.Time{}
		}
		c.used[hash] = now
	}
	c.mu.Unlock()
	if fresh {
		return
	}
	name := filepath.Join(c.dir, hash+usedSuffix)
	if err := os.Chtimes(name, now, now); errors.Is(err, fs.ErrNotExist) {
		_ = os.WriteFile(name, nil, 0o600) // as said
	}
}

// keep makes an entry one that is not removed: no job can take the shell from others.
func (c *cache) keep(hash string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stay == nil {
		c.stay = map[string]bool{}
	}
	c.stay[hash] = true
}

func (c *cache) keeps(hash string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stay[hash]
}

// kept is an entry of the cache.
type kept struct {
	hash  string
	files []string
	size  int64
	used  time.Time
}

// collect removes what was not used for longest until the rest is within bounds.
// Where it is not even then, the entry that was just added goes too, and the error
// is a *refusedError.
func (c *cache) collect(added string) error {
	if c.most <= 0 {
		return nil
	}
	entries, err := c.entries()
	if err != nil {
		c.log.Warn("the cache of compiled modules is not kept within its bounds", "error", err)
		return nil
	}
	total := int64(0)
	for _, e := range entries {
		total += e.size
	}
	slices.SortFunc(entries, func(a, b kept) int { return a.used.Compare(b.used) })
	var own kept
	for _, e := range entries {
		switch {
		case e.hash == added:
			own = e
		case total > c.most && time.Since(e.used) > inUse && !c.keeps(e.hash):
			c.drop(e)
			total -= e.size
		}
	}
	if total <= c.most || c.keeps(added) {
		return nil
	}
	c.drop(own)
	return &refusedError{fmt.Sprintf("the module's compiled form has %s, and does not fit into the %s of all compiled modules (sandbox.compiled_size) beside those in use: use fewer different modules at a time",
		rootfs.Size(own.size), rootfs.Size(c.most))}
}

// drop removes an entry, its manifest first: without that it is none.
func (c *cache) drop(e kept) {
	c.mu.Lock()
	delete(c.seen, e.hash)
	delete(c.used, e.hash)
	c.mu.Unlock()
	for _, name := range e.files {
		if err := os.Remove(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("a compiled module could not be removed from the cache", "error", err)
			return
		}
	}
}

// entries lists what the cache holds, and removes what crashes left.
func (c *cache) entries() ([]kept, error) {
	top, err := os.ReadDir(c.dir)
	if err != nil {
		return nil, fmt.Errorf("list the cache of compiled modules: %w", err)
	}
	var list []kept
	owned := map[string]bool{}
	for _, d := range top {
		hash, ok := strings.CutSuffix(d.Name(), manifestSuffix)
		if !ok {
			continue
		}
		m, err := c.manifest(hash)
		if err != nil {
			continue // no entry: its files are nobody's
		}
		e := kept{hash: hash, files: []string{hash + manifestSuffix, hash + moduleSuffix, m.Entry, hash + usedSuffix}}
		for _, name := range e.files {
			owned[name] = true
			info, err := os.Lstat(filepath.Join(c.dir, name))
			if err != nil {
				continue
			}
			e.size += info.Size()
			if info.ModTime().After(e.used) {
				e.used = info.ModTime()
			}
		}
		list = append(list, e)
	}
	return list, c.sweep(top, owned)
}

// sweep removes what belongs to no entry and is old.
func (c *cache) sweep(top []fs.DirEntry, owned map[string]bool) error {
	names := make([]string, 0, len(top))
	for _, d := range top {
		if !d.IsDir() || strings.HasPrefix(d.Name(), compileFolder) {
			names = append(names, d.Name())
			continue
		}
		inner, err := os.ReadDir(filepath.Join(c.dir, d.Name())) // the engine's folder
		if err != nil {
			return fmt.Errorf("list the cache of compiled modules: %w", err)
		}
		for _, f := range inner {
			names = append(names, filepath.Join(d.Name(), f.Name()))
		}
	}
	var errs []error
	for _, name := range names {
		full := filepath.Join(c.dir, name)
		if info, err := os.Lstat(full); owned[name] || err != nil || time.Since(info.ModTime()) < crashGrace {
			continue
		}
		errs = append(errs, os.RemoveAll(full))
	}
	return errors.Join(errs...)
}
