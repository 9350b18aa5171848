// Package journaltest has a disk for the tests of journals: on real files, it
// fills up, fails and hangs when it is told to, and knows what a power cut would
// leave of what was written.
package journaltest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"otelrunner/runner/journal"
)

// Disk is a journal.Disk. It is safe for concurrent use.
type Disk struct {
	base   string
	system journal.System

	mu    sync.Mutex
	room  int64 // bytes that may still be written; less than 0: any number
	fails error // of each sync
	held  chan struct{}
	seen  func()
	files map[string]*content
	names map[string]bool // true: on the disk
}

// content is how much of a file was written, and how much of that is on the disk.
type content struct {
	written, lasting int64
	broken           bool // no sync brings more of it to the disk
}

var _ journal.Disk = (*Disk)(nil)

// New makes a disk without a fault that forgets nothing but what is written below
// the folder base.
func New(base string) *Disk {
	return &Disk{base: base, room: -1, files: map[string]*content{}, names: map[string]bool{}}
}

// SetRoom lets n more bytes be written: what does not fit fails with ENOSPC, and
// the part of it that fits is written. Less than 0 is no bound. What is removed
// makes room.
func (d *Disk) SetRoom(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = n
}

// FailSyncs lets every sync fail with err; nil ends that. As on Linux, what a file's
// sync should have brought to the disk is lost, and later syncs succeed without it.
func (d *Disk) FailSyncs(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = err
}

// HoldSyncs lets every sync wait until release is called.
func (d *Disk) HoldSyncs() (release func()) {
	held := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.held = held
	return sync.OnceFunc(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.held = nil
		close(held)
	})
}

// Watch has f called after everything that is done on the disk, by who does it.
// f may call Lasting.
func (d *Disk) Watch(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = f
}

// done tells who watches.
func (d *Disk) done() {
	d.mu.Lock()
	f := d.seen
	d.mu.Unlock()
	if f != nil {
		f()
	}
}

// Lasting writes into the folder to what would be found in the base if the power
// went now, at the worst: files have what was synced, and are there if their names
// are; what was removed is gone.
func (d *Disk) Lasting(to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := filepath.WalkDir(d.base, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == d.base {
			return err
		}
		lasting := d.names[name]
		path, _ := filepath.Rel(d.base, name) // it is below
		path = filepath.Join(to, path)
		switch {
		case !lasting && entry.IsDir():
			return filepath.SkipDir
		case !lasting:
			return nil
		case entry.IsDir():
			return os.Mkdir(path, 0o700)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(path, data[:d.files[name].lasting], 0o600)
	})
	if err != nil {
		return fmt.Errorf("copy what lasts: %w", err)
	}
	return nil
}

// Create implements journal.Disk.
func (d *Disk) Create(name string) (journal.File, error) {
	defer d.done()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room == 0 {
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	f, err := d.system.Create(name)
	if err != nil {
		return nil, err
	}
	d.names[name], d.files[name] = false, &content{}
	return &file{File: f, disk: d, name: name, content: d.files[name]}, nil
}

// Mkdir implements journal.Disk.
func (d *Disk) Mkdir(name string) error {
	defer d.done()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room == 0 {
		return &os.PathError{Op: "mkdir", Path: name, Err: syscall.ENOSPC}
	}
	err := d.system.Mkdir(name)
	if err == nil {
		d.names[name] = false
	}
	return err
}

// SyncDir implements journal.Disk.
func (d *Disk) SyncDir(dir string) error {
	return d.sync(dir, func(ok bool) {
		for name := range d.names {
			if ok && filepath.Dir(name) == dir {
				d.names[name] = true
			}
		}
	})
}

// sync waits while syncs are held, and tells settle whether this one succeeds.
func (d *Disk) sync(name string, settle func(ok bool)) error {
	defer d.done()
	d.mu.Lock()
	held := d.held
	d.mu.Unlock()
	if held != nil {
		<-held
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	settle(d.fails == nil)
	if d.fails != nil {
		return &os.PathError{Op: "sync", Path: name, Err: d.fails}
	}
	return nil
}

// Remove implements journal.Disk.
func (d *Disk) Remove(name string) error {
	defer d.done()
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.system.Remove(name)
	if err == nil {
		d.forget(name)
	}
	return err
}

// RemoveAll implements journal.Disk.
func (d *Disk) RemoveAll(name string) error {
	defer d.done()
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.system.RemoveAll(name)
	if err != nil {
		return err
	}
	for known := range d.names {
		if strings.HasPrefix(known, name+string(filepath.Separator)) {
			d.forget(known)
		}
	}
	d.forget(name)
	return nil
}

func (d *Disk) forget(name string) {
	if c := d.files[name]; c != nil && d.room >= 0 {
		d.room += c.written
	}
	delete(d.files, name)
	delete(d.names, name)
}

// file is a file of a Disk.
type file struct {
	journal.File
	disk    *Disk
	name    string
	content *content
}

// Write implements journal.File.
func (f *file) Write(p []byte) (n int, err error) {
	defer f.disk.done()
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	fits := p
	if room := f.disk.room; room >= 0 {
		fits = p[:min(room, int64(len(p)))]
		f.disk.room -= int64(len(fits))
	}
	n, err = f.File.Write(fits)
	f.content.written += int64(n)
	if err == nil && n < len(p) {
		err = &os.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return n, err
}

// Sync implements journal.File. What was written while it waits need not last.
func (f *file) Sync() error {
	f.disk.mu.Lock()
	written := f.content.written
	f.disk.mu.Unlock()
	return f.disk.sync(f.name, func(ok bool) {
		if c := f.content; !ok {
			c.broken = true
		} else if !c.broken {
			c.lasting = written
		}
	})
}
