package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"otelrunner/sandbox"
	"otelrunner/sandbox/hashfiles"
)

// ReadFile reads a whole file of at most limit bytes.
func (j *job) ReadFile(ctx context.Context, path string, limit int64) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var data []byte
	var err error
	j.as(func() { data, err = readFile(j.path(path), limit) })
	return data, err
}

// readFile reads a regular file. Steps can put anything where a file was: a
// named pipe would block an open, a device has no end.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, cause(err))
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, cause(err))
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is not a regular file (%s)", path, info.Mode().Type())
	}
	tooLarge := &sandbox.LimitError{Limit: "files", Text: fmt.Sprintf("%s is larger than the limit of %d bytes", path, limit)}
	if info.Size() > limit {
		return nil, tooLarge
	}
	data := make([]byte, 0, info.Size()+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, tooLarge
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", path, cause(err))
		}
		if len(data) == cap(data) { // it grows while it is read
			data = append(data, 0)[:len(data)]
		}
	}
}

// cause is what the system said, without the path that the message has already.
func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// WriteFiles writes files with their parent folders.
func (j *job) WriteFiles(ctx context.Context, files []sandbox.File) error {
	for _, file := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		j.as(func() { err = writeFile(j.path(file.Path), file.Data, file.Mode) })
		if err != nil {
			return err
		}
	}
	return nil
}

// writeFile writes a file with exactly this mode, whatever the umask; 0 is 0644.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if mode == 0 {
		mode = 0o644
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC | openNonblock
	f, err := os.OpenFile(path, flags, mode.Perm())
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return diskError("make the folder", filepath.Dir(path), err)
		}
		f, err = os.OpenFile(path, flags, mode.Perm())
	}
	if err != nil {
		return diskError("write", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode.Perm())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return diskError("write", path, err)
	}
	return nil
}

// collect reads what a command is asked for.
func (j *job) collect(c *sandbox.Command) (map[string][]byte, error) {
	return sandbox.CollectFiles(c, func(name string, limit int64) (data []byte, err error) {
		j.as(func() { data, err = readFile(j.path(name), limit) })
		return data, err
	})
}

// remove removes files, or whatever a step has put in their place.
func (j *job) remove(names []string) error {
	for _, name := range names {
		var err error
		j.as(func() { err = removeAny(j.path(name)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func removeAny(path string) error {
	err := os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return removeTree(context.Background(), path)
}

// HashFiles is GitHub's hashFiles.
func (j *job) HashFiles(ctx context.Context, dir string, patterns []string, followSymlinks bool) (string, error) {
	dir = j.path(dir)
	var sum string
	var err error
	j.as(func() {
		sum, err = hashfiles.Hash(ctx, os.DirFS(dir), hashfiles.Options{
			Dir:            dir,
			Home:           j.info.Home,
			FollowSymlinks: followSymlinks,
			Windows:        j.info.OS == "windows",
		}, patterns)
	})
	return sum, err
}
