package wasm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"otelrunner/sandbox/wasm/rootfs"
)

// Every module that a job makes up is another one, with compiled code of several
// times its size, so that the cache is bounded; evict says what goes. Several runners
// may share the folder.

const (
	// touchEvery is how often it is written down that an entry is used.
	touchEvery = 10 * time.Second
	// listEvery is how often the entries are listed at least where modules are added.
	listEvery = time.Minute
	// crashGrace is how old a file must be that belongs to no entry.
	crashGrace = time.Hour
	// blockSize is what files take on most file systems a multiple of, in bytes.
	blockSize = 4096
)

// onDisk is what a file of a size takes.
func onDisk(size int64) int64 { return (size + blockSize - 1) / blockSize * blockSize }

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
	job   string // for which it was made
	files []string
	size  int64
	used  time.Time
}

// collect removes entries until those that are there are within bounds. Where the one
// that was just added, with its size, has no room, it goes, and the error is a
// *refusedError.
func (c *cache) collect(added string, size int64) error {
	if c.most <= 0 || !c.grown(size) {
		return nil
	}
	c.collecting.Lock()
	defer c.collecting.Unlock()
	entries, err := c.entries()
	if err != nil {
		c.log.Warn("the cache of compiled modules is not kept within its bounds", "error", err)
		return nil
	}
	e := c.eviction(entries, added)
	fits := e.makeRoom()
	c.mu.Lock()
	c.total, c.added, c.listed = e.total, 0, time.Now()
	c.mu.Unlock()
	if fits {
		return nil
	}
	return &refusedError{fmt.Sprintf("the module's compiled form has %s, and does not fit into the %s of all compiled modules (sandbox.compiled_size) beside the shell and what other jobs load at this moment",
		rootfs.Size(e.added.size), rootfs.Size(c.most))}
}

// grown adds the size of an entry to what is known, and reports whether all have to
// be listed, which takes long where there are many: other runners, and the modules of
// host and container jobs, add some too.
func (c *cache) grown(size int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total, c.added = c.total+size, c.added+size
	return c.total > c.most || c.added > c.most/slackPart || time.Since(c.listed) > listEvery
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
		e := kept{hash: hash, job: m.Job, files: []string{hash + manifestSuffix, hash + moduleSuffix, m.Entry, hash + usedSuffix}}
		for _, name := range e.files {
			owned[name] = true
			info, err := os.Lstat(filepath.Join(c.dir, name))
			if err != nil {
				continue
			}
			e.size += onDisk(info.Size())
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
