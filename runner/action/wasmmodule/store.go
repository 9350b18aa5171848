package wasmmodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// store keeps files by their SHA-256. A file is written aside and renamed, and its
// content is checked whenever it is read, so that several processes may share the
// folder, and one that was damaged is fetched again.
type store struct {
	dir      string
	maxBytes int64
}

// temporary begins the names of files that are being written.
const temporary = ".new-"

func (s *store) path(sum string) string { return filepath.Join(s.dir, sum) }

// read returns a file whole; fs.ErrNotExist where it is not there, or damaged.
func (s *store) read(sum string, limit int64) ([]byte, error) {
	f, err := os.Open(s.path(sum))
	if err != nil {
		return nil, err //nolint:wrapcheck // callers ask what it is
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read a cached module: %w", err)
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("the cached module %s is damaged: %w", s.path(sum), fs.ErrNotExist)
	}
	now := time.Now()
	_ = os.Chtimes(f.Name(), now, now) // decides what is removed first; no reason to fail
	return data, nil
}

// put writes what from gives, of at most limit bytes. Content of another digest is
// a *mismatchError.
func (s *store) put(ctx context.Context, sum string, limit int64, from io.Reader) (size int64, err error) {
	f, err := os.CreateTemp(s.dir, temporary)
	if err != nil {
		return 0, fmt.Errorf("module cache: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(f, hash), io.LimitReader(from, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if size > limit {
		return 0, &sizeError{limit}
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
		return 0, &mismatchError{want: sum, got: got}
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err := os.Rename(f.Name(), s.path(sum)); err != nil {
		return 0, fmt.Errorf("module cache: %w", err)
	}
	return size, nil
}

// sizeError says that a module is too large.
type sizeError struct{ limit int64 }

func (e *sizeError) Error() string {
	return fmt.Sprintf("it has more than the %d bytes that a module may have here", e.limit)
}

// mismatchError says that what came is not what was asked for.
type mismatchError struct{ want, got string }

func (e *mismatchError) Error() string {
	return fmt.Sprintf("what came has the SHA-256 %s, and %s is expected: nothing of it was used", e.got, e.want)
}

// crashGrace is how old a file must be that was never finished.
const crashGrace = time.Hour

// collect removes what was not used for longest until the rest is within bounds,
// and what crashes left. A file in use is read whole before, so that none is
// missed.
func (s *store) collect() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("module cache: %w", err)
	}
	var errs []error
	var files []fs.FileInfo
	total := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
		case strings.HasPrefix(e.Name(), temporary):
			if time.Since(info.ModTime()) > crashGrace {
				errs = append(errs, os.Remove(filepath.Join(s.dir, e.Name())))
			}
		default:
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, f := range files {
		if total <= s.maxBytes {
			break
		}
		errs = append(errs, os.Remove(filepath.Join(s.dir, f.Name())))
		total -= f.Size()
	}
	return errors.Join(errs...)
}
