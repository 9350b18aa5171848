package action

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// Tree is a repository's files at one commit: a read-only file system over a
// cached archive. It implements fs.ReadLinkFS, fs.ReadDirFS, fs.StatFS and
// fs.ReadFileFS and is safe for concurrent use. Open and Stat follow symbolic
// links; none of them leaves the tree.
type Tree struct {
	root *treeNode
}

var (
	_ fs.ReadLinkFS = (*Tree)(nil)
	_ fs.ReadDirFS  = (*Tree)(nil)
	_ fs.StatFS     = (*Tree)(nil)
	_ fs.ReadFileFS = (*Tree)(nil)
)

// treeNode is a file, folder or link; it is its own fs.FileInfo.
type treeNode struct {
	name     string
	mode     fs.FileMode
	size     int64
	file     *zip.File // of a file
	target   string    // of a link
	children map[string]*treeNode
	sorted   []fs.DirEntry
}

// newTree reads an archive's directory.
func newTree(r io.ReaderAt, size int64) (*Tree, manifest, error) {
	var m manifest
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, m, err
	}
	if err := json.Unmarshal([]byte(z.Comment), &m); err != nil {
		return nil, m, fmt.Errorf("read the archive's manifest: %w", err)
	}
	t := &Tree{root: newFolder(".")}
	var links []string
	for _, f := range z.File {
		n, err := t.add(f)
		if err != nil {
			return nil, m, err
		}
		if n.mode&fs.ModeSymlink != 0 {
			links = append(links, strings.TrimSuffix(f.Name, "/"))
		}
	}
	if out := t.dropEscaping(links); len(out) > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("%s left out, which would lead out of the repository", plural(len(out), "symbolic link")+fmt.Sprintf(" (%q)", out[0])))
	}
	t.root.sort()
	return t, m, nil
}

func newFolder(name string) *treeNode {
	return &treeNode{name: name, mode: fs.ModeDir | 0o755, children: map[string]*treeNode{}}
}

// add puts an archive's file into the tree.
func (t *Tree) add(f *zip.File) (*treeNode, error) {
	name := strings.TrimSuffix(f.Name, "/")
	if !fs.ValidPath(name) || name == "." {
		return nil, fmt.Errorf("the archive has a file with the name %q", f.Name)
	}
	dir := t.root
	segments := strings.Split(name, "/")
	last := segments[len(segments)-1]
	for _, s := range segments[:len(segments)-1] {
		if dir = dir.children[s]; dir == nil || !dir.mode.IsDir() {
			return nil, fmt.Errorf("the archive has the file %q without its folder", f.Name)
		}
	}
	n := &treeNode{name: last, mode: f.Mode(), size: int64(f.UncompressedSize64), file: f}
	switch {
	case n.mode.IsDir():
		n = newFolder(last)
	case n.mode&fs.ModeSymlink != 0:
		data, err := n.read(maxLink)
		if err != nil {
			return nil, err
		}
		n.target = string(data)
	}
	if dir.children[last] != nil {
		return nil, fmt.Errorf("the archive has the file %q twice", f.Name)
	}
	dir.children[last] = n
	return n, nil
}

// dropEscaping removes the links that lead out of the tree, where they really
// lead, through other links. One pass is enough: a link that was found good goes
// through good ones only, and one that goes through what is gone by then leads
// nowhere.
func (t *Tree) dropEscaping(links []string) (dropped []string) {
	for _, name := range links {
		if _, err := t.resolve(name, true); !errors.Is(err, errEscapes) {
			continue
		}
		if parent, err := t.resolve(path.Dir(name), false); err == nil {
			delete(parent.children, path.Base(name))
			dropped = append(dropped, name)
		}
	}
	return dropped
}

func (n *treeNode) sort() {
	n.sorted = make([]fs.DirEntry, 0, len(n.children))
	for _, c := range n.children {
		n.sorted = append(n.sorted, fs.FileInfoToDirEntry(c))
		c.sort()
	}
	slices.SortFunc(n.sorted, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
}

var (
	errEscapes  = errors.New("the link leads out of the tree")
	errLinkLoop = errors.New("too many levels of symbolic links")
)

// maxLinks is how many links one look-up follows, as Linux does.
const maxLinks = 40

// resolve finds a node. The last element is followed too where follow is set.
func (t *Tree) resolve(name string, follow bool) (*treeNode, error) {
	stack := []*treeNode{t.root}
	todo := strings.Split(name, "/")
	for links := 0; len(todo) > 0; {
		segment := todo[0]
		todo = todo[1:]
		at := stack[len(stack)-1]
		if !at.mode.IsDir() {
			return nil, fs.ErrNotExist
		}
		switch segment {
		case "", ".":
			continue
		case "..":
			if len(stack) == 1 {
				return nil, errEscapes
			}
			stack = stack[:len(stack)-1]
			continue
		}
		next := at.children[segment]
		if next == nil {
			// What is not there can still climb out, once it is there.
			if climbs(len(stack), todo) {
				return nil, errEscapes
			}
			return nil, fs.ErrNotExist
		}
		if next.mode&fs.ModeSymlink != 0 && (follow || len(todo) > 0) {
			if links++; links > maxLinks {
				return nil, errLinkLoop
			}
			if !localTarget(next.target) {
				return nil, errEscapes
			}
			todo = append(strings.Split(next.target, "/"), todo...)
			continue
		}
		stack = append(stack, next)
	}
	return stack[len(stack)-1], nil
}

// climbs reports whether the rest of a path that leads through something missing
// at the given depth would leave the tree.
func climbs(depth int, rest []string) bool {
	for _, s := range rest {
		switch s {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// localTarget refuses targets that are absolute somewhere.
func localTarget(target string) bool {
	return target != "" && target[0] != '/' && !strings.ContainsAny(target, "\\\x00") && !hasDriveLetter(target)
}

func (t *Tree) node(op, name string, follow bool) (*treeNode, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n, err := t.resolve(name, follow)
	if err != nil {
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return n, nil
}

// Open opens a file or folder.
func (t *Tree) Open(name string) (fs.File, error) {
	n, err := t.node("open", name, true)
	if err != nil {
		return nil, err
	}
	if n.mode.IsDir() {
		return &openFolder{node: n}, nil
	}
	r, err := n.file.Open()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{ReadCloser: r, node: n}, nil
}

// Stat describes a file, or what a link leads to.
func (t *Tree) Stat(name string) (fs.FileInfo, error) { return info(t.node("stat", name, true)) }

// Lstat describes a file or link.
func (t *Tree) Lstat(name string) (fs.FileInfo, error) { return info(t.node("lstat", name, false)) }

func info(n *treeNode, err error) (fs.FileInfo, error) {
	if err != nil {
		return nil, err
	}
	return n, nil
}

// ReadLink gives a link's target as it is written.
func (t *Tree) ReadLink(name string) (string, error) {
	n, err := t.node("readlink", name, false)
	if err != nil {
		return "", err
	}
	if n.mode&fs.ModeSymlink == 0 {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	return n.target, nil
}

// ReadDir lists a folder.
func (t *Tree) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := t.node("readdir", name, true)
	if err != nil {
		return nil, err
	}
	if !n.mode.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return slices.Clone(n.sorted), nil
}

// ReadFile reads a whole file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	n, err := t.node("read", name, true)
	if err == nil && n.mode.IsDir() {
		err = &fs.PathError{Op: "read", Path: name, Err: errors.New("is a directory")}
	}
	if err != nil {
		return nil, err
	}
	return n.read(n.size)
}

// readFile reads at most limit bytes of a file; a folder of the name is none.
func readFile(t fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(t, name)
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, err
	}
	f, err := t.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}

// read gives a file's contents, checked against the archive's checksum when it
// is read whole.
func (n *treeNode) read(limit int64) ([]byte, error) {
	r, err := n.file.Open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(io.LimitReader(r, limit+1))
}

func (n *treeNode) Name() string       { return n.name }
func (n *treeNode) Size() int64        { return n.size }
func (n *treeNode) Mode() fs.FileMode  { return n.mode }
func (n *treeNode) ModTime() time.Time { return time.Time{} }
func (n *treeNode) IsDir() bool        { return n.mode.IsDir() }
func (n *treeNode) Sys() any           { return nil }

type openFile struct {
	io.ReadCloser
	node *treeNode
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.node, nil }

type openFolder struct {
	node *treeNode
	next int
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.node, nil }
func (f *openFolder) Close() error               { return nil }
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.node.name, Err: errors.New("is a directory")}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := f.node.sorted[f.next:]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	f.next += len(rest)
	return slices.Clone(rest), nil
}
