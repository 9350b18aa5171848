package posix

import (
	"unicode"
	"unicode/utf8"
)

// maxSteps bounds the work of one match that needs back-references; beyond it
// there is no match. It is seconds, not hours.
const maxSteps = 5_000_000

type matcher struct {
	s     string
	caps  []int
	fold  bool
	multi bool
	steps int
}

func decode(s string) (rune, int) { return utf8.DecodeRuneInString(s) }

// backtrack matches at exactly one position; of the alternatives the first that
// fits is taken, greedily.
func (r *Regexp) backtrack(s string, at int) []int {
	m := &matcher{s: s, caps: make([]int, 2*(r.groups+1)), fold: r.flags.IgnoreCase, multi: r.flags.Multiline}
	for i := range m.caps {
		m.caps[i] = -1
	}
	end := -1
	if !m.match(r.tree, at, func(i int) bool {
		if r.flags.Line && i != len(s) {
			return false
		}
		end = i
		return true
	}) {
		return nil
	}
	m.caps[0], m.caps[1] = at, end
	return m.caps
}

func (m *matcher) same(a, b rune) bool {
	return a == b || m.fold && unicode.ToLower(a) == unicode.ToLower(b)
}

func (m *matcher) match(n *node, i int, k func(int) bool) bool {
	if m.steps++; m.steps > maxSteps {
		return false
	}
	word := func(j int) bool { return j >= 0 && j < len(m.s) && isWord(rune(m.s[j])) }
	switch n.kind {
	case literal, anyChar, class:
		if i >= len(m.s) {
			return false
		}
		r, size := decode(m.s[i:])
		ok := n.kind == anyChar ||
			n.kind == literal && m.same(r, n.r) ||
			n.kind == class && (n.set.has(r) || m.fold && (n.set.has(unicode.ToLower(r)) || n.set.has(unicode.ToUpper(r))))
		return ok && k(i+size)
	case bol:
		return (i == 0 || m.multi && m.s[i-1] == '\n') && k(i)
	case eol:
		return (i == len(m.s) || m.multi && m.s[i] == '\n') && k(i)
	case textStart:
		return i == 0 && k(i)
	case textEnd:
		return i == len(m.s) && k(i)
	case wordEdge:
		return word(i-1) != word(i) && k(i)
	case notWordEdge:
		return word(i-1) == word(i) && k(i)
	case wordStart:
		return !word(i-1) && word(i) && k(i)
	case wordEnd:
		return word(i-1) && !word(i) && k(i)
	case group:
		from, to := m.caps[2*n.index], m.caps[2*n.index+1]
		if m.match(n.subs[0], i, func(j int) bool {
			f, t := m.caps[2*n.index], m.caps[2*n.index+1]
			m.caps[2*n.index], m.caps[2*n.index+1] = i, j
			if k(j) {
				return true
			}
			m.caps[2*n.index], m.caps[2*n.index+1] = f, t
			return false
		}) {
			return true
		}
		m.caps[2*n.index], m.caps[2*n.index+1] = from, to
		return false
	case backref:
		from, to := m.caps[2*n.index], m.caps[2*n.index+1]
		if from < 0 {
			return false
		}
		for _, want := range m.s[from:to] {
			if i >= len(m.s) {
				return false
			}
			r, size := decode(m.s[i:])
			if !m.same(r, want) {
				return false
			}
			i += size
		}
		return k(i)
	case repeat:
		return m.repeat(n, i, 0, k)
	case alternate:
		for _, s := range n.subs {
			if m.match(s, i, k) {
				return true
			}
		}
		return false
	}
	return m.sequence(n.subs, i, k)
}

func (m *matcher) sequence(subs []*node, i int, k func(int) bool) bool {
	if len(subs) == 0 {
		return k(i)
	}
	return m.match(subs[0], i, func(j int) bool { return m.sequence(subs[1:], j, k) })
}

func (m *matcher) repeat(n *node, i, count int, k func(int) bool) bool {
	if n.max < 0 || count < n.max {
		if m.match(n.subs[0], i, func(j int) bool {
			if j == i && count >= n.min {
				return false // an empty turn leads nowhere
			}
			return m.repeat(n, j, count+1, k)
		}) {
			return true
		}
	}
	return count >= n.min && k(i)
}
