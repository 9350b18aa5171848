package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// keepBatch is how many bytes of rows are read at a time.
const keepBatch = 1 << 20

// Keep ends the Log and leaves, as text, the rows that the server does not have:
// why says what happened. It returns the file's name, or "" if nothing is kept:
// there are no rows, or Options.Keep says so.
func (l *Log) Keep(why string) (file string, err error) {
	l.stop()
	state := l.State()
	if l.journal.keep.Load() >= 0 && state.Next > max(state.Acked, state.First) {
		if file, err = l.writeKept(&state, why); err != nil {
			err = fmt.Errorf("keep the rows of task %d: %w", state.Task, err)
		}
	}
	if err != nil {
		l.end()
		return "", err // the folder stays: the next start tries again
	}
	return file, l.Done()
}

// writeKept writes the text and brings it to the disk: the Log is removed after it.
func (l *Log) writeKept(s *State, why string) (name string, err error) {
	disk, dir := l.journal.disk, filepath.Join(l.journal.dir, keptName)
	if err := mkdirAll(disk, dir); err != nil {
		return "", err
	}
	name = filepath.Join(dir, fmt.Sprintf("task-%d.log", s.Task))
	if err := disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // an attempt that was cut off
		return "", err
	}
	f, err := disk.Create(name)
	if err != nil {
		return "", err
	}
	if err = errors.Join(l.writeText(f, s, why), f.Close()); err == nil {
		err = disk.SyncDir(dir)
	}
	if err != nil {
		_ = disk.Remove(name) // the next attempt does so otherwise
		return "", err
	}
	return name, nil
}

func (l *Log) writeText(f File, s *State, why string) error {
	w := bufio.NewWriter(f) // keeps the first error of a write for Flush
	from := max(s.Acked, s.First)
	_, _ = fmt.Fprintf(w, "# task %d · %s · %s · job %s · run %s\n# %s\n# rows %d to %d\n",
		s.Task, s.Repository, s.Workflow, s.Job, s.Run, strings.ReplaceAll(why, "\n", " "), from, s.Next-1)
	for from < s.Next {
		rows, err := l.Rows(from, keepBatch)
		for _, r := range rows {
			_, _ = fmt.Fprintf(w, "%s %s\n", r.Time.UTC().Format(time.RFC3339Nano), r.Text)
		}
		if err != nil {
			return errors.Join(err, w.Flush())
		}
		from += int64(len(rows))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

// Expire removes kept files that are older than Options.Keep at now.
func (j *Journal) Expire(now time.Time) {
	dir := filepath.Join(j.dir, keptName)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nothing was ever kept
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) < time.Duration(j.keep.Load()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			j.log.Warn("remove a kept log", "error", err)
		}
	}
}
