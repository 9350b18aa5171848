package hashfiles

import (
	"strings"
	"unicode/utf8"
)

// matchName matches one name against one segment: * any number of characters, ?
// one, [] one of a class. Time is at most the product of both lengths.
func matchName(segment, name string, windows bool) bool {
	if windows {
		segment, name = strings.ToLower(segment), strings.ToLower(name)
	}
	// star and from are where to go on after the last * took one more.
	star, from := -1, 0
	s, n := 0, 0
	for n < len(name) {
		if s < len(segment) && segment[s] == '*' {
			star, from = s+1, n
			s++
			continue
		}
		if width, used, ok := matchOne(segment[s:], name[n:], windows); ok {
			s += used
			n += width
			continue
		}
		if star < 0 {
			return false
		}
		_, width := utf8.DecodeRuneInString(name[from:])
		from += width
		s, n = star, from
	}
	return strings.Trim(segment[s:], "*") == ""
}

// matchOne matches one character of name. used is how much of the segment it
// took, width how much of the name.
func matchOne(segment, name string, windows bool) (width, used int, ok bool) {
	if segment == "" {
		return 0, 0, false
	}
	c, width := utf8.DecodeRuneInString(name)
	switch segment[0] {
	case '?':
		return width, 1, true
	case '[':
		if class, size := parseClass(segment, windows); size > 0 {
			return width, size, class.has(c)
		}
	case '\\':
		if !windows && len(segment) > 1 {
			want, size := utf8.DecodeRuneInString(segment[1:])
			return width, 1 + size, want == c
		}
	}
	_, size := utf8.DecodeRuneInString(segment)
	return width, size, segment[:size] == name[:width]
}

// class is what stands in brackets.
type class struct {
	negated bool
	ranges  [][2]rune
}

func (c class) has(r rune) bool {
	for _, x := range c.ranges {
		if x[0] <= r && r <= x[1] {
			return !c.negated
		}
	}
	return c.negated
}

// parseClass reads a class and returns its length in bytes; 0 when the bracket
// is not closed and so an ordinary character.
func parseClass(segment string, windows bool) (class, int) {
	var c class
	i := 1
	if i < len(segment) && (segment[i] == '!' || segment[i] == '^') {
		c.negated = true
		i++
	}
	for first := true; i < len(segment); first = false {
		if segment[i] == ']' && !first {
			return c, i + 1
		}
		low, size := classRune(segment[i:], windows)
		i += size
		high := low
		if i+1 < len(segment) && segment[i] == '-' && segment[i+1] != ']' {
			high, size = classRune(segment[i+1:], windows)
			i += 1 + size
		}
		c.ranges = append(c.ranges, [2]rune{low, high})
	}
	return class{}, 0
}

func classRune(s string, windows bool) (rune, int) {
	if s[0] == '\\' && !windows && len(s) > 1 {
		r, size := utf8.DecodeRuneInString(s[1:])
		return r, 1 + size
	}
	return utf8.DecodeRuneInString(s)
}

// literal returns the one name that a segment matches, and false when it is a
// glob.
func literal(segment string, windows bool) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(segment); {
		switch c := segment[i]; {
		case c == '\\' && !windows && i+1 < len(segment):
			r, size := utf8.DecodeRuneInString(segment[i+1:])
			b.WriteRune(r)
			i += 1 + size
			continue
		case c == '*' || c == '?':
			return "", false
		case c == '[':
			class, size := parseClass(segment[i:], windows)
			if size == 0 {
				break
			}
			if class.negated || len(class.ranges) != 1 || class.ranges[0][0] != class.ranges[0][1] {
				return "", false
			}
			b.WriteRune(class.ranges[0][0])
			i += size
			continue
		}
		b.WriteByte(segment[i])
		i++
	}
	return b.String(), b.Len() > 0
}
