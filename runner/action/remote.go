package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const sha1Digits = 40

// remote is a repository on a git server, spoken to by the smart HTTP protocol,
// versions 0 and 1 (gitprotocol-http, gitprotocol-pack).
type remote struct {
	fetcher *Fetcher
	url     string

	// user and token are offered to addresses below realm only.
	user, token string
	realm       string
	// must says that the credentials are part of the reference, so that there
	// is no point in asking without them.
	must bool
}

// tokenUser is the user that servers ignore beside a token.
const tokenUser = "x-access-token"

func (f *Fetcher) remote(ref Reference, o JobOptions) *remote {
	r := &remote{fetcher: f, url: ref.URL}
	if ref.user != nil {
		r.user, r.realm, r.must = ref.user.Username(), ref.URL, true
		r.token, _ = ref.user.Password()
		return r
	}
	if instance, err := parseBase(o.Bases.Instance, ""); err == nil && o.Token != "" && below(ref.URL, instance.String()) {
		r.user, r.token, r.realm = tokenUser, o.Token, instance.String()
	}
	return r
}

func (r *remote) hasCredentials() bool { return r.realm != "" }

// advertised is what a repository said of its refs, and the session to fetch by.
type advertised struct {
	refs    *packp.AdvRefs
	session transport.UploadPackSession
	guard   *guard
	// private says that the answer needed the credentials.
	private bool
}

// advertise asks for the refs. It asks without credentials first, so that what
// is public is known to be; the token leaves only where it is needed. Errors are
// *remoteError or the context's cause.
func (r *remote) advertise(ctx context.Context) (*advertised, error) {
	withToken := r.must || r.hasCredentials() && r.fetcher.isPrivate(r.url)
	adv, err := r.advertiseAs(ctx, withToken)
	var re *remoteError
	if withToken || !r.hasCredentials() || !errors.As(err, &re) || re.kind != remoteMissing {
		return adv, err
	}
	if adv, err = r.advertiseAs(ctx, true); err == nil {
		r.fetcher.setPrivate(r.url)
	}
	return adv, err
}

func (r *remote) advertiseAs(ctx context.Context, withToken bool) (*advertised, error) {
	ep, err := transport.NewEndpoint(r.url)
	if err != nil {
		return nil, &remoteError{kind: remoteBroken, attempts: 1, err: err}
	}
	g := r.guard(withToken)
	// The endpoint has no credentials, so that the guard is the only one to
	// add any.
	session, err := githttp.NewClient(&http.Client{Transport: g}).NewUploadPackSession(ep, nil)
	if err != nil {
		return nil, &remoteError{kind: remoteBroken, attempts: 1, err: err}
	}
	a := &advertised{session: session, guard: g, private: withToken}
	err = r.retry(ctx, g, func() (err error) {
		a.refs, err = session.AdvertisedReferencesContext(ctx)
		if err != nil && strings.Contains(err.Error(), "object-format=sha256") {
			return errSHA256
		}
		return err
	})
	return a, err
}

// errSHA256 is for repositories of git's other kind (gitformat-hash-function-transition),
// which the library for git does not read.
var errSHA256 = errors.New("the repository names its objects by SHA-256, which this runner cannot read: use a repository with the usual SHA-1 names, or a copy of it in one")

func (r *remote) guard(withToken bool) *guard {
	g := &guard{
		base:  r.fetcher.options.Transport,
		limit: r.fetcher.options.MaxActionBytes,
		stall: r.fetcher.options.StallTimeout,
	}
	if withToken {
		g.user, g.token, g.realm = r.user, r.token, r.realm
	}
	return g
}

// download fetches a commit without its history and writes its tree. scratch is
// an empty folder for what is needed meanwhile.
func (r *remote) download(ctx context.Context, adv *advertised, sha string, scratch string, w *archiveWriter) error {
	commit := plumbing.NewHash(sha)
	storage, c, err := r.obtain(ctx, adv, commit, []plumbing.Hash{adv.wantFor(commit)}, 1, scratch)
	if err != nil {
		return err
	}
	return w.writeCommit(ctx, storage, c)
}

// obtain fetches what is wanted, of so many commits of history (0: all), and finds
// a commit in it. scratch is an empty folder, in which the storage is.
func (r *remote) obtain(ctx context.Context, adv *advertised, commit plumbing.Hash, wants []plumbing.Hash, depth int, scratch string) (*filesystem.Storage, *object.Commit, error) {
	attempt := 0
	var storage *filesystem.Storage
	get := func() error {
		attempt++
		dir := filepath.Join(scratch, fmt.Sprintf("git%d", attempt))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		storage = filesystem.NewStorageWithOptions(osfs.New(dir), cache.NewObjectLRU(8*cache.MiByte),
			filesystem.Options{ExclusiveAccess: true, LargeObjectThreshold: 1 << 20})
		return adv.fetch(ctx, wants, depth, storage)
	}
	err := r.retry(ctx, adv.guard, get)
	if err != nil && refusesWant(err) {
		if adv.allowsAnyWant() {
			return nil, nil, r.noCommit(commit.String())
		}
		// The server hands out tips only: take all of them with their
		// history, the commit is in it or not there at all.
		if wants, depth = adv.tips(), 0; len(wants) > 0 {
			err = r.retry(ctx, adv.guard, get)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	c, err := peel(storage, commit)
	if err != nil {
		return nil, nil, r.noCommit(commit.String())
	}
	return storage, c, nil
}

func (r *remote) noCommit(sha string) error {
	return fmt.Errorf("the repository %s has no commit %s; check the SHA, and that it was pushed there", r.url, sha)
}

// fetch downloads a pack with what is wanted into storage.
func (a *advertised) fetch(ctx context.Context, wants []plumbing.Hash, depth int, storage *filesystem.Storage) (err error) {
	caps := a.refs.Capabilities
	req := packp.NewUploadPackRequestFromCapabilities(caps)
	req.Wants = wants
	if caps.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	if depth > 0 && caps.Supports(capability.Shallow) {
		req.Depth = packp.DepthCommits(depth)
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
	}
	resp, err := a.session.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, resp.Close()) }()
	if len(resp.Shallows) > 0 {
		if err := storage.SetShallow(resp.Shallows); err != nil {
			return err
		}
	}
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		return packfile.UpdateObjectStorage(storage, sideband.NewDemuxer(sideband.Sideband64k, resp))
	case req.Capabilities.Supports(capability.Sideband):
		return packfile.UpdateObjectStorage(storage, sideband.NewDemuxer(sideband.Sideband, resp))
	}
	return packfile.UpdateObjectStorage(storage, resp)
}

// wantFor is the id to ask for to get commit: an annotated tag's own id where
// commit is what such a tag points at, since servers hand out what they
// advertise, and commit itself elsewhere.
func (a *advertised) wantFor(commit plumbing.Hash) plumbing.Hash {
	for _, h := range a.refs.References {
		if h == commit {
			return commit
		}
	}
	for name, h := range a.refs.Peeled {
		if tag, ok := a.refs.References[name]; ok && h == commit {
			return tag
		}
	}
	return commit
}

func (a *advertised) allowsAnyWant() bool {
	caps := a.refs.Capabilities
	return caps.Supports(capability.AllowReachableSHA1InWant) || caps.Supports("allow-any-sha1-in-want")
}

// tips are all branches and tags.
func (a *advertised) tips() []plumbing.Hash {
	seen := map[plumbing.Hash]bool{}
	var tips []plumbing.Hash
	for name, h := range a.refs.References {
		if (hasPrefix(name, branchPrefix) || hasPrefix(name, tagPrefix)) && !seen[h] {
			seen[h] = true
			tips = append(tips, h)
		}
	}
	return tips
}

// refusesWant recognises the protocol's answer to a wanted id that the server
// does not hand out: "upload-pack: not our ref".
func refusesWant(err error) bool {
	var line *pktline.ErrorLine
	return errors.As(err, &line) || strings.Contains(err.Error(), "not our ref")
}

// peel follows annotated tags to their commit.
func peel(storage *filesystem.Storage, h plumbing.Hash) (*object.Commit, error) {
	for range 10 {
		tag, err := object.GetTag(storage, h)
		if err != nil {
			break
		}
		h = tag.Target
	}
	return object.GetCommit(storage, h)
}
