package checkout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"

	"otelrunner/runner/action"
)

// Bounds of what one checkout writes, submodules included: a few kilobytes of a
// repository can stand for any number of files.
const (
	maxBytes     = 8 << 30
	maxTreeDepth = 200
	maxLink      = 4096
)

// tree writes the files of a commit.
type tree struct {
	*checkout
	clone *action.Clone
	files []*index.Entry // all that git keeps track of
	links []link
	mods  []submodule
	left  []string // what was left out
	lfs   []string
	bytes int64
}

// link is a symbolic link, to be made when all files are written: then nothing was
// written by one.
type link struct{ name, target string }

// submodule is a commit of another repository.
type submodule struct {
	path   string // in the tree
	commit string
}

// write writes the whole tree to a folder.
func (t *tree) write(dir string) error {
	root, err := t.clone.Commit.Tree()
	if err != nil {
		return fmt.Errorf("read its files: %w", err)
	}
	if err := t.folderOf(root, dir, "", 0); err != nil {
		return err
	}
	for _, l := range t.links {
		if err := t.place(l.name); err != nil {
			return err
		}
		if err := t.Files.Symlink(l.target, l.name); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) folderOf(of *object.Tree, dir, rel string, depth int) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("its folders nest deeper than %d levels", maxTreeDepth)
	}
	seen := make(map[string]bool, len(of.Entries))
	for i := range of.Entries {
		if t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		e := &of.Entries[i]
		if err := checkName(e.Name); err != nil {
			return fmt.Errorf("it has an entry %q in the folder %q, %w: nothing more of it is written", e.Name, "/"+rel, err)
		}
		if seen[e.Name] {
			return fmt.Errorf("it has the entry %q twice in the folder %q: nothing more of it is written", e.Name, "/"+rel)
		}
		seen[e.Name] = true
		if t.entries++; t.entries > t.MaxEntries {
			return fmt.Errorf("it has more than %d files and folders", t.MaxEntries)
		}
		if odd(e.Name) {
			t.left = append(t.left, path.Join(rel, e.Name))
			continue
		}
		if err := t.entry(e, path.Join(dir, e.Name), path.Join(rel, e.Name), depth); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) entry(e *object.TreeEntry, name, rel string, depth int) error {
	switch e.Mode {
	case filemode.Dir:
		sub, err := object.GetTree(t.clone.Storage, e.Hash)
		if err != nil {
			return fmt.Errorf("read the folder %s: %w", rel, err)
		}
		if err := t.folder(name); err != nil {
			return err
		}
		return t.folderOf(sub, name, rel, depth+1)
	case filemode.Submodule:
		t.mods = append(t.mods, submodule{path: rel, commit: e.Hash.String()})
		t.track(e, rel, 0)
		return t.folder(name)
	case filemode.Symlink:
		return t.symlink(e, name, rel)
	case filemode.Executable:
		return t.file(e, name, rel, 0o755)
	case filemode.Regular, filemode.Deprecated:
		return t.file(e, name, rel, 0o644)
	}
	return fmt.Errorf("it has the entry %s of the unknown mode %s", rel, e.Mode)
}

func (t *tree) track(e *object.TreeEntry, rel string, size int64) {
	t.files = append(t.files, &index.Entry{Name: rel, Hash: e.Hash, Mode: e.Mode, Size: uint32(size)}) //nolint:gosec // the format has 32 bits
}

// place removes what is where something is to be made.
func (t *tree) place(name string) error {
	_, err := t.Files.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return t.Files.RemoveAll(name)
}

func (t *tree) blob(hash plumbing.Hash, rel string) (*object.Blob, io.ReadCloser, error) {
	blob, err := object.GetBlob(t.clone.Storage, hash)
	if err != nil {
		return nil, nil, fmt.Errorf("read the file %s: %w", rel, err)
	}
	t.bytes += blob.Size
	if t.checkout.bytes += blob.Size; t.checkout.bytes > maxBytes {
		return nil, nil, fmt.Errorf("it holds more than %d GiB", maxBytes>>30)
	}
	r, err := blob.Reader()
	if err != nil {
		return nil, nil, fmt.Errorf("read the file %s: %w", rel, err)
	}
	return blob, r, nil
}

func (t *tree) file(e *object.TreeEntry, name, rel string, mode fs.FileMode) error {
	blob, r, err := t.blob(e.Hash, rel)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if err := t.place(name); err != nil {
		return err
	}
	head := &strings.Builder{}
	from := io.TeeReader(io.LimitReader(r, int64(len(lfsPrefix))), head)
	if err := t.Files.Create(name, mode, io.MultiReader(from, r)); err != nil {
		return err
	}
	if head.String() == lfsPrefix {
		t.lfs = append(t.lfs, rel)
	}
	t.track(e, rel, blob.Size)
	return nil
}

// lfsPrefix starts each pointer of Git LFS (git-lfs, docs/spec.md).
const lfsPrefix = "version https://git-lfs.github.com/spec/v1\n"

func (t *tree) symlink(e *object.TreeEntry, name, rel string) error {
	blob, r, err := t.blob(e.Hash, rel)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if blob.Size > maxLink {
		return fmt.Errorf("the symbolic link %s is %d bytes long", rel, blob.Size)
	}
	target, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read the symbolic link %s: %w", rel, err)
	}
	if len(target) == 0 || strings.ContainsRune(string(target), 0) {
		return fmt.Errorf("the symbolic link %s leads to %q, which is no path", rel, target)
	}
	t.links = append(t.links, link{name, string(target)})
	t.track(e, rel, blob.Size)
	return nil
}

// notes are what is not as a reader of the repository would expect it.
func (t *tree) notes() (notes []string) {
	for _, n := range []struct {
		names []string
		text  string
	}{
		{t.left, "left out, as their names cannot be told to every program"},
		{t.lfs, "are pointers of Git LFS, whose contents are not fetched here"},
	} {
		if len(n.names) > 0 {
			shown := slices.Clone(n.names[:min(len(n.names), 5)])
			for i := range shown {
				shown[i] = fmt.Sprintf("%q", shown[i])
			}
			if len(n.names) > len(shown) {
				shown = append(shown, "…")
			}
			notes = append(notes, fmt.Sprintf("%d files %s: %s", len(n.names), n.text, strings.Join(shown, ", ")))
		}
	}
	return notes
}
