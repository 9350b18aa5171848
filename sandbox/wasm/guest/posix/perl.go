package posix

import (
	"fmt"
	"strings"

	"github.com/dlclark/regexp2"
)

// compilePerl compiles what Go's expressions do not know of Perl's: look-around,
// back-references, atomic groups and \K. It backtracks, as Perl does.
func compilePerl(src string, flags Flags) (*regexp2.Regexp, error) {
	text, err := withoutKeep(src)
	if err != nil {
		return nil, err
	}
	switch {
	case flags.Line:
		text = `\A(?:` + text + `)\z`
	case flags.Word:
		text = `(?<!\w)(?:` + text + `)(?!\w)`
	}
	options := regexp2.RegexOptions(regexp2.Singleline)
	if flags.IgnoreCase {
		options |= regexp2.IgnoreCase
	}
	if flags.Multiline {
		options |= regexp2.Multiline
	}
	re, err := regexp2.Compile(text, options)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", src, err)
	}
	return re, nil
}

// withoutKeep turns what stands in front of a \K into a look-behind: it has to be
// there and is no part of the match.
func withoutKeep(src string) (string, error) {
	var out strings.Builder
	start, depth, class := 0, 0, false
	for i := 0; i < len(src); i++ {
		switch c := src[i]; {
		case c == '\\' && i+1 < len(src):
			if i++; src[i] != 'K' || class {
				continue
			}
			if depth > 0 {
				return "", fmt.Errorf("regular expression %q: \\K within a group is not supported here", src)
			}
			out.WriteString("(?<=" + src[start:i-1] + ")")
			start = i + 1
		case class:
			class = c != ']'
		case c == '[':
			class = true
			if i+1 < len(src) && src[i+1] == '^' {
				i++
			}
			if i+1 < len(src) && src[i+1] == ']' {
				i++
			}
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '|' && depth == 0:
			out.WriteString(src[start : i+1])
			start = i + 1
		}
	}
	return out.String() + src[start:], nil
}

// allPerl is All of a Perl expression.
func (r *Regexp) allPerl(s string, n int) [][]int {
	var offsets []int // of the characters, which the library counts
	for i := range s {
		offsets = append(offsets, i)
	}
	offsets = append(offsets, len(s))
	var all [][]int
	m, err := r.perl.FindStringMatch(s)
	for err == nil && m != nil && (n < 0 || len(all) < n) {
		var found []int
		for _, g := range m.Groups() {
			if len(g.Captures) == 0 {
				found = append(found, -1, -1)
				continue
			}
			found = append(found, offsets[g.Index], offsets[g.Index+g.Length])
		}
		all = append(all, found)
		m, err = r.perl.FindNextMatch(m)
	}
	return all
}
