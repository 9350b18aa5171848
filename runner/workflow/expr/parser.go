package expr

import (
	"fmt"
	"sort"
	"strings"
	"unicode/utf16"
)

// Limits of GitHub's expression language.
const (
	// MaxLength is how many characters one expression may have, counted as UTF-16
	// does: those beyond the first 65536 are two.
	MaxLength = 21000
	// MaxDepth is how deep the tree of an expression may be.
	MaxDepth = 50
)

type op uint8

const (
	opLiteral op = iota
	opName       // a context
	opIndex      // kids: what is looked into, the key
	opStar       // kid: what is looked into
	opCall
	opNot
	opEq
	opNe
	opLt
	opLe
	opGt
	opGe
	opAnd // two kids or more
	opOr  // two kids or more
)

type node struct {
	op   op
	pos  int
	name string // of a context or a function, as written
	val  value  // of a literal
	fn   *function
	kids []*node
}

// scope says which names an expression may use.
type scope interface {
	// context reports whether the context may be named.
	context(name string) bool
	// function reports whether a status function or hashFiles is there.
	function(name string) bool
	// contexts and functions list the names for a message.
	contexts() []string
	functions() []string
	// where is the place of the workflow, or "".
	where() string
}

type parser struct {
	lex   lexer
	tok   token
	last  token // the token before tok
	scope scope
}

// parse gives the tree of src; nil for an empty expression.
func parse(src string, sc scope) (*node, error) {
	if n := length(src); n > MaxLength {
		return nil, &Error{Kind: Parsing, Pos: -1, Expr: src,
			Msg:  fmt.Sprintf("Exceeded max expression length %d", MaxLength),
			Hint: fmt.Sprintf("This one has %d characters; move a part of it into env or into the script", n)}
	}
	p := &parser{lex: lexer{src: src}, scope: sc}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokEnd {
		return nil, nil
	}
	n, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected()
	}
	if depth(n) > MaxDepth {
		return nil, &Error{Kind: Parsing, Pos: -1, Expr: src, Msg: fmt.Sprintf("Exceeded max expression depth %d", MaxDepth)}
	}
	return n, nil
}

// length is how many characters src has, as MaxLength counts them.
func length(src string) int {
	if len(src) <= MaxLength {
		return len(src) // it has not more characters than bytes
	}
	n := 0
	for _, r := range src {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

func (p *parser) advance() error {
	p.last, p.tok = p.tok, p.lex.next()
	if p.tok.kind == tokUnexpected || p.tok.kind == tokInvalid {
		return p.unexpected()
	}
	return nil
}

// unexpected is the error for the current token.
func (p *parser) unexpected() error {
	t := p.tok
	e := &Error{Kind: Parsing, Pos: t.pos, Expr: p.lex.src, Msg: fmt.Sprintf("Unexpected symbol: '%s'", clip(t.raw))}
	switch t.kind {
	case tokEnd:
		e.Msg = fmt.Sprintf("Unexpected end of expression: '%s'", clip(p.last.raw))
		e.Pos = p.last.pos
	case tokInvalid:
		e.Kind = Lexing
		e.Hint = hintFor(t.raw)
	}
	return e
}

// hintFor explains the slips that come from other languages.
func hintFor(raw string) string {
	switch {
	case strings.HasPrefix(raw, "'"):
		return "The string is not closed; a ' inside a string is written ''"
	case strings.HasPrefix(raw, `"`):
		return "Strings stand in single quotes: 'text'"
	case strings.HasPrefix(raw, "="):
		return "Equality is written =="
	case strings.HasPrefix(raw, "&"):
		return "And is written &&"
	case strings.HasPrefix(raw, "|"):
		return "Or is written ||"
	case strings.HasPrefix(raw, "$"):
		return "Inside an expression, contexts are named without ${{ }} or $"
	case strings.ContainsAny(raw, "/+%^"):
		return "There is no arithmetic in expressions, and text stands in single quotes"
	}
	return ""
}

// binding is how strongly a binary operator holds its operands; 0 is none.
func binding(t token) int {
	if t.kind != tokOperator {
		return 0
	}
	switch t.raw {
	case "||":
		return 1
	case "&&":
		return 2
	case "==", "!=":
		return 3
	}
	return 4
}

func opOf(raw string) op {
	switch raw {
	case "||":
		return opOr
	case "&&":
		return opAnd
	case "==":
		return opEq
	case "!=":
		return opNe
	case "<":
		return opLt
	case "<=":
		return opLe
	case ">":
		return opGt
	}
	return opGe
}

// binary reads an operand and every operator after it that binds stronger than
// outer.
func (p *parser) binary(outer int) (*node, error) {
	left, err := p.unary()
	if err != nil {
		return nil, err
	}
	for b := binding(p.tok); b > outer; b = binding(p.tok) {
		t := p.tok
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.binary(b)
		if err != nil {
			return nil, err
		}
		left = join2(opOf(t.raw), t.pos, left, right)
	}
	return left, nil
}

// join2 makes one node of a chain of && or of ||, so that a long chain is not a
// deep tree.
func join2(o op, pos int, left, right *node) *node {
	if (o == opAnd || o == opOr) && left.op == o {
		left.kids = append(left.kids, right)
		return left
	}
	return &node{op: o, pos: pos, kids: []*node{left, right}}
}

func (p *parser) unary() (*node, error) {
	var nots []int
	for p.tok.kind == tokNot {
		nots = append(nots, p.tok.pos)
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	n, err := p.postfix()
	if err != nil {
		return nil, err
	}
	for i := len(nots) - 1; i >= 0; i-- {
		n = &node{op: opNot, pos: nots[i], kids: []*node{n}}
	}
	return n, nil
}

// postfix reads a value and what looks into it.
func (p *parser) postfix() (*node, error) {
	n, err := p.primary()
	if err != nil {
		return nil, err
	}
	for {
		switch p.tok.kind {
		case tokDereference:
			n, err = p.dereference(n)
		case tokStartIndex:
			n, err = p.index(n)
		default:
			return n, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func (p *parser) dereference(of *node) (*node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	t := p.tok
	switch t.kind {
	case tokWildcard:
		return &node{op: opStar, pos: t.pos, kids: []*node{of}}, p.advance()
	case tokPropertyName:
		key := &node{op: opLiteral, pos: t.pos, val: stringValue(t.raw)}
		return &node{op: opIndex, pos: t.pos, kids: []*node{of, key}}, p.advance()
	}
	return nil, p.unexpected()
}

func (p *parser) index(of *node) (*node, error) {
	pos := p.tok.pos
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokWildcard {
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokEndIndex {
			return nil, p.unexpected()
		}
		return &node{op: opStar, pos: pos, kids: []*node{of}}, p.advance()
	}
	key, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEndIndex {
		return nil, p.unexpected()
	}
	return &node{op: opIndex, pos: pos, kids: []*node{of, key}}, p.advance()
}

func (p *parser) primary() (*node, error) {
	t := p.tok
	lit := func(v value) (*node, error) {
		return &node{op: opLiteral, pos: t.pos, val: v}, p.advance()
	}
	switch t.kind {
	case tokNull:
		return lit(value{})
	case tokBoolean:
		return lit(boolValue(t.raw == "true"))
	case tokNumber:
		return lit(numberValue(t.num))
	case tokString:
		return lit(stringValue(t.str))
	case tokNamedValue:
		if !p.scope.context(t.raw) {
			return nil, p.unknownContext(t)
		}
		return &node{op: opName, pos: t.pos, name: t.raw}, p.advance()
	case tokFunction:
		return p.call()
	case tokStartGroup:
		if err := p.advance(); err != nil {
			return nil, err
		}
		n, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		if p.tok.kind != tokEndGroup {
			return nil, p.unexpected()
		}
		return n, p.advance()
	}
	return nil, p.unexpected()
}

func (p *parser) call() (*node, error) {
	t := p.tok
	fn := lookupFunction(t.raw)
	if fn == nil || fn.needs && !p.scope.function(fn.name) {
		return nil, p.unknownFunction(t, fn)
	}
	n := &node{op: opCall, pos: t.pos, name: t.raw, fn: fn}
	if err := p.advance(); err != nil {
		return nil, err
	}
	for { // at "(" or ","
		if err := p.advance(); err != nil {
			return nil, err
		}
		if len(n.kids) == 0 && p.tok.kind == tokEndParameters {
			break
		}
		arg, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, arg)
		if p.tok.kind == tokEndParameters {
			break
		}
		if p.tok.kind != tokSeparator {
			return nil, p.unexpected()
		}
	}
	if err := p.arity(n); err != nil {
		return nil, err
	}
	return n, p.advance()
}

func (p *parser) arity(n *node) error {
	var wrong string
	switch got := len(n.kids); {
	case got < n.fn.min:
		wrong = "Too few parameters supplied"
	case got > n.fn.max:
		wrong = "Too many parameters supplied"
	case n.fn.odd && got%2 == 0:
		wrong = "Even number of parameters supplied, requires an odd number of parameters"
	default:
		return nil
	}
	return &Error{Kind: Parsing, Pos: n.pos, Expr: p.lex.src, Msg: fmt.Sprintf("%s: '%s'", wrong, n.name), Hint: "It is used as " + n.fn.usage}
}

func (p *parser) unknownContext(t token) error {
	names := p.scope.contexts()
	sort.Strings(names)
	e := &Error{Kind: Parsing, Pos: t.pos, Expr: p.lex.src, Msg: fmt.Sprintf("Unrecognized named-value: '%s'", t.raw)}
	near := Nearest(t.raw, names)
	if near != "" {
		e.Hint = fmt.Sprintf("Did you mean '%s'? ", near)
	}
	switch {
	case len(names) == 0:
		e.Hint += "No context may be used " + p.here()
	default:
		e.Hint += "Available " + p.here() + ": " + strings.Join(names, ", ")
	}
	if near == "" && lookupFunction(t.raw) != nil {
		e.Hint = fmt.Sprintf("To call the function, write %s. ", lookupFunction(t.raw).usage) + e.Hint
	}
	return e
}

func (p *parser) unknownFunction(t token, fn *function) error {
	e := &Error{Kind: Parsing, Pos: t.pos, Expr: p.lex.src, Msg: fmt.Sprintf("Unrecognized function: '%s'", t.raw)}
	names := append(plainFunctions(), p.scope.functions()...)
	sort.Strings(names)
	if fn != nil {
		e.Hint = fmt.Sprintf("%s() may not be used %s; available: %s", fn.name, p.here(), strings.Join(names, ", "))
		return e
	}
	if near := Nearest(t.raw, names); near != "" {
		e.Hint = fmt.Sprintf("Did you mean '%s'?", near)
		return e
	}
	e.Hint = "Available: " + strings.Join(names, ", ")
	return e
}

func (p *parser) here() string {
	if w := p.scope.where(); w != "" {
		return "in " + w
	}
	return "here"
}

// depth is the length of the longest path from n to a leaf. It looks no deeper
// than it must to know that MaxDepth is exceeded.
func depth(n *node) int { return depthWithin(n, MaxDepth+1) }

func depthWithin(n *node, room int) int {
	if room <= 1 {
		return 1
	}
	deepest := 0
	for _, k := range n.kids {
		deepest = max(deepest, depthWithin(k, room-1))
	}
	if n.op == opStar { // GitHub's tree has the * as a second operand
		deepest = max(deepest, 1)
	}
	return deepest + 1
}
