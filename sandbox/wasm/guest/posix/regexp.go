package posix

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/dlclark/regexp2"
)

// Flags change how an expression matches.
type Flags struct {
	IgnoreCase bool
	// Multiline lets ^ and $ match at every line of the text.
	Multiline bool
	// Line and Word ask for a match that is a whole line, or whole words
	// (grep -x and -w).
	Line, Word bool
}

// Regexp is a compiled expression, safe for concurrent use.
type Regexp struct {
	re     *regexp.Regexp
	tree   *node // for the backtracker
	perl   *regexp2.Regexp
	groups int
	flags  Flags
}

// Compile compiles an expression.
func Compile(src string, syntax Syntax, flags Flags) (*Regexp, error) {
	if syntax == Fixed {
		src, syntax = regexp.QuoteMeta(src), Extended
	}
	r := &Regexp{flags: flags}
	text := src
	if syntax != Perl {
		tree, p, err := parse(src, syntax == Extended)
		if err != nil {
			return nil, err
		}
		r.groups = p.groups
		if p.refs {
			r.tree = tree
			return r, nil
		}
		var b strings.Builder
		emit(&b, tree)
		text = b.String()
	}
	switch {
	case flags.Line:
		text = `\A(?:` + text + `)\z`
	case flags.Word:
		// The match is checked again: \b alone is too weak at its ends.
		text = "(?:" + text + ")"
	}
	mode := "s"
	if flags.IgnoreCase {
		mode += "i"
	}
	if flags.Multiline {
		mode += "m"
	}
	var err error
	r.re, err = regexp.Compile("(?" + mode + ")" + text)
	if err != nil && syntax == Perl {
		if r.perl, err = compilePerl(src, flags); err != nil {
			return nil, err
		}
		r.groups = len(r.perl.GetGroupNumbers()) - 1
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", src, err)
	}
	if syntax == Perl {
		r.groups = r.re.NumSubexp()
	} else {
		r.re.Longest()
	}
	return r, nil
}

func emit(b *strings.Builder, n *node) {
	switch n.kind {
	case literal:
		b.WriteString(regexp.QuoteMeta(string(n.r)))
	case anyChar:
		b.WriteByte('.')
	case class:
		emitClass(b, n.set)
	case bol:
		b.WriteByte('^')
	case eol:
		b.WriteByte('$')
	case textStart:
		b.WriteString(`\A`)
	case textEnd:
		b.WriteString(`\z`)
	case wordEdge, wordStart, wordEnd:
		b.WriteString(`\b`)
	case notWordEdge:
		b.WriteString(`\B`)
	case group:
		b.WriteByte('(')
		emit(b, n.subs[0])
		b.WriteByte(')')
	case repeat:
		b.WriteString("(?:")
		emit(b, n.subs[0])
		b.WriteByte(')')
		switch {
		case n.min == 0 && n.max < 0:
			b.WriteByte('*')
		case n.min == 1 && n.max < 0:
			b.WriteByte('+')
		case n.min == 0 && n.max == 1:
			b.WriteByte('?')
		case n.max < 0:
			fmt.Fprintf(b, "{%d,}", n.min)
		default:
			fmt.Fprintf(b, "{%d,%d}", n.min, n.max)
		}
	case alternate:
		b.WriteString("(?:")
		for i, s := range n.subs {
			if i > 0 {
				b.WriteByte('|')
			}
			emit(b, s)
		}
		b.WriteByte(')')
	case concat:
		for _, s := range n.subs {
			emit(b, s)
		}
	}
}

func emitClass(b *strings.Builder, s *charSet) {
	b.WriteByte('[')
	if s.negated {
		b.WriteByte('^')
	}
	for i := 0; i < len(s.ranges); i += 2 {
		fmt.Fprintf(b, `\x{%x}-\x{%x}`, s.ranges[i], s.ranges[i+1])
	}
	for _, c := range s.classes {
		b.WriteString(classNames[c])
	}
	b.WriteByte(']')
}

// Groups is the number of groups.
func (r *Regexp) Groups() int { return r.groups }

// Match reports whether s has a match.
func (r *Regexp) Match(s string) bool {
	if r.re != nil && !r.flags.Word {
		return r.re.MatchString(s)
	}
	return len(r.All(s, 1)) > 0
}

// Find returns the first match, as pairs of offsets of the match and its
// groups, -1 for a group that took no part; nil for no match.
func (r *Regexp) Find(s string) []int {
	if all := r.All(s, 1); len(all) > 0 {
		return all[0]
	}
	return nil
}

// All returns up to n matches (n < 0: all), from left to right without overlap.
// An empty match directly after another match does not count.
func (r *Regexp) All(s string, n int) [][]int {
	if r.re != nil && !r.flags.Word {
		return r.re.FindAllStringSubmatchIndex(s, n)
	}
	if r.perl != nil {
		return r.allPerl(s, n)
	}
	var all [][]int
	last := -1
	for at := 0; at <= len(s) && (n < 0 || len(all) < n); {
		m := r.from(s, at)
		if m == nil {
			break
		}
		if m[1] == m[0] && m[0] == last {
			at = next(s, at)
			continue
		}
		all = append(all, m)
		last = m[1]
		if m[1] > m[0] {
			at = m[1]
		} else {
			at = next(s, m[1])
		}
	}
	return all
}

func next(s string, at int) int {
	if at >= len(s) {
		return at + 1
	}
	_, size := decode(s[at:])
	return at + size
}

// from finds the first match at or after at.
func (r *Regexp) from(s string, at int) []int {
	for ; at <= len(s); at = next(s, at) {
		var m []int
		if r.tree != nil {
			m = r.backtrack(s, at)
		} else {
			m = r.wordAt(s, at)
		}
		if m != nil && (!r.flags.Word || wholeWord(s, m)) && (!r.flags.Line || m[0] == 0 && m[1] == len(s)) {
			return m
		}
	}
	return nil
}

// wordAt finds a match that starts at at and is made of whole words; shorter
// ends are tried as grep does.
func (r *Regexp) wordAt(s string, at int) []int {
	if at > 0 && isWord(rune(s[at-1])) {
		return nil
	}
	for end := len(s); end >= at; {
		m := r.re.FindStringSubmatchIndex(s[at:end])
		if m == nil || m[0] != 0 {
			return nil
		}
		for i := range m {
			if m[i] >= 0 {
				m[i] += at
			}
		}
		if wholeWord(s, m) {
			return m
		}
		end = m[1] - 1
	}
	return nil
}

func wholeWord(s string, m []int) bool {
	return (m[0] == 0 || !isWord(rune(s[m[0]-1]))) && (m[1] == len(s) || !isWord(rune(s[m[1]])))
}
