package action

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	branchPrefix = "refs/heads/"
	tagPrefix    = "refs/tags/"
)

func hasPrefix(name, prefix string) bool { return strings.HasPrefix(name, prefix) }

// target is what a ref names on the server.
type target struct {
	// commit is the commit, or an annotated tag's own id from a server that
	// does not say what its tags point at.
	commit plumbing.Hash
}

func (t target) sha() string { return t.commit.String() }

// find looks a tag or branch up, in the order of git's own rules: a tag goes
// before a branch of the same name (gitrevisions).
func (a *advertised) find(ref Reference) (target, error) {
	if ref.Ref == "HEAD" && a.refs.Head != nil {
		return target{*a.refs.Head}, nil
	}
	names := []string{tagPrefix + ref.Ref, branchPrefix + ref.Ref}
	if hasPrefix(ref.Ref, "refs/") {
		names = []string{ref.Ref}
	}
	for _, name := range names {
		if h, ok := a.refs.Peeled[name]; ok {
			return target{h}, nil
		}
		if h, ok := a.refs.References[name]; ok {
			return target{h}, nil
		}
	}
	return target{}, a.notFound(ref)
}

// notFound says what there is instead.
func (a *advertised) notFound(ref Reference) error {
	if isShortSHA(ref.Ref) && len(ref.Ref) >= 7 {
		full := "its 40 digits"
		if sha := a.expand(ref.Ref); sha != "" {
			full = sha
		}
		return fmt.Errorf("%q is no tag or branch of %s; if it is a shortened commit SHA, that is not supported: use the full one, %s",
			ref.Ref, ref.URL, full)
	}
	msg := fmt.Sprintf("%s has no tag or branch %q", ref.URL, ref.Ref)
	if near := nearNames(ref.Ref, a.names()); len(near) > 0 {
		return fmt.Errorf("%s; did you mean %s?", msg, strings.Join(near, ", "))
	}
	return fmt.Errorf("%s; check the part after the '@'", msg)
}

// expand finds the one advertised commit that a shortened SHA can mean.
func (a *advertised) expand(short string) string {
	found := ""
	for name, h := range a.refs.References {
		if peeled, ok := a.refs.Peeled[name]; ok {
			h = peeled
		}
		if s := h.String(); hasPrefix(s, strings.ToLower(short)) && s != found {
			if found != "" {
				return ""
			}
			found = s
		}
	}
	return found
}

func (a *advertised) names() []string {
	var names []string
	for name := range a.refs.References {
		for _, prefix := range []string{branchPrefix, tagPrefix} {
			if short, ok := strings.CutPrefix(name, prefix); ok {
				names = append(names, short)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxNear is how many names are offered.
const maxNear = 3

// nearNames are the names that are most like one: equal but for case or a
// leading v, a longer version of it, or a few typing errors away.
func nearNames(want string, names []string) []string {
	type candidate struct {
		name string
		cost int
	}
	var found []candidate
	bare := func(s string) string { return strings.TrimPrefix(strings.ToLower(s), "v") }
	for _, name := range names {
		cost := 100
		switch {
		case bare(name) == bare(want):
			cost = 0
		case hasPrefix(bare(name), bare(want)+"."), hasPrefix(bare(want), bare(name)+"."):
			cost = 1
		default:
			// A wrong digit is another version, not a typing error of this one.
			if d := distance(want, name); d <= 1+len(want)/4 {
				cost = 1 + d
			}
		}
		if cost < 100 {
			found = append(found, candidate{name, cost})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.cost - b.cost })
	var near []string
	for _, c := range found[:min(len(found), maxNear)] {
		near = append(near, c.name)
	}
	return near
}

// distance is the number of insertions, deletions and replacements between two
// names. Names so unlike in length that the caller would not care are not
// compared.
func distance(a, b string) int {
	if d := len(a) - len(b); d > 8 || d < -8 || len(a) > 200 {
		return 1 << 10
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
