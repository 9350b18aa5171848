package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Fetching notes that a fetch is under way, or is not any more: if the process
// dies meanwhile, the next one can say that the server may have given it a task
// of which it knows nothing.
func (j *Journal) Fetching(on bool) error {
	name := filepath.Join(j.dir, fetchingName)
	if !on {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("note the end of a fetch: %w", err)
		}
		return nil
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		return fmt.Errorf("note a fetch: %w", err)
	}
	return nil
}

// WasFetching reports when the fetch began during which an earlier process died;
// ok is false when it did not die so.
func (j *Journal) WasFetching() (began time.Time, ok bool) {
	info, err := os.Stat(filepath.Join(j.dir, fetchingName))
	if err != nil {
		return time.Time{}, false
	}
	return info.ModTime(), true
}

// Mark keeps a name for the processes after this one.
func (j *Journal) Mark(name string) error {
	if err := os.WriteFile(filepath.Join(j.dir, "mark-"+name), nil, 0o600); err != nil {
		return fmt.Errorf("mark %s in the journal: %w", name, err)
	}
	return nil
}

// Marked reports whether this process or one before it has called Mark.
func (j *Journal) Marked(name string) bool {
	_, err := os.Stat(filepath.Join(j.dir, "mark-"+name))
	return err == nil
}
