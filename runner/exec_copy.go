package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// copier copies a tree: folders, files with their modes and times, and symbolic
// links as they are. Sockets, pipes and devices are passed over.
type copier struct {
	from, to string
	without  []string // folders that are not entered
	ignore   *ignore  // nil: nothing is ignored
	limits   copyLimits

	dirs, links []string
	files       []copyFile
	bytes       int64
}

type copyFile struct {
	path  string // within the tree
	mode  fs.FileMode
	size  int64
	mtime time.Time
}

// list finds out what is to be copied.
func (c *copier) list(ctx context.Context) error {
	without := make([]fs.FileInfo, 0, len(c.without))
	for _, dir := range c.without {
		if info, err := os.Stat(dir); err == nil {
			without = append(without, info)
		}
	}
	return c.folder(ctx, "", rules{}, without)
}

func (c *copier) folder(ctx context.Context, dir string, above rules, without []fs.FileInfo) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(c.from, dir))
	if err != nil {
		return err
	}
	here := above
	if c.ignore != nil {
		here = c.ignore.enter(dir, above)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if c.ignore != nil && (e.Name() == ".git" || c.ignore.skips(path, e.IsDir(), here)) {
			continue
		}
		if e.IsDir() && !among(e, without) {
			c.dirs = append(c.dirs, path)
			if err := c.folder(ctx, path, here, without); err != nil {
				return err
			}
		} else if !e.IsDir() {
			if err := c.leaf(path, e); err != nil {
				return err
			}
		}
	}
	return nil
}

func among(e fs.DirEntry, folders []fs.FileInfo) bool {
	if len(folders) == 0 {
		return false
	}
	info, err := e.Info()
	if err != nil {
		return true // it has gone
	}
	for _, f := range folders {
		if os.SameFile(info, f) {
			return true
		}
	}
	return false
}

func (c *copier) leaf(path string, e fs.DirEntry) error {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		c.links = append(c.links, path)
	case e.Type().IsRegular():
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it has gone
		} else if err != nil {
			return err
		}
		c.files = append(c.files, copyFile{path, info.Mode().Perm(), info.Size(), info.ModTime()})
		c.bytes += info.Size()
	}
	switch {
	case len(c.files) > c.limits.files:
		return &tooLargeError{fmt.Sprintf("more than %d files", c.limits.files)}
	case c.bytes > c.limits.bytes:
		return &tooLargeError{fmt.Sprintf("more than %.1f GiB", float64(c.limits.bytes)/(1<<30))}
	}
	return nil
}

// copy copies what list has found, with several files at a time.
func (c *copier) copy(ctx context.Context) error {
	for _, dir := range c.dirs { // each after the one that it is in
		if err := os.Mkdir(filepath.Join(c.to, dir), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	for _, link := range c.links {
		target, err := os.Readlink(filepath.Join(c.from, link))
		if err == nil {
			err = os.Symlink(target, filepath.Join(c.to, link))
		}
		if err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	const batch = 64 // of files, so that handing them out costs little
	work := make(chan []copyFile)
	for range min(8, 2*runtime.GOMAXPROCS(0)) {
		group.Go(func() error { return c.copyFiles(work) })
	}
	group.Go(func() error {
		defer close(work)
		for i := 0; i < len(c.files); i += batch {
			select {
			case work <- c.files[i:min(i+batch, len(c.files))]:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	return group.Wait()
}

func (c *copier) copyFiles(work <-chan []copyFile) error {
	buf := make([]byte, 64<<10)
	for files := range work {
		for _, f := range files {
			err := copyOne(filepath.Join(c.to, f.path), filepath.Join(c.from, f.path), f, buf)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // it has gone since
				return err
			}
		}
	}
	return nil
}

// copyOne copies a file. A small one is read whole: the calls that clone or copy
// within the system cost more than its bytes.
func copyOne(to, from string, f copyFile, buf []byte) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode|0o200)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if f.size < int64(len(buf)) {
		err = copySmall(out, in, buf)
	} else if cloneFile(out, in) != nil {
		_, err = io.Copy(out, in) // copy_file_range where there is one
	}
	if err == nil {
		err = os.Chtimes(to, time.Time{}, f.mtime)
	}
	return err
}

func copySmall(out io.Writer, in io.Reader, buf []byte) error {
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// copyGit makes a .git beside the copied files that has what steps ask git for,
// and leaves the objects where they are: git finds them by a file of alternates.
// Nothing that a job does in it changes the repository.
func copyGit(ctx context.Context, to, worktree string) error {
	own, common, err := gitDirs(worktree)
	if err != nil {
		return err
	}
	to = filepath.Join(to, ".git")
	if err := os.MkdirAll(filepath.Join(to, "objects", "info"), 0o777); err != nil {
		return err
	}
	alternates := filepath.ToSlash(filepath.Join(common, "objects")) + "\n"
	if err := os.WriteFile(filepath.Join(to, "objects", "info", "alternates"), []byte(alternates), 0o666); err != nil { //nolint:gosec // as git writes it
		return err
	}
	if err := copyGitDir(ctx, to, common, common != own); err != nil || common == own {
		return err
	}
	return copyGitDir(ctx, to, own, false)
}

// copyGitDir copies what small things a git directory has: refs and settings.
// linked leaves out what each worktree has for itself.
func copyGitDir(ctx context.Context, to, from string, linked bool) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case strings.HasSuffix(name, ".lock"):
		case name == "refs", name == "info":
			c := &copier{from: filepath.Join(from, name), to: filepath.Join(to, name), limits: copyLimits{maxCopyFiles, maxCopyBytes}}
			if err := os.MkdirAll(c.to, 0o777); err != nil {
				return err
			}
			if err := c.list(ctx); err != nil {
				return err
			}
			if err := c.copy(ctx); err != nil {
				return err
			}
		case name == "config":
			if err := copyGitConfig(filepath.Join(to, name), filepath.Join(from, name)); err != nil {
				return err
			}
		case name == "packed-refs", name == "shallow", name == "description",
			!linked && (name == "HEAD" || name == "index" || name == "ORIG_HEAD"):
			if err := copyGitFile(filepath.Join(to, name), filepath.Join(from, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyGitConfig leaves out what leads out of the copy: the folder that a
// submodule's configuration names, and hooks.
func copyGitConfig(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(data)) {
		key, _, _ := strings.Cut(line, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "worktree", "hookspath":
		default:
			kept.WriteString(line)
		}
	}
	return os.WriteFile(to, []byte(kept.String()), 0o600)
}

func copyGitFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o666) //nolint:gosec // as git writes it
}

// gitDirs finds the git directory of a worktree, and the one that it shares with
// other worktrees.
func gitDirs(worktree string) (own, common string, err error) {
	own = filepath.Join(worktree, ".git")
	if data, err := os.ReadFile(own); err == nil { // a file that names it
		dir := strings.TrimSpace(strings.TrimPrefix(string(data), "gitdir:"))
		own = absolute(worktree, dir)
	}
	if _, err := os.Stat(own); err != nil {
		return "", "", err
	}
	common = own
	if data, err := os.ReadFile(filepath.Join(own, "commondir")); err == nil {
		common = absolute(own, strings.TrimSpace(string(data)))
	}
	common, err = filepath.Abs(common)
	return own, common, err
}

func absolute(base, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(base, path)
}
