package action

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// CloneOptions say what is fetched of a repository.
type CloneOptions struct {
	// URL is the repository's address, http or https, without credentials.
	URL string
	// Token is sent to addresses below Instance, where they do not answer
	// without it. "" is none.
	Token, Instance string
	// Ref is a branch, a tag, a full name (refs/…) or a full commit id; "" is
	// the branch that the server calls its HEAD.
	Ref string
	// Commit is what Ref named when the job was made; "" is what it names now.
	Commit string
	// Depth is how many commits of history are fetched; 0 is all of it, of all
	// branches and tags.
	Depth int
	// Tags fetches all tags, too.
	Tags bool
	// Dir is an empty folder of this machine, for the objects.
	Dir string
}

// Clone is what was fetched of a repository.
type Clone struct {
	// Storage holds the objects; its folder is laid out as a .git folder is.
	Storage *filesystem.Storage
	// Commit is the commit that was asked for.
	Commit *object.Commit
	// Ref is the full name of what was asked for (refs/heads/main); "" where
	// it is a commit by itself.
	Ref string
	// Refs are the branches and tags whose commits were fetched, by their full
	// names.
	Refs map[string]plumbing.Hash
	// Private says that the repository does not answer without the token.
	Private bool
}

// Clone fetches a repository's commits. Its errors are sentences for the job's log.
func (f *Fetcher) Clone(ctx context.Context, o CloneOptions) (*Clone, error) {
	ref, err := cloneReference(o)
	if err != nil {
		return nil, err
	}
	options := JobOptions{Token: o.Token, Bases: Bases{Instance: o.Instance}}
	l := &loader{job: f.Job(options), ref: ref, repo: f.remote(ref, options)}
	c, err := l.clone(ctx, o)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, l.explain(err, false)
	}
	return c, nil
}

func cloneReference(o CloneOptions) (Reference, error) {
	base, err := parseBase(o.URL, "")
	if err != nil || !strings.Contains(o.URL, "://") {
		return Reference{}, fmt.Errorf("the address %q of a repository is not one of http or https", o.URL)
	}
	if base.User != nil {
		return Reference{}, fmt.Errorf("the address %s of a repository has credentials in it; give a token instead", base.Redacted())
	}
	if o.Ref != "" && !isFullSHA(o.Ref) && !validRef(strings.TrimPrefix(o.Ref, "refs/")) {
		return Reference{}, fmt.Errorf("%q cannot be the name of a branch or tag", o.Ref)
	}
	return Reference{Kind: Remote, URL: base.String(), Ref: o.Ref, text: base.String()}, nil
}

func (l *loader) clone(ctx context.Context, o CloneOptions) (*Clone, error) {
	adv, err := l.repo.advertise(ctx)
	if err != nil {
		return nil, err
	}
	c := &Clone{Private: adv.private}
	commit, err := l.choose(adv, o, c)
	if err != nil {
		return nil, err
	}
	wants := []plumbing.Hash{adv.wantFor(commit)}
	if o.Depth == 0 {
		wants = append(adv.tips(), wants...)
	} else if o.Tags {
		wants = append(adv.tagTips(), wants...)
	}
	slices.SortFunc(wants, func(a, b plumbing.Hash) int { return strings.Compare(a.String(), b.String()) })
	c.Storage, c.Commit, err = l.repo.obtain(ctx, adv, commit, slices.Compact(wants), o.Depth, o.Dir)
	if err != nil {
		return nil, err
	}
	c.Refs = adv.fetched(c.Storage)
	return c, nil
}

// choose says which commit is asked for, and the full name of its ref.
func (l *loader) choose(adv *advertised, o CloneOptions, c *Clone) (plumbing.Hash, error) {
	if o.Ref != "" && isFullSHA(o.Ref) {
		return plumbing.NewHash(o.Ref), nil
	}
	if o.Ref == "" {
		if adv.refs.Head == nil {
			return plumbing.ZeroHash, fmt.Errorf("the repository %s is empty, or has no branch that is its HEAD: name one (ref)", o.URL)
		}
		c.Ref = adv.head()
		return *adv.refs.Head, nil
	}
	found, err := adv.find(l.ref)
	switch {
	case err == nil:
		c.Ref = adv.fullName(o.Ref)
	case o.Commit == "":
		return plumbing.ZeroHash, errors.New(strings.Replace(err.Error(), "the part after the '@'", "its name", 1))
	case hasPrefix(o.Ref, "refs/"):
		c.Ref = o.Ref // it was removed since: its commit may still be there
	}
	if o.Commit != "" {
		return plumbing.NewHash(o.Commit), nil
	}
	return found.commit, nil
}

// head is the full name of the branch that HEAD is, "" where it is none.
func (a *advertised) head() string {
	for _, value := range a.refs.Capabilities.Get("symref") {
		if name, ok := strings.CutPrefix(value, "HEAD:"); ok {
			return name
		}
	}
	for _, name := range []string{branchPrefix + "main", branchPrefix + "master"} {
		if h, ok := a.refs.References[name]; ok && a.refs.Head != nil && h == *a.refs.Head {
			return name
		}
	}
	return ""
}

// fullName is the full name of a ref that find has found.
func (a *advertised) fullName(ref string) string {
	if hasPrefix(ref, "refs/") {
		return ref
	}
	if _, ok := a.refs.References[tagPrefix+ref]; ok {
		return tagPrefix + ref
	}
	if _, ok := a.refs.References[branchPrefix+ref]; ok {
		return branchPrefix + ref
	}
	return ""
}

func (a *advertised) tagTips() []plumbing.Hash {
	var tips []plumbing.Hash
	for name, h := range a.refs.References {
		if hasPrefix(name, tagPrefix) {
			tips = append(tips, h)
		}
	}
	return tips
}

// fetched are the branches and tags whose objects are in the storage.
func (a *advertised) fetched(s *filesystem.Storage) map[string]plumbing.Hash {
	found := map[string]plumbing.Hash{}
	for name, h := range a.refs.References {
		if !hasPrefix(name, branchPrefix) && !hasPrefix(name, tagPrefix) || !validRef(strings.TrimPrefix(name, "refs/")) {
			continue
		}
		if _, err := s.EncodedObject(plumbing.AnyObject, h); err == nil {
			found[name] = h
		}
	}
	return found
}
