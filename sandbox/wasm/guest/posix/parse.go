// Package posix compiles POSIX basic and extended regular expressions with GNU's
// extensions, as grep, sed and expr use them. Expressions run on Go's regexp,
// which is linear in time; only those with back-references run on a backtracker
// with a bound on its steps.
package posix

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Syntax chooses the dialect.
type Syntax int

// The dialects.
const (
	Basic Syntax = iota
	Extended
	Fixed // a plain string
	Perl  // Go's own
)

type kind int

const (
	literal kind = iota
	anyChar
	class
	bol
	eol
	textStart
	textEnd
	wordEdge
	notWordEdge
	wordStart
	wordEnd
	group
	backref
	repeat
	alternate
	concat
)

type node struct {
	kind     kind
	r        rune     // literal
	set      *charSet // class
	index    int      // group, backref
	min, max int      // repeat; max < 0 is no bound
	subs     []*node
}

// charSet is a bracket expression.
type charSet struct {
	negated bool
	ranges  []rune   // pairs
	classes []string // alpha, word …
}

func (s *charSet) has(r rune) bool {
	for i := 0; i < len(s.ranges); i += 2 {
		if r >= s.ranges[i] && r <= s.ranges[i+1] {
			return !s.negated
		}
	}
	for _, c := range s.classes {
		if inClass(c, r) {
			return !s.negated
		}
	}
	return s.negated
}

// classes are POSIX's names in the C locale, with the form that Go's regexp has
// for them inside a bracket.
var classNames = map[string]string{
	"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
	"space": ` \t\n\r\f\v`, "blank": ` \t`, "punct": `!-/:-@\[-` + "`" + `{-~`, "print": " -~", "graph": "!-~",
	"cntrl": `\x00-\x1f\x7f`, "xdigit": "0-9a-fA-F", "word": "a-zA-Z0-9_",
}

func inClass(name string, r rune) bool {
	switch name {
	case "alpha":
		return unicode.IsLetter(r) && r < 128
	case "digit":
		return r >= '0' && r <= '9'
	case "alnum":
		return inClass("alpha", r) || inClass("digit", r)
	case "upper":
		return r >= 'A' && r <= 'Z'
	case "lower":
		return r >= 'a' && r <= 'z'
	case "space":
		return r == ' ' || r >= '\t' && r <= '\r'
	case "blank":
		return r == ' ' || r == '\t'
	case "punct":
		return r > ' ' && r < 127 && !inClass("alnum", r)
	case "print":
		return r >= ' ' && r < 127
	case "graph":
		return r > ' ' && r < 127
	case "cntrl":
		return r < ' ' || r == 127
	case "xdigit":
		return inClass("digit", r) || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
	case "word":
		return isWord(r)
	}
	return false
}

func isWord(r rune) bool { return r == '_' || inClass("alnum", r) }

type parser struct {
	src      string
	pos      int
	extended bool
	groups   int
	open     int
	refs     bool
	depth    int
}

const maxDepth = 250

func parse(src string, extended bool) (*node, *parser, error) {
	p := &parser{src: src, extended: extended}
	n, err := p.alternation()
	if err == nil && p.pos < len(src) {
		err = fmt.Errorf("unmatched ) or \\)")
	}
	return n, p, err
}

func (p *parser) is(text string) bool { return strings.HasPrefix(p.src[p.pos:], text) }

// special reports whether the next characters are the operator op, which basic
// syntax writes with a backslash.
func (p *parser) special(op string) bool {
	if p.extended {
		return p.is(op)
	}
	return p.is(`\` + op)
}

func (p *parser) skip(op string) {
	p.pos += len(op)
	if !p.extended {
		p.pos++
	}
}

func (p *parser) alternation() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("regular expression nests deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	alt := &node{kind: alternate}
	for {
		n, err := p.concatenation()
		if err != nil {
			return nil, err
		}
		alt.subs = append(alt.subs, n)
		if !p.special("|") {
			break
		}
		p.skip("|")
	}
	if len(alt.subs) == 1 {
		return alt.subs[0], nil
	}
	return alt, nil
}

func (p *parser) concatenation() (*node, error) {
	cat := &node{kind: concat}
	for p.pos < len(p.src) && !p.special("|") {
		if p.special(")") && p.open > 0 {
			break
		}
		atom, repeatable, err := p.atom(len(cat.subs) == 0)
		if err != nil {
			return nil, err
		}
		if repeatable {
			if atom, err = p.repeats(atom); err != nil {
				return nil, err
			}
		}
		cat.subs = append(cat.subs, atom)
	}
	return cat, nil
}

// repeats wraps an atom in the operators that follow it.
func (p *parser) repeats(atom *node) (*node, error) {
	for range maxDepth {
		min, max := 0, -1
		switch {
		case p.is("*"):
			p.pos++
		case p.special("+"):
			p.skip("+")
			min = 1
		case p.special("?"):
			p.skip("?")
			max = 1
		case p.special("{"):
			from, to, end, ok := p.interval()
			if !ok {
				if p.extended {
					return atom, nil // a literal brace
				}
				return nil, fmt.Errorf(`unmatched or invalid \{`)
			}
			if from > 1000 || to > 1000 || to >= 0 && from > to {
				return nil, fmt.Errorf("invalid repetition: bounds are 0 to 1000")
			}
			min, max, p.pos = from, to, end
		default:
			return atom, nil
		}
		if atom.kind == repeat && min == 0 && max < 0 && atom.max < 0 {
			atom.min = 0
			continue
		}
		atom = &node{kind: repeat, min: min, max: max, subs: []*node{atom}}
	}
	return nil, fmt.Errorf("too many repetitions in a row")
}

func (p *parser) interval() (from, to, end int, ok bool) {
	i := p.pos + 1
	if !p.extended {
		i++
	}
	number := func() (int, bool) {
		j := i
		for i < len(p.src) && p.src[i] >= '0' && p.src[i] <= '9' && i-j < 6 {
			i++
		}
		n, err := strconv.Atoi(p.src[j:i])
		return n, err == nil
	}
	from, given := number()
	to = from
	if i < len(p.src) && p.src[i] == ',' {
		i++
		var bound bool
		if to, bound = number(); !bound {
			to = -1
		}
	} else if !given {
		return 0, 0, 0, false
	}
	closing := "}"
	if !p.extended {
		closing = `\}`
	}
	if !strings.HasPrefix(p.src[i:], closing) {
		return 0, 0, 0, false
	}
	return from, to, i + len(closing), true
}

func (p *parser) atom(first bool) (n *node, repeatable bool, err error) {
	if p.special("(") {
		p.skip("(")
		p.groups++
		p.open++
		g := &node{kind: group, index: p.groups}
		sub, err := p.alternation()
		if err != nil {
			return nil, false, err
		}
		if !p.special(")") {
			return nil, false, fmt.Errorf(`unmatched ( or \(`)
		}
		p.skip(")")
		p.open--
		g.subs = []*node{sub}
		return g, true, nil
	}
	c := p.src[p.pos]
	switch {
	case c == '[':
		return p.bracket()
	case c == '.':
		p.pos++
		return &node{kind: anyChar}, true, nil
	case c == '^' && (p.extended || first):
		p.pos++
		// After ^ a * is literal in basic syntax.
		return &node{kind: bol}, p.extended, nil
	case c == '$' && p.atEnd():
		p.pos++
		return &node{kind: eol}, p.extended, nil
	case c == '*' && first:
		p.pos++
		return &node{kind: literal, r: '*'}, !p.extended, nil
	case c == '*' || p.extended && (c == '+' || c == '?'):
		p.pos++
		return &node{kind: literal, r: rune(c)}, false, nil
	case c == '\\':
		return p.escape()
	}
	r, size := utf8.DecodeRuneInString(p.src[p.pos:])
	p.pos += size
	return &node{kind: literal, r: r}, true, nil
}

func (p *parser) atEnd() bool {
	if p.extended {
		return true
	}
	rest := p.src[p.pos+1:]
	return rest == "" || strings.HasPrefix(rest, `\)`) || strings.HasPrefix(rest, `\|`)
}

func (p *parser) escape() (*node, bool, error) {
	if p.pos+1 >= len(p.src) {
		return nil, false, fmt.Errorf("trailing backslash")
	}
	c := p.src[p.pos+1]
	p.pos += 2
	switch c {
	case 'n':
		return &node{kind: literal, r: '\n'}, true, nil
	case 't':
		return &node{kind: literal, r: '\t'}, true, nil
	case 'w':
		return &node{kind: class, set: &charSet{classes: []string{"word"}}}, true, nil
	case 'W':
		return &node{kind: class, set: &charSet{negated: true, classes: []string{"word"}}}, true, nil
	case 's':
		return &node{kind: class, set: &charSet{classes: []string{"space"}}}, true, nil
	case 'S':
		return &node{kind: class, set: &charSet{negated: true, classes: []string{"space"}}}, true, nil
	case 'b':
		return &node{kind: wordEdge}, false, nil
	case 'B':
		return &node{kind: notWordEdge}, false, nil
	case '<':
		return &node{kind: wordStart}, false, nil
	case '>':
		return &node{kind: wordEnd}, false, nil
	case '`':
		return &node{kind: textStart}, false, nil
	case '\'':
		return &node{kind: textEnd}, false, nil
	}
	if c >= '1' && c <= '9' {
		if int(c-'0') > p.groups {
			return nil, false, fmt.Errorf("invalid back reference \\%c: there are %d groups before it", c, p.groups)
		}
		p.refs = true
		return &node{kind: backref, index: int(c - '0')}, true, nil
	}
	r, size := utf8.DecodeRuneInString(p.src[p.pos-1:])
	p.pos += size - 1
	return &node{kind: literal, r: r}, true, nil
}

func (p *parser) bracket() (*node, bool, error) {
	errOpen := fmt.Errorf("unmatched [ in %q", p.src)
	i := p.pos + 1
	s := &charSet{}
	if i < len(p.src) && p.src[i] == '^' {
		s.negated = true
		i++
	}
	for start := i; ; {
		if i >= len(p.src) {
			return nil, false, errOpen
		}
		if p.src[i] == ']' && i > start {
			p.pos = i + 1
			return &node{kind: class, set: s}, true, nil
		}
		if strings.HasPrefix(p.src[i:], "[:") {
			end := strings.Index(p.src[i:], ":]")
			if end < 0 {
				return nil, false, errOpen
			}
			name := p.src[i+2 : i+end]
			if _, ok := classNames[name]; !ok {
				return nil, false, fmt.Errorf("unknown character class [:%s:]", name)
			}
			s.classes = append(s.classes, name)
			i += end + 2
			continue
		}
		lo, n, ok := bracketChar(p.src[i:])
		if !ok {
			return nil, false, errOpen
		}
		i += n
		hi := lo
		if i+1 < len(p.src) && p.src[i] == '-' && p.src[i+1] != ']' {
			hi, n, ok = bracketChar(p.src[i+1:])
			if !ok {
				return nil, false, errOpen
			}
			i += 1 + n
			if hi < lo {
				return nil, false, fmt.Errorf("invalid range end: %c-%c", lo, hi)
			}
		}
		s.ranges = append(s.ranges, lo, hi)
	}
}

// bracketChar reads one character of a bracket expression: itself, [.x.] or
// [=x=]. A backslash is an ordinary character there.
func bracketChar(s string) (rune, int, bool) {
	for _, d := range []string{".", "="} {
		if strings.HasPrefix(s, "["+d) {
			end := strings.Index(s[2:], d+"]")
			if end < 0 {
				return 0, 0, false
			}
			r, size := utf8.DecodeRuneInString(s[2:])
			return r, end + 4, size == end
		}
	}
	r, size := utf8.DecodeRuneInString(s)
	return r, size, size > 0
}
