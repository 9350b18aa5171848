package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"otelrunner/otel/observe"

	"go.opentelemetry.io/otel/attribute"
)

// treeKey is what a job asks a server for once: a repository and a ref.
type treeKey struct{ url, ref, user string }

// treeCall is one such question; tree and err are set when done is closed.
type treeCall struct {
	done chan struct{}
	tree *resolvedTree
	err  error
}

type resolvedTree struct {
	entry  *entry
	sha    string
	key    string
	cached bool
}

// tree resolves and fetches once for each repository and ref. A call that failed
// because its context ended is forgotten, so that cleanup steps can ask again.
func (j *Job) tree(ctx context.Context, ref Reference) (*resolvedTree, error) {
	key := treeKey{url: ref.URL, ref: ref.Ref, user: ref.credentials()}
	j.mu.Lock()
	call, ok := j.trees[key]
	if !ok {
		call = &treeCall{done: make(chan struct{})}
		j.trees[key] = call
	}
	j.mu.Unlock()
	if ok {
		select {
		case <-call.done:
			return call.tree, call.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	call.tree, call.err = j.loadTree(ctx, ref)
	if call.err != nil && ctx.Err() != nil {
		j.mu.Lock()
		delete(j.trees, key)
		j.mu.Unlock()
	}
	close(call.done)
	return call.tree, call.err
}

func (j *Job) loadTree(ctx context.Context, ref Reference) (*resolvedTree, error) {
	if err := j.fetcher.slots.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	defer j.fetcher.slots.Release(1)
	l := &loader{job: j, ref: ref, repo: j.fetcher.remote(ref, j.options)}
	ctx, end := observe.Span(ctx, "fetch action", attribute.String("otelrunner.action", ref.String()))
	t, err := l.load(ctx)
	err = observe.Typed("action_fetch", err)
	end(err)
	if t != nil {
		observe.Looked(ctx, observe.CacheAction, t.cached)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return t, nil
}

// loader brings one ref of one repository to a tree in the cache.
type loader struct {
	job  *Job
	ref  Reference
	repo *remote
}

func (l *loader) load(ctx context.Context) (*resolvedTree, error) {
	if l.ref.IsSHA() {
		sha := strings.ToLower(l.ref.Ref)
		if t, err := l.cached(sha); err == nil {
			return t, nil
		}
		return l.fetch(ctx, sha, nil)
	}
	resolving, resolved := observe.Call(ctx, "resolve ref")
	adv, err := l.repo.advertise(resolving)
	resolved(err)
	if err != nil {
		return nil, l.explain(err, true)
	}
	target, err := adv.find(l.ref)
	if err != nil {
		return nil, err
	}
	if t, err := l.cached(target.sha()); err == nil {
		return t, nil
	}
	return l.fetch(ctx, target.sha(), adv)
}

// cached opens the entry of a commit: the one that everybody may see, or the one
// of this job's scope.
func (l *loader) cached(sha string) (*resolvedTree, error) {
	for _, key := range []entryKey{l.key(sha, false), l.key(sha, true)} {
		e, err := l.job.fetcher.store.open(key)
		if err == nil {
			return &resolvedTree{entry: e, sha: sha, key: key.name(), cached: true}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			l.job.fetcher.options.Log.Warn("action cache: an entry cannot be used and is fetched again",
				"repository", l.ref.URL, "sha", sha, "error", err)
		}
	}
	return nil, fs.ErrNotExist
}

// fetch downloads a commit under its lock. adv is nil when the server has not
// been asked yet.
func (l *loader) fetch(ctx context.Context, sha string, adv *advertised) (*resolvedTree, error) {
	s := l.job.fetcher.store
	unlock, err := s.lock(ctx, l.key(sha, false))
	if err != nil {
		return nil, err
	}
	defer unlock()
	// Somebody else may have fetched it while this one waited.
	if t, err := l.cached(sha); err == nil {
		return t, nil
	}
	if len(sha) != sha1Digits {
		return nil, fmt.Errorf("a commit id of %d digits belongs to a SHA-256 repository, which this runner cannot fetch; use a tag, branch or SHA-1 commit of a mirror", len(sha))
	}
	if adv == nil {
		if adv, err = l.repo.advertise(ctx); err != nil {
			return nil, l.explain(err, false)
		}
	}
	key := l.key(sha, adv.private)
	err = s.put(ctx, key, l.job.fetcher.options.MaxActionBytes, l.ref.URL, func(scratch string, w *archiveWriter) error {
		return l.repo.download(ctx, adv, sha, scratch, w)
	})
	if err != nil {
		return nil, l.explain(err, false)
	}
	e, err := s.open(key)
	if err != nil {
		return nil, fmt.Errorf("the fetched action cannot be read from the cache: %w", err)
	}
	if err := s.collect(ctx); err != nil {
		l.job.fetcher.options.Log.Warn("action cache: cannot remove old entries", "error", err)
	}
	return &resolvedTree{entry: e, sha: sha, key: key.name()}, nil
}

// key is the cache's key of a commit. What was fetched with a credential is kept
// for the scope that had it.
func (l *loader) key(sha string, private bool) entryKey {
	k := entryKey{repo: digest(canonicalURL(l.ref.URL), 16), sha: sha}
	if private {
		k.scope = digest(l.job.options.Scope+"\x00"+l.ref.credentials(), 12)
	}
	return k
}

// canonicalURL makes spellings of one repository's address equal.
func canonicalURL(s string) string {
	s = strings.TrimSuffix(strings.TrimRight(s, "/"), ".git")
	if u, err := url.Parse(s); err == nil {
		u.Host = strings.ToLower(u.Host)
		return u.String()
	}
	return s
}

func digest(s string, digits int) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:digits]
}

// explain makes a sentence for the workflow's author of what a server did.
func (l *loader) explain(err error, moving bool) error {
	var remote *remoteError
	if !errors.As(err, &remote) {
		return err
	}
	switch remote.kind {
	case remoteMissing:
		return &sentence{fmt.Sprintf("the repository %s was not found, or %s may not read it; "+
			"check owner, name and address%s", l.ref.URL, l.who(), l.accessHint()), err}
	case remoteAway:
		text := fmt.Sprintf("%s cannot be reached after %s (%v)", l.ref.URL, plural(remote.attempts, "attempt"), remote.err)
		if moving {
			text += fmt.Sprintf("; which commit %q names now is not known, and an older one from the cache is not used for it: "+
				"pin a full commit SHA to run from the cache", l.ref.Ref)
		}
		return &sentence{text, err}
	}
	return &sentence{fmt.Sprintf("fetch from %s: %v", l.ref.URL, remote.err), err}
}

func (l *loader) who() string {
	switch {
	case l.ref.user != nil:
		return "the user in its URL"
	case l.repo.token != "":
		return "this job's token"
	}
	return "the runner, which asks without credentials,"
}

func (l *loader) accessHint() string {
	if l.repo.token != "" {
		return ", and whether the job's repository may read it (its owner's settings, Actions)"
	}
	return "; a private repository is fetched only from the instance that the job comes from"
}

// sentence is a text for people over the error that it came from.
type sentence struct {
	text string
	err  error
}

func (s *sentence) Error() string { return s.text }
func (s *sentence) Unwrap() error { return s.err }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
