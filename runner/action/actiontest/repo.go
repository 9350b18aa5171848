package actiontest

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/memory"
)

// File is one entry of a tree.
type File struct {
	Mode filemode.FileMode
	// Data is the contents, a link's target, or a submodule's commit.
	Data string
}

// Files is a tree by paths with forward slashes.
type Files map[string]File

// Text makes a tree of plain files.
func Text(files map[string]string) Files {
	t := make(Files, len(files))
	for name, data := range files {
		t[name] = File{Mode: filemode.Regular, Data: data}
	}
	return t
}

// With adds a file of any mode to a tree and returns the tree.
func (f Files) With(name string, mode filemode.FileMode, data string) Files {
	f[name] = File{Mode: mode, Data: data}
	return f
}

// Repo is a repository in memory. Its methods are safe for concurrent use, also
// while it is served. What cannot be built is a mistake of the test and panics.
type Repo struct {
	// Name is owner/repo, the path it is served at.
	Name string

	mu      sync.Mutex
	storage *memory.Storage
	refs    map[string]plumbing.Hash
	head    string
	token   string

	tipsOnly  bool
	noShallow bool
	commits   int
}

func newRepo(name string) *Repo {
	return &Repo{Name: name, storage: memory.NewStorage(), refs: map[string]plumbing.Hash{}, head: "refs/heads/main"}
}

// RequireToken makes the repository private: requests without that password are
// answered as Gitea answers them.
func (r *Repo) RequireToken(token string) *Repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token = token
	return r
}

// TipsOnly makes the server refuse commits that no ref points at, as a server
// does whose uploadpack.allow… settings are off.
func (r *Repo) TipsOnly() *Repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tipsOnly = true
	return r
}

// NoShallow makes the server unable to leave history out.
func (r *Repo) NoShallow() *Repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noShallow = true
	return r
}

// Commit adds a commit on top of main, and moves main. It returns its id.
func (r *Repo) Commit(files Files) string {
	return r.CommitTree(r.Tree(files))
}

// Branch points a branch at a commit.
func (r *Repo) Branch(name, sha string) *Repo { return r.Ref("refs/heads/"+name, sha) }

// Tag points a lightweight tag at a commit.
func (r *Repo) Tag(name, sha string) *Repo { return r.Ref("refs/tags/"+name, sha) }

// Ref points any ref at any object.
func (r *Repo) Ref(name, sha string) *Repo {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refs[name] = plumbing.NewHash(sha)
	return r
}

// AnnotatedTag makes a tag object for a commit, and returns the tag's own id.
func (r *Repo) AnnotatedTag(name, sha string) string {
	tag := &object.Tag{
		Name: name, Message: name + "\n", Tagger: signature(0),
		TargetType: plumbing.CommitObject, Target: plumbing.NewHash(sha),
	}
	id := r.store(tag)
	r.Ref("refs/tags/"+name, id)
	return id
}

// CommitTree adds a commit of a tree by its id on top of main.
func (r *Repo) CommitTree(tree string) string {
	r.mu.Lock()
	r.commits++
	c := &object.Commit{
		Author: signature(r.commits), Committer: signature(r.commits),
		Message:  fmt.Sprintf("Commit %d\n", r.commits),
		TreeHash: plumbing.NewHash(tree),
	}
	if parent, ok := r.refs["refs/heads/main"]; ok {
		c.ParentHashes = []plumbing.Hash{parent}
	}
	r.mu.Unlock()
	id := r.store(c)
	r.Branch("main", id)
	return id
}

func signature(n int) object.Signature {
	return object.Signature{Name: "Test", Email: "test@example.com", When: time.Unix(1_700_000_000+int64(n), 0).UTC()}
}

// Tree stores a tree with its files and returns its id.
func (r *Repo) Tree(files Files) string {
	var entries []object.TreeEntry
	folders := map[string]Files{}
	for name, f := range files {
		first, rest, nested := strings.Cut(path.Clean(name), "/")
		if nested {
			if folders[first] == nil {
				folders[first] = Files{}
			}
			folders[first][rest] = f
			continue
		}
		e := object.TreeEntry{Name: first, Mode: f.Mode}
		if f.Mode == filemode.Submodule {
			e.Hash = plumbing.NewHash(f.Data)
		} else {
			e.Hash = plumbing.NewHash(r.Blob(f.Data))
		}
		entries = append(entries, e)
	}
	for name, sub := range folders {
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: plumbing.NewHash(r.Tree(sub))})
	}
	return r.RawTree(entries...)
}

// Blob stores contents and returns their id.
func (r *Repo) Blob(data string) string {
	return r.raw(plumbing.BlobObject, []byte(data))
}

// RawTree stores a tree of any entries, also such as git itself would refuse.
// Entries that it would have in another order are sorted.
func (r *Repo) RawTree(entries ...object.TreeEntry) string {
	key := func(e object.TreeEntry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortStableFunc(entries, func(a, b object.TreeEntry) int { return strings.Compare(key(a), key(b)) })
	var data []byte
	for _, e := range entries {
		data = fmt.Appendf(data, "%o %s\x00", uint32(e.Mode), e.Name)
		data = append(data, e.Hash[:]...)
	}
	return r.raw(plumbing.TreeObject, data)
}

func (r *Repo) raw(t plumbing.ObjectType, data []byte) string {
	o := &plumbing.MemoryObject{}
	o.SetType(t)
	_, err := o.Write(data)
	return r.keep(o, err)
}

func (r *Repo) store(v interface {
	Encode(plumbing.EncodedObject) error
}) string {
	o := &plumbing.MemoryObject{}
	return r.keep(o, v.Encode(o))
}

func (r *Repo) keep(o plumbing.EncodedObject, err error) string {
	if err != nil {
		panic(fmt.Sprintf("actiontest: %s: build an object: %v", r.Name, err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h, err := r.storage.SetEncodedObject(o)
	if err != nil {
		panic(fmt.Sprintf("actiontest: %s: store an object: %v", r.Name, err))
	}
	return h.String()
}
