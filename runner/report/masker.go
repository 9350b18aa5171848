package report

import (
	"strings"
	"sync"
)

// Mask is what stands where a secret stood.
const Mask = "***"

// minPattern is the length in bytes of the shortest text that is masked. Below
// it, a value is found by chance in every log and hiding it hides nothing.
const minPattern = 4

// block is how many bytes the matcher looks at to decide how far it may skip.
const block = 2

// Masker replaces secrets, in all the forms in which tools print them, by Mask.
// It is safe for concurrent use; a value is masked in every call that begins
// after Add has returned.
//
// It searches for all patterns at once, skipping over text that no pattern can
// begin in (Wu and Manber 1994, with windows of minPattern bytes), so that its
// cost hardly depends on their number.
type Masker struct {
	mu sync.RWMutex

	// values are those that were added, so that a job that masks the same
	// value a thousand times pays once.
	values map[string]struct{}
	// patterns are the texts to be found, by their first minPattern bytes.
	patterns map[uint32][]string
	// known has every pattern once.
	known map[string]struct{}
	// longestPattern is its length in bytes.
	longestPattern int
	// shift says for the last block of a window how far the window may move
	// without missing the beginning of a pattern. Nil as long as there are
	// no patterns.
	shift *[1 << (8 * block)]uint8
}

// NewMasker returns a masker of the given values; see Add.
func NewMasker(values ...string) *Masker {
	m := &Masker{
		values:   make(map[string]struct{}),
		patterns: make(map[uint32][]string),
		known:    make(map[string]struct{}),
	}
	for _, v := range values {
		m.Add(v)
	}
	return m
}

// Add masks value from now on: as it is, each of its lines, and the forms in
// which encoders print it (base64, URL, JSON, XML, shell). It reports whether
// there was anything to mask: a value that is too short or too common to be
// told from ordinary text (see maskable) is not masked, since that would destroy
// the log and, by the places of its asterisks, tell the value.
func (m *Masker) Add(value string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.values[value]; ok {
		return true
	}
	added := false
	for form := range forms(value) {
		m.addPattern(form)
		added = true
	}
	if added {
		m.values[strings.Clone(value)] = struct{}{}
	}
	return added
}

// addPattern adds a text of at least minPattern bytes; m.mu is held.
func (m *Masker) addPattern(p string) {
	if _, ok := m.known[p]; ok || len(p) < minPattern {
		return
	}
	p = strings.Clone(p)
	m.known[p] = struct{}{}
	m.longestPattern = max(m.longestPattern, len(p))
	if m.shift == nil {
		m.shift = new([1 << (8 * block)]uint8)
		for i := range m.shift {
			m.shift[i] = minPattern - block + 1
		}
	}
	for i := 0; i+block <= minPattern; i++ {
		b := blockAt(p, i)
		m.shift[b] = min(m.shift[b], uint8(minPattern-block-i))
	}
	head := headAt(p, 0)
	m.patterns[head] = append(m.patterns[head], p)
}

func blockAt(s string, i int) uint16 { return uint16(s[i]) | uint16(s[i+1])<<8 }

func headAt(s string, i int) uint32 {
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}

// Mask returns text with every secret in it replaced. Where secrets overlap or
// touch, one Mask stands for all of them, so that no part of either is left.
// A text without a secret is returned as it is, without an allocation.
func (m *Masker) Mask(text string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.shift == nil {
		return text
	}
	from, to := m.find(text, 0)
	if from < 0 {
		return text
	}
	var b strings.Builder
	b.Grow(len(text))
	done := 0
	for from >= 0 {
		b.WriteString(text[done:from])
		b.WriteString(Mask)
		done = to
		from, to = m.find(text, done)
	}
	b.WriteString(text[done:])
	return b.String()
}

// Contains reports whether Mask would change text.
func (m *Masker) Contains(text string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.shift == nil {
		return false
	}
	from, _ := m.find(text, 0)
	return from >= 0
}

// Cut returns where text, the beginning of a longer one, may be cut so that no
// secret lies across: Mask of the two pieces hides what Mask of the whole would. It
// is more than 0 for a text that is not empty. A secret of more than half of the
// text's length is not looked for.
func (m *Masker) Cut(text string) int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.shift == nil {
		return len(text)
	}
	// What begins after this may be a secret whose end is yet to come.
	cut := len(text) - min(m.longestPattern-1, len(text)/2)
	for start := 0; ; {
		from, to := m.find(text, start)
		switch {
		case from < 0 || from >= cut:
			return cut
		case to <= cut:
			start = to
		case from > 0:
			return from
		default:
			return m.between(text, cut)
		}
	}
}

// between returns the last end of a secret up to most in a text that is secrets
// from its beginning on.
func (m *Masker) between(text string, most int) int {
	end := 0
	for end < most {
		n := m.longest(text, end)
		if n == 0 || end+n > most {
			break
		}
		end += n
	}
	if end == 0 {
		return most
	}
	return end
}

// find returns the first span at or after start that is made of secrets, or -1;
// m.mu is held and there are patterns.
func (m *Masker) find(text string, start int) (from, to int) {
	from = -1
	for i := start; i+minPattern <= len(text) && (from < 0 || i <= to); {
		if n := m.shift[blockAt(text, i+minPattern-block)]; n > 0 {
			i += int(n)
			continue
		}
		if n := m.longest(text, i); n > 0 {
			if from < 0 {
				from = i
			}
			to = max(to, i+n)
		}
		i++
	}
	return from, to
}

// longest returns the length of the longest pattern at text[i:], or 0.
func (m *Masker) longest(text string, i int) int {
	n := 0
	if i+minPattern > len(text) {
		return 0
	}
	for _, p := range m.patterns[headAt(text, i)] {
		if len(p) > n && strings.HasPrefix(text[i:], p) {
			n = len(p)
		}
	}
	return n
}
