package action

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// A cached tree is one file, an uncompressed zip archive: it is complete or not
// there, it is opened by one system call, and nothing of a repository's names,
// links and modes ever reaches this host's file system on the way.

// Bounds of a tree, far beyond those of any action.
const (
	maxFiles     = 200_000
	maxTreeDepth = 100
	maxLink      = 4096
)

// manifest is what an archive says of itself, in its comment.
type manifest struct {
	URL   string   `json:"url"`
	SHA   string   `json:"sha"`
	Size  int64    `json:"size"`
	Files int      `json:"files"`
	Notes []string `json:"notes,omitempty"`
}

type archiveWriter struct {
	zip      *zip.Writer
	manifest manifest
	limit    int64

	submodules, lfs, odd []string
}

func newArchiveWriter(w io.Writer, limit int64) *archiveWriter {
	return &archiveWriter{zip: zip.NewWriter(w), limit: limit}
}

// writeCommit writes the tree of a commit.
func (w *archiveWriter) writeCommit(ctx context.Context, s storer.EncodedObjectStorer, c *object.Commit) error {
	tree, err := object.GetTree(s, c.TreeHash)
	if err != nil {
		return fmt.Errorf("read the tree of commit %s: %w", c.Hash, err)
	}
	return w.writeTree(ctx, s, tree, "", 0)
}

// close ends the archive with its manifest.
func (w *archiveWriter) close() error {
	w.note(w.submodules, "%s not fetched, as on GitHub", "submodule")
	w.note(w.lfs, "%s left as a pointer: Git LFS is not fetched", "file")
	w.note(w.odd, "%s left out, whose name this system cannot have", "file")
	comment, err := json.Marshal(w.manifest)
	if err != nil {
		return err
	}
	if err := w.zip.SetComment(string(comment)); err != nil {
		return err
	}
	return w.zip.Close()
}

// note sums up what is missing, with one example.
func (w *archiveWriter) note(names []string, format, what string) {
	if len(names) == 0 {
		return
	}
	example := names[0]
	if len(example) > 200 {
		example = strings.ToValidUTF8(example[:200], "") + "…"
	}
	w.manifest.Notes = append(w.manifest.Notes, fmt.Sprintf(format, plural(len(names), what)+fmt.Sprintf(" (%q)", example)))
}

func (w *archiveWriter) writeTree(ctx context.Context, s storer.EncodedObjectStorer, tree *object.Tree, dir string, depth int) error {
	if depth > maxTreeDepth {
		return fmt.Errorf("the repository's folders nest deeper than %d levels; it is not unpacked", maxTreeDepth)
	}
	seen := make(map[string]bool, len(tree.Entries))
	for i := range tree.Entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		e := &tree.Entries[i]
		if err := checkName(e.Name); err != nil {
			return fmt.Errorf("the repository has an entry %q in folder %q, %w; it is not unpacked", e.Name, "/"+dir, err)
		}
		if seen[e.Name] {
			return fmt.Errorf("the repository has the entry %q twice in folder %q; it is not unpacked", e.Name, "/"+dir)
		}
		seen[e.Name] = true
		if err := w.writeEntry(ctx, s, e, path.Join(dir, e.Name), depth); err != nil {
			return err
		}
	}
	return nil
}

func (w *archiveWriter) writeEntry(ctx context.Context, s storer.EncodedObjectStorer, e *object.TreeEntry, name string, depth int) error {
	if !portable(e.Name) {
		w.odd = append(w.odd, name)
		return nil
	}
	if w.manifest.Files++; w.manifest.Files > maxFiles {
		return fmt.Errorf("the repository has more than %d files; it is not unpacked", maxFiles)
	}
	switch e.Mode {
	case filemode.Dir:
		sub, err := object.GetTree(s, e.Hash)
		if err != nil {
			return fmt.Errorf("read the folder %s: %w", name, err)
		}
		if err := w.writeFile(name+"/", fs.ModeDir|0o755, strings.NewReader("")); err != nil {
			return err
		}
		return w.writeTree(ctx, s, sub, name, depth+1)
	case filemode.Submodule:
		w.submodules = append(w.submodules, name)
		return w.writeFile(name+"/", fs.ModeDir|0o755, strings.NewReader(""))
	case filemode.Symlink:
		return w.writeBlob(s, e, name, fs.ModeSymlink|0o777)
	case filemode.Executable:
		return w.writeBlob(s, e, name, 0o755)
	case filemode.Regular, filemode.Deprecated:
		return w.writeBlob(s, e, name, 0o644)
	}
	return fmt.Errorf("the repository has the entry %s of the unknown mode %s; it is not unpacked", name, e.Mode)
}

func (w *archiveWriter) writeBlob(s storer.EncodedObjectStorer, e *object.TreeEntry, name string, mode fs.FileMode) (err error) {
	blob, err := object.GetBlob(s, e.Hash)
	if err != nil {
		return fmt.Errorf("read the file %s: %w", name, err)
	}
	if w.manifest.Size += blob.Size; w.manifest.Size > w.limit {
		return fmt.Errorf("the repository is larger than the %s that an action may have", byteCount(w.limit))
	}
	if mode&fs.ModeSymlink != 0 && blob.Size > maxLink {
		return fmt.Errorf("the symbolic link %s is %d bytes long; it is not unpacked", name, blob.Size)
	}
	r, err := blob.Reader()
	if err != nil {
		return fmt.Errorf("read the file %s: %w", name, err)
	}
	defer func() { _ = r.Close() }()
	from := &lfsSniffer{r: r}
	if err := w.writeFile(name, mode, from); err != nil {
		return err
	}
	if from.isPointer() {
		w.lfs = append(w.lfs, name)
	}
	return nil
}

func (w *archiveWriter) writeFile(name string, mode fs.FileMode, r io.Reader) error {
	h := &zip.FileHeader{Name: name, Method: zip.Store}
	h.SetMode(mode)
	out, err := w.zip.CreateHeader(h)
	if err != nil {
		return fmt.Errorf("write %s to the cache: %w", name, err)
	}
	if mode.IsDir() {
		return nil
	}
	if _, err := io.Copy(out, r); err != nil {
		return fmt.Errorf("write %s to the cache: %w", name, err)
	}
	return nil
}

// checkName refuses the names by which a tree could write where it should not
// (gitformat-index forbids them too); no honest repository has one.
func checkName(name string) error {
	switch {
	case name == "", name == ".", name == "..":
		return fmt.Errorf("which names no file")
	case strings.ContainsAny(name, "/\x00"):
		return fmt.Errorf("which holds a separator")
	case strings.EqualFold(name, ".git"), strings.EqualFold(name, "git~1"):
		return fmt.Errorf("which git reserves")
	}
	return nil
}

// portable reports whether a file of that name can be unpacked here without
// becoming another one. A backslash separates on some systems that a sandbox may
// run.
func portable(name string) bool {
	return utf8.ValidString(name) && !strings.Contains(name, `\`) && filepath.IsLocal(name)
}

// lfsPrefix starts each pointer of Git LFS (git-lfs, docs/spec.md).
const lfsPrefix = "version https://git-lfs.github.com/spec/v1\n"

// lfsSniffer looks at the first bytes that pass through it.
type lfsSniffer struct {
	r    io.Reader
	head []byte
}

func (s *lfsSniffer) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if want := len(lfsPrefix) - len(s.head); want > 0 {
		s.head = append(s.head, p[:min(n, want)]...)
	}
	return n, err
}

func (s *lfsSniffer) isPointer() bool { return string(s.head) == lfsPrefix }
