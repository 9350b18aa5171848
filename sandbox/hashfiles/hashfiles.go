// Package hashfiles computes GitHub's hashFiles expression over any file system.
//
// It follows what hashFiles does with @actions/glob (the toolkit's glob package,
// with its defaults: implicit descendants, hidden files included), so that a
// cache key is the same here and there:
//
//   - one pattern a line; blank lines and lines that start with # are skipped;
//   - a pattern is relative to the workspace, or absolute; ~ is the home folder;
//     . and .. are refused but for a leading ./;
//   - * ? [a-z] [!a] match within one name, ** any number of folders; braces and
//     extended globs are ordinary characters; \ escapes (not on Windows);
//   - a pattern that selects a folder selects what is below it;
//   - patterns that start with ! exclude; the last pattern that matches wins;
//   - files outside of the workspace are not hashed;
//   - files are hashed in the order of the search: pattern by pattern, as far as
//     they start in different folders, each folder in the order of its names'
//     bytes, what is in a folder in the folder's place.
//
// One thing differs: a symbolic link that leads nowhere is skipped, where GitHub
// fails the step.
package hashfiles

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
)

// Options say where the files are.
type Options struct {
	// Dir is the absolute path of the file system's root as patterns spell
	// it: the workspace.
	Dir string
	// Home replaces a leading ~.
	Home string
	// FollowSymlinks descends into folders through symbolic links. Links to
	// files are always read.
	FollowSymlinks bool
	// Windows compares without case and takes \ for a separator.
	Windows bool
}

// maxDepth bounds a search that a circle of symbolic links has caught where
// file identities are not known.
const maxDepth = 256

// maxFollowed bounds what a search looks at that follows symbolic links: a few
// folders that lead to each other make as many paths as there are numbers.
const maxFollowed = 1_000_000

// Hash returns the SHA-256, in lower-case hex, of the SHA-256 of each file of
// fsys that the patterns select, and "" when they select none. Each of patterns
// may have several lines. An error names the pattern or the file. To follow
// symbolic links, fsys must follow them in Stat, ReadDir and Open, as os.DirFS
// does.
func Hash(ctx context.Context, fsys fs.FS, o Options, patterns []string) (string, error) {
	list, err := parse(patterns, o)
	if err != nil {
		return "", err
	}
	s := &search{ctx: ctx, fsys: fsys, options: o, patterns: list, sum: sha256.New(), root: split(o.Dir, o.Windows)}
	for _, start := range starts(list, s.root) {
		if err := s.visit(start); err != nil {
			return "", err
		}
	}
	if s.count == 0 {
		return "", nil
	}
	return hex.EncodeToString(s.sum.Sum(nil)), nil
}

// search is one walk over the file system.
type search struct {
	ctx      context.Context
	fsys     fs.FS
	options  Options
	patterns []pattern
	root     []string // the names of Options.Dir
	sum      hash.Hash
	count    int
	looks    int           // at files and folders
	chain    []fs.FileInfo // the folders above, to see circles
	buffer   []byte
}

// visit searches at a path of fsys.
func (s *search) visit(name string) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	absolute := s.root
	if name != "." {
		absolute = append(s.root[:len(s.root):len(s.root)], split(name, false)...)
	}
	selected := selects(s.patterns, absolute)
	descend := selected.any() || mayHold(s.patterns, absolute)
	if !descend {
		return nil
	}
	if s.looks++; s.looks > maxFollowed && s.options.FollowSymlinks {
		return fmt.Errorf("hash files: symbolic links lead to more than %d files and folders: leave out --follow-symbolic-links, or exclude some with a pattern that starts with an exclamation mark", maxFollowed)
	}
	info, err := s.stat(name)
	if err != nil || info == nil {
		return err
	}
	if info.IsDir() {
		return s.visitFolder(name, info)
	}
	if selected&kindFile == 0 {
		return nil
	}
	return s.add(name)
}

// stat returns nil for what is not there any more, and for links to nowhere.
func (s *search) stat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(s.fsys, name)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 && (s.options.FollowSymlinks || name == ".") {
		info, err = fs.Stat(s.fsys, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hash files: %w", err)
	}
	return info, nil
}

func (s *search) visitFolder(name string, info fs.FileInfo) error {
	for _, above := range s.chain {
		if os.SameFile(above, info) {
			return nil
		}
	}
	if len(s.chain) == maxDepth {
		return nil
	}
	entries, err := fs.ReadDir(s.fsys, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hash files: %w", err)
	}
	s.chain = append(s.chain, info)
	defer func() { s.chain = s.chain[:len(s.chain)-1] }()
	for _, entry := range entries {
		if err := s.visit(path.Join(name, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// add hashes one file. A link is followed here in any case.
func (s *search) add(name string) error {
	info, err := fs.Stat(s.fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hash files: %w", err)
	}
	if info.IsDir() {
		return nil
	}
	if !info.Mode().IsRegular() {
		// A named pipe would never end.
		return fmt.Errorf("hash files: %s is not a regular file (%s): exclude it with a pattern that starts with an exclamation mark", name, info.Mode().Type())
	}
	file, err := s.fsys.Open(name)
	if err != nil {
		return fmt.Errorf("hash files: %w", err)
	}
	defer func() { _ = file.Close() }()
	if s.buffer == nil {
		s.buffer = make([]byte, 64<<10)
	}
	sum := sha256.New()
	if _, err := io.CopyBuffer(writerOnly{sum}, readerOf(s.ctx, file), s.buffer); err != nil {
		return fmt.Errorf("hash files: %s: %w", name, err)
	}
	s.sum.Write(sum.Sum(nil))
	s.count++
	return nil
}

// writerOnly hides every method but Write, so that CopyBuffer uses its buffer.
type writerOnly struct{ io.Writer }

// contextReader ends a long file with its context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func readerOf(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}
