package expr

import (
	"math"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokNone tokenKind = iota // before the first token
	tokStartGroup
	tokStartIndex
	tokStartParameters
	tokEndGroup
	tokEndIndex
	tokEndParameters
	tokSeparator
	tokDereference
	tokWildcard
	tokOperator
	tokNot
	tokNull
	tokBoolean
	tokNumber
	tokString
	tokPropertyName
	tokFunction
	tokNamedValue
	tokUnexpected // a legal spelling at a place where it may not stand
	tokInvalid    // no legal spelling at all
	tokEnd
)

type token struct {
	kind tokenKind
	pos  int     // byte offset
	raw  string  // as written
	str  string  // the value of a string
	num  float64 // the value of a number
}

type kindSet uint32

func set(kinds ...tokenKind) (s kindSet) {
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

func (s kindSet) has(k tokenKind) bool { return s&(1<<k) != 0 }

// Whether a token may stand is decided by the one before it, as GitHub's lexer
// does: that is what makes the position of "Unexpected symbol" the same.
var (
	// beforeOperand: a value may begin here.
	beforeOperand = set(tokNone, tokSeparator, tokStartGroup, tokStartParameters, tokStartIndex, tokOperator, tokNot)
	// afterValue: a value that can be looked into has just ended.
	afterValue = set(tokEndGroup, tokEndParameters, tokEndIndex, tokWildcard, tokPropertyName, tokNamedValue)
	// afterOperand: any value has just ended.
	afterOperand = afterValue | set(tokNull, tokBoolean, tokNumber, tokString)
)

func legalAfter(k tokenKind) kindSet {
	switch k {
	case tokStartGroup, tokNot, tokNull, tokBoolean, tokNumber, tokString, tokFunction, tokNamedValue:
		return beforeOperand
	case tokStartIndex, tokDereference:
		return afterValue
	case tokStartParameters:
		return set(tokFunction)
	case tokEndParameters:
		return afterOperand | set(tokStartParameters)
	case tokEndGroup, tokEndIndex, tokSeparator, tokOperator:
		return afterOperand
	case tokWildcard:
		return set(tokStartIndex, tokDereference)
	case tokPropertyName:
		return set(tokDereference)
	}
	return 0
}

type lexer struct {
	src      string
	i        int
	last     tokenKind
	unclosed []tokenKind
}

func (l *lexer) next() token {
	for l.i < len(l.src) {
		r, n := utf8.DecodeRuneInString(l.src[l.i:])
		if !unicode.IsSpace(r) {
			break
		}
		l.i += n
	}
	if l.i >= len(l.src) {
		return token{kind: tokEnd, pos: len(l.src)}
	}
	t := l.check(l.read())
	l.last = t.kind
	return t
}

func (l *lexer) read() token {
	start, c := l.i, l.src[l.i]
	one := func(k tokenKind) token {
		l.i++
		return token{kind: k, pos: start, raw: l.src[start:l.i]}
	}
	switch c {
	case '(':
		if l.last == tokFunction {
			return one(tokStartParameters)
		}
		return one(tokStartGroup)
	case ')':
		if l.innermost() == tokStartParameters {
			return one(tokEndParameters)
		}
		return one(tokEndGroup)
	case '[':
		return one(tokStartIndex)
	case ']':
		return one(tokEndIndex)
	case ',':
		return one(tokSeparator)
	case '*':
		return one(tokWildcard)
	case '\'':
		return l.readString()
	case '!', '>', '<', '=', '&', '|':
		return l.readOperator()
	case '.':
		if beforeOperand.has(l.last) {
			return l.readNumber()
		}
		return one(tokDereference)
	}
	if c == '-' || c == '+' || isDigit(c) {
		return l.readNumber()
	}
	return l.readKeyword()
}

// check turns a token that may not stand here into an unexpected one, and keeps
// the open brackets.
func (l *lexer) check(t token) token {
	if t.kind == tokInvalid {
		return t
	}
	bad := !legalAfter(t.kind).has(l.last)
	if !bad {
		switch t.kind {
		case tokStartGroup, tokStartIndex, tokStartParameters:
			l.unclosed = append(l.unclosed, t.kind)
		case tokEndGroup:
			bad = !l.close(tokStartGroup)
		case tokEndIndex:
			bad = !l.close(tokStartIndex)
		case tokEndParameters:
			bad = !l.close(tokStartParameters)
		case tokSeparator:
			bad = l.innermost() != tokStartParameters
		}
	}
	if bad {
		t.kind = tokUnexpected
	}
	return t
}

func (l *lexer) innermost() tokenKind {
	if len(l.unclosed) == 0 {
		return tokNone
	}
	return l.unclosed[len(l.unclosed)-1]
}

func (l *lexer) close(k tokenKind) bool {
	if l.innermost() != k {
		return false
	}
	l.unclosed = l.unclosed[:len(l.unclosed)-1]
	return true
}

func (l *lexer) readOperator() token {
	start := l.i
	if l.i+2 <= len(l.src) {
		switch two := l.src[l.i : l.i+2]; two {
		case "!=", ">=", "<=", "==", "&&", "||":
			l.i += 2
			return token{kind: tokOperator, pos: start, raw: two}
		}
	}
	l.i++
	switch l.src[start] {
	case '!':
		return token{kind: tokNot, pos: start, raw: "!"}
	case '>', '<':
		return token{kind: tokOperator, pos: start, raw: l.src[start:l.i]}
	}
	l.skipToBoundary(false)
	return token{kind: tokInvalid, pos: start, raw: l.src[start:l.i]}
}

func (l *lexer) readString() token {
	start := l.i
	l.i++
	var buf []byte
	for l.i < len(l.src) {
		c := l.src[l.i]
		l.i++
		if c == '\'' {
			if l.i >= len(l.src) || l.src[l.i] != '\'' {
				return token{kind: tokString, pos: start, raw: l.src[start:l.i], str: string(buf)}
			}
			l.i++
		}
		buf = append(buf, c)
	}
	return token{kind: tokInvalid, pos: start, raw: l.src[start:l.i]}
}

func (l *lexer) readNumber() token {
	start := l.i
	l.i++
	l.skipToBoundary(true)
	raw := l.src[start:l.i]
	n := parseNumber(raw)
	if math.IsNaN(n) {
		return token{kind: tokInvalid, pos: start, raw: raw}
	}
	return token{kind: tokNumber, pos: start, raw: raw, num: n}
}

func (l *lexer) readKeyword() token {
	start := l.i
	_, n := utf8.DecodeRuneInString(l.src[l.i:])
	l.i += n
	l.skipToBoundary(false)
	raw := l.src[start:l.i]
	t := token{pos: start, raw: raw}
	switch {
	case !isKeyword(raw):
		t.kind = tokInvalid
	case l.last == tokDereference:
		t.kind = tokPropertyName
	case raw == "null":
		t.kind = tokNull
	case raw == "true", raw == "false":
		t.kind = tokBoolean
	case raw == "NaN":
		t.kind, t.num = tokNumber, math.NaN()
	case raw == "Infinity":
		t.kind, t.num = tokNumber, math.Inf(1)
	case l.followedByParenthesis():
		t.kind = tokFunction
	default:
		t.kind = tokNamedValue
	}
	return t
}

func (l *lexer) followedByParenthesis() bool {
	for i := l.i; i < len(l.src); {
		r, n := utf8.DecodeRuneInString(l.src[i:])
		if !unicode.IsSpace(r) {
			return r == '('
		}
		i += n
	}
	return false
}

func (l *lexer) skipToBoundary(throughDots bool) {
	for l.i < len(l.src) {
		r, n := utf8.DecodeRuneInString(l.src[l.i:])
		if isBoundary(r) && (!throughDots || r != '.') {
			return
		}
		l.i += n
	}
}

func isBoundary(r rune) bool {
	switch r {
	case '(', '[', ')', ']', ',', '.', '!', '>', '<', '=', '&', '|':
		return true
	}
	return unicode.IsSpace(r)
}

// isKeyword reports whether s is a name: a letter or underscore, then letters,
// digits, underscores and hyphens, ASCII only.
func isKeyword(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || !isDigit(c) && c != '-') {
			return false
		}
	}
	return s != ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
