package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

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
	return j.writeFiles(ctx, files, writeFile)
}

// writeOwnFiles writes a command's files. Those that it does not leave behind may
// be spares.
func (j *job) writeOwnFiles(ctx context.Context, c *sandbox.Command) error {
	return j.writeFiles(ctx, c.Files, func(path string, data []byte, mode fs.FileMode) error {
		if j.passing(c, path) && j.spares.take(path, data, mode) {
			return nil
		}
		return writeFile(path, data, mode)
	})
}

// passing reports whether a file is there for a command only.
func (j *job) passing(c *sandbox.Command, path string) bool {
	is := func(name string) bool { return j.path(name) == path }
	return slices.ContainsFunc(c.Remove, is) && slices.ContainsFunc(c.Files, func(f sandbox.File) bool { return is(f.Path) })
}

func (j *job) writeFiles(ctx context.Context, files []sandbox.File, write func(string, []byte, fs.FileMode) error) error {
	var err error
	j.as(func() {
		for _, file := range files {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			} else {
				err = write(j.path(file.Path), file.Data, file.Mode)
			}
			if err != nil {
				return
			}
		}
	})
	return err
}

// defaultMode is the mode of a file that names none.
const defaultMode fs.FileMode = 0o644

// writeFile writes a file with exactly this mode, whatever the umask.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if mode == 0 {
		mode = defaultMode
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
func (j *job) collect(c *sandbox.Command) (collected map[string][]byte, err error) {
	j.as(func() {
		collected, err = sandbox.CollectFiles(c, func(name string, limit int64) ([]byte, error) { return readFile(j.path(name), limit) })
	})
	return collected, err
}

// removeFiles removes what a command does not leave behind, or whatever it has put in its
// place.
func (j *job) removeFiles(c *sandbox.Command) error {
	var err error
	j.as(func() {
		for _, name := range c.Remove {
			path := j.path(name)
			if j.passing(c, path) && j.spares.keep(path) {
				continue
			}
			if err = removeAny(path); err != nil {
				return
			}
		}
	})
	return err
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
