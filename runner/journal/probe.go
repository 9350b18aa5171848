package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// probeName is the file that Probe writes.
const probeName = "probe"

// Probe reports whether the journal could take another task now: it writes as much
// as a segment of a Log has, brings it to the disk and removes it. Less room than
// that would fail the next task, and the one after it.
func (j *Journal) Probe() error {
	err := j.probe(filepath.Join(j.dir, probeName))
	if err == nil && j.Err() != nil {
		err = j.number()
	}
	if err != nil {
		return fmt.Errorf("the journal cannot be written to: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = nil
	return nil
}

func (j *Journal) probe(name string) error {
	if err := j.disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // a dead process's
		return err
	}
	f, err := j.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, j.segmentSize()))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close(), j.disk.Remove(name))
}
