// Package staging reads a tree that is to be copied into a sandbox: it decides,
// once for all kinds of sandbox, what a copy holds and which symbolic links are
// refused. It only reads.
package staging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// Entry is one entry of a tree.
type Entry struct {
	// Path is as package io/fs has it.
	Path string
	// Mode has the type (a regular file, a folder or a symbolic link) and the
	// permissions of the copy: 0755 for folders and executable files, 0644 for
	// other files.
	Mode fs.FileMode
	// Size is a file's size in bytes.
	Size int64
	// Target is what a symbolic link holds, with forward slashes.
	Target string
}

// maxLinks is how many symbolic links may follow one another, as on Linux.
const maxLinks = 40

// Walk lists a tree, each folder before what it holds, in lexical order, without
// the root. It is an error when a symbolic link is absolute or leads out of the
// tree, also by way of other links, and when an entry is neither file, folder nor
// link. A link to something that is not there is kept.
func Walk(ctx context.Context, tree fs.FS) ([]Entry, error) {
	var entries []Entry
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if name == "." {
			return nil
		}
		entry, err := read(tree, name, d)
		if err != nil {
			return err
		}
		entries = append(entries, entry)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

func read(tree fs.FS, name string, d fs.DirEntry) (Entry, error) {
	info, err := d.Info()
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Path: name, Mode: 0o644, Size: info.Size()}
	switch mode := info.Mode(); {
	case mode.IsDir():
		e.Mode, e.Size = fs.ModeDir|0o755, 0
	case mode&fs.ModeSymlink != 0:
		e.Mode, e.Size = fs.ModeSymlink|0o777, 0
		target, err := fs.ReadLink(tree, name)
		if err != nil {
			return Entry{}, err
		}
		e.Target = slashes(target)
		if err := inside(tree, name); err != nil {
			return Entry{}, err
		}
	case !mode.IsRegular():
		return Entry{}, fmt.Errorf("%s is neither a file, a folder nor a symbolic link (%s)", name, mode.Type())
	case mode&0o111 != 0:
		e.Mode = 0o755
	}
	return e, nil
}

// inside follows a symbolic link as the system would, through every link on its
// way, and reports whether it leaves the tree. What is lexically inside may not
// be: with `b -> .`, `b/../x` is outside.
func inside(tree fs.FS, link string) error {
	at := []string{}
	rest := strings.Split(link, "/")
	links := 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if len(at) == 0 {
				return fmt.Errorf("symbolic link %s leaves the tree: %w", link, fs.ErrInvalid)
			}
			at = at[:len(at)-1]
			continue
		}
		here := path.Join(append(at[:len(at):len(at)], part)...)
		info, err := fs.Lstat(tree, here)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&fs.ModeSymlink == 0 {
			at = append(at, part)
			continue
		}
		if err != nil {
			return err
		}
		if links++; links > maxLinks {
			return nil // a circle leads nowhere
		}
		target, err := fs.ReadLink(tree, here)
		if err != nil {
			return err
		}
		target = slashes(target)
		if strings.HasPrefix(target, "/") || filepath.IsAbs(target) {
			return fmt.Errorf("symbolic link %s leads to %s, an absolute path: %w", link, target, fs.ErrInvalid)
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// slashes gives a link's target forward slashes. Only on Windows is a backslash
// a separator.
func slashes(target string) string {
	if runtime.GOOS == "windows" {
		return strings.ReplaceAll(target, `\`, "/")
	}
	return target
}
