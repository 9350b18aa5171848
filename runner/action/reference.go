package action

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Kind says what a reference points at.
type Kind string

// The kinds of `uses:` values.
const (
	Remote Kind = "remote" // a repository on a git server
	Local  Kind = "local"  // a folder of the workspace
	Docker Kind = "docker" // an image, with no action.yml
	WASM   Kind = "wasm"   // a WebAssembly module, with no action.yml
)

// githubURL is where owner/repo@ref points when the server names no default.
const githubURL = "https://github.com"

// Reference is a parsed `uses:` value. It is a plain value; print it with
// String, which has no credentials.
type Reference struct {
	Kind Kind

	// URL is the repository's address of a Remote, without credentials,
	// query or trailing slash: https://github.com/actions/checkout.
	URL string
	// Name is the repository of a Remote as its owner calls it: owner/repo.
	Name string
	// Path is the action's folder with forward slashes, without leading or
	// trailing ones: of a Remote inside its repository, of a Local inside
	// the workspace; "" is the top.
	Path string
	// Ref is the tag, branch or full commit id of a Remote, as written.
	Ref string

	// Target is what follows docker:// of a Docker (the image), or the whole
	// value of a WASM with its scheme.
	Target string

	text string
	user *url.Userinfo
}

// String returns the value as it was written, without credentials.
func (r Reference) String() string { return r.text }

// IsSHA reports whether the reference names one commit by its whole id, so that
// what it means can never change.
func (r Reference) IsSHA() bool { return isFullSHA(r.Ref) }

// Bases says which addresses a reference is resolved against.
type Bases struct {
	// Default is where owner/repo lies: the task's
	// gitea_default_actions_url. "" is https://github.com.
	Default string
	// Instance is the Gitea instance's own address. It matters for full
	// URLs below an instance that is served under a sub-path, where the
	// first part of the path is not the owner.
	Instance string
}

// A ReferenceError says what is wrong with a `uses:` value, in one sentence.
type ReferenceError struct {
	Uses   string // without credentials
	Reason string
}

func (e *ReferenceError) Error() string {
	return fmt.Sprintf("uses: %q %s", e.Uses, e.Reason)
}

const exampleForms = "expected owner/repo@ref, https://host/owner/repo@ref, ./folder or docker://image"

// Parse reads a `uses:` value whose expressions have been evaluated. Its errors
// are *ReferenceError.
//
// The forms are GitHub's (Workflow syntax, jobs.<id>.steps[*].uses) and Gitea's,
// which adds absolute URLs, with credentials if need be; a segment that ends in
// ".git" ends the repository's part of such a URL. The forms wasm:// and
// wasm+https:// are recognised here; package wasmmodule reads them.
func Parse(uses string, bases Bases) (Reference, error) {
	text := strings.TrimSpace(uses)
	scheme, rest, hasScheme := strings.Cut(text, "://")
	if !hasScheme {
		return parsePlain(text, bases)
	}
	switch strings.ToLower(scheme) {
	case "docker":
		if rest == "" {
			return Reference{}, refErr(text, "names no image; expected docker://image:tag")
		}
		return Reference{Kind: Docker, Target: rest, text: text}, nil
	case "wasm", "wasm+https":
		if rest == "" {
			return Reference{}, refErr(text, "names no module")
		}
		return Reference{Kind: WASM, Target: text, text: text}, nil
	case "http", "https":
		return parseURL(text, bases)
	}
	return Reference{}, refErr(text, fmt.Sprintf("has the unknown scheme %q; known are https, http, docker, wasm and wasm+https", scheme))
}

func parsePlain(text string, bases Bases) (Reference, error) {
	switch {
	case text == "":
		return Reference{}, refErr(text, "is empty; "+exampleForms)
	case strings.Contains(text, "${{"):
		return Reference{}, refErr(text, "holds an expression, which is not evaluated here; write the reference out")
	case text == "." || strings.HasPrefix(text, "./"):
		return parseLocal(text)
	case strings.HasPrefix(text, "../"), strings.HasPrefix(text, "/"), strings.HasPrefix(text, `.\`):
		return Reference{}, refErr(text, "is neither a repository nor a folder of the workspace; a local action starts with ./")
	}
	name, ref, err := splitRef(text, text)
	if err != nil {
		return Reference{}, err
	}
	segments, err := splitPath(text, name)
	if err != nil {
		return Reference{}, err
	}
	if len(segments) < 2 {
		return Reference{}, refErr(text, "has no owner; "+exampleForms)
	}
	for _, s := range segments[:2] {
		if !ownerOrRepo.MatchString(s) {
			return Reference{}, refErr(text, fmt.Sprintf("has %q for an owner or a repository, where only letters, digits, '.', '_' and '-' may stand", s))
		}
	}
	base, err := parseBase(bases.Default, githubURL)
	if err != nil {
		return Reference{}, refErr(text, fmt.Sprintf("cannot be resolved: the default actions URL %v; mend DEFAULT_ACTIONS_URL on the server", err))
	}
	repo := path.Join(segments[:2]...)
	return Reference{
		Kind: Remote,
		URL:  base.String() + "/" + repo,
		Name: strings.TrimSuffix(repo, ".git"),
		Path: path.Join(segments[2:]...),
		Ref:  ref,
		text: text,
		user: base.User,
	}.withoutUser(), nil
}

func parseLocal(text string) (Reference, error) {
	clean := path.Clean(text)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return Reference{}, refErr(text, "leaves the workspace by '..'; a local action lies inside it")
	}
	if clean == "." {
		clean = ""
	}
	return Reference{Kind: Local, Path: clean, text: text}, nil
}

func parseURL(text string, bases Bases) (Reference, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	authority, tail, _ := strings.Cut(rest, "/")
	shown := text
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		shown = scheme + "://" + authority[at+1:] + "/" + tail
	}
	if strings.Contains(text, "${{") {
		return Reference{}, refErr(shown, "holds an expression, which is not evaluated here; write the reference out")
	}
	tail, ref, err := splitRef(shown, tail)
	if err != nil {
		return Reference{}, err
	}
	// The path is not part of what is parsed: url.Parse would decode it.
	u, err := url.Parse(scheme + "://" + authority)
	if err != nil || u.Host == "" || strings.ContainsAny(authority, "?#%\\ ") && u.User == nil {
		return Reference{}, refErr(shown, "is not a URL with a host; "+exampleForms)
	}
	segments, err := splitPath(shown, tail)
	if err != nil {
		return Reference{}, err
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	user := u.User
	u.User = nil
	repo, owner := repositoryLength(u, segments, bases)
	if len(segments) < repo || repo-owner < 2 {
		return Reference{}, refErr(shown, "has no owner and repository in its path; expected https://host/owner/repo@ref")
	}
	return Reference{
		Kind: Remote,
		URL:  u.String() + "/" + path.Join(segments[:repo]...),
		Name: strings.TrimSuffix(path.Join(segments[owner:repo]...), ".git"),
		Path: path.Join(segments[repo:]...),
		Ref:  ref,
		text: shown,
		user: user,
	}, nil
}

// repositoryLength says how many segments of a URL's path name the repository,
// and at which the owner stands.
func repositoryLength(u *url.URL, segments []string, bases Bases) (repo, owner int) {
	for _, b := range []string{bases.Instance, bases.Default} {
		base, err := parseBase(b, "")
		if err != nil || base.Scheme+base.Host != u.Scheme+u.Host {
			continue
		}
		prefix := strings.FieldsFunc(base.Path, func(r rune) bool { return r == '/' })
		if n := len(prefix); n > owner && len(segments) >= n && slices.Equal(prefix, segments[:n]) {
			owner = n
		}
	}
	if i := slices.IndexFunc(segments, func(s string) bool { return strings.HasSuffix(s, ".git") }); i > owner {
		return i + 1, owner
	}
	return owner + 2, owner
}

// parseBase reads the address of an instance; "" is fallback.
func parseBase(base, fallback string) (*url.URL, error) {
	base = strings.TrimRight(strings.TrimSpace(base), "/")
	if base == "" {
		base = fallback
	}
	if base != "" && !strings.Contains(base, "://") {
		base = "https://" + base
	}
	u, err := url.Parse(base)
	if err != nil {
		return nil, fmt.Errorf("is not a URL")
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https URL with a host", u.Redacted())
	}
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

// withoutUser takes credentials of a base out of the repository's URL.
func (r Reference) withoutUser() Reference {
	if r.user == nil {
		return r
	}
	if u, err := url.Parse(r.URL); err == nil {
		u.User = nil
		r.URL = u.String()
	}
	return r
}

// splitRef cuts what at its first '@': a ref may hold one, a path may not.
func splitRef(text, what string) (name, ref string, err error) {
	name, ref, found := strings.Cut(what, "@")
	switch {
	case !found:
		return "", "", refErr(text, "has no @ref; add the tag, branch or full commit SHA to use, as in owner/repo@v1")
	case ref == "":
		return "", "", refErr(text, "ends after the '@'; add the tag, branch or full commit SHA to use, as in owner/repo@v1")
	case !validRef(ref):
		return "", "", refErr(text, fmt.Sprintf("has %q after the '@', which cannot be the name of a tag or branch", ref))
	}
	return name, ref, nil
}

func splitPath(text, name string) ([]string, error) {
	segments := strings.Split(strings.TrimRight(name, "/"), "/")
	for _, s := range segments {
		switch {
		case s == "..":
			return nil, refErr(text, "has '..' in its path, which could leave the repository")
		case s == "" || s == ".":
			return nil, refErr(text, "has an empty part in its path; "+exampleForms)
		case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\?#%: `, r) }):
			return nil, refErr(text, fmt.Sprintf("has %q in its path, which holds a character that cannot stand there", s))
		}
	}
	return segments, nil
}

func refErr(text, reason string) error { return &ReferenceError{Uses: text, Reason: reason} }

var (
	ownerOrRepo = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	fullSHA     = regexp.MustCompile(`^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$`)
	shortSHA    = regexp.MustCompile(`^[0-9a-fA-F]{4,39}$`)
)

func isFullSHA(ref string) bool  { return fullSHA.MatchString(ref) }
func isShortSHA(ref string) bool { return shortSHA.MatchString(ref) }

// validRef is git-check-ref-format, for names without the refs/ prefix.
func validRef(ref string) bool {
	if strings.HasPrefix(ref, "/") || strings.HasSuffix(ref, "/") || strings.HasSuffix(ref, ".") ||
		strings.Contains(ref, "//") || strings.Contains(ref, "..") || strings.Contains(ref, "@{") {
		return false
	}
	for part := range strings.SplitSeq(ref, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return !strings.ContainsFunc(ref, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r)
	})
}

// credentials of the URL as text; "" is none.
func (r Reference) credentials() string {
	if r.user == nil {
		return ""
	}
	return r.user.String()
}
