package expr

import (
	"strings"
)

// segment is a piece of a text: literal, or an expression.
type segment struct {
	literal string
	src     string // without ${{ }}, not trimmed
	pos     int    // of src in the text
	isExpr  bool
}

// split cuts a text at its ${{ }}. A }} within a string of the expression does
// not end it.
func split(text string) ([]segment, error) {
	var segs []segment
	for i := 0; i < len(text); {
		start := strings.Index(text[i:], "${{")
		if start < 0 {
			return append(segs, segment{literal: text[i:], pos: i}), nil
		}
		start += i
		if start > i {
			segs = append(segs, segment{literal: text[i:start], pos: i})
		}
		end := closing(text, start+3)
		if end < 0 {
			return nil, &Error{Kind: Parsing, Pos: start, Offset: start, Expr: text[start:],
				Msg:  "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence was not found",
				Hint: "To have ${{ in the text itself, write ${{ '${{' }}"}
		}
		segs = append(segs, segment{src: text[start+3 : end], pos: start + 3, isExpr: true})
		i = end + 2
	}
	return segs, nil
}

// closing finds the }} that ends the expression that begins at i, or -1.
func closing(text string, i int) int {
	inString := false
	for ; i < len(text); i++ {
		switch {
		case text[i] == '\'':
			inString = !inString // '' inside a string flips twice
		case !inString && text[i] == '}' && i+1 < len(text) && text[i+1] == '}':
			return i
		}
	}
	return -1
}

// HasExpression reports whether text holds ${{.
func HasExpression(text string) bool { return strings.Contains(text, "${{") }

// Whole returns the expression of a text that is one ${{ }} and nothing else.
func Whole(text string) (string, bool) {
	if !strings.HasPrefix(text, "${{") {
		return "", false
	}
	segs, err := split(text)
	if err != nil || len(segs) != 1 {
		return "", false
	}
	return segs[0].src, true
}

// CheckText is Check for every ${{ }} of a text. In positions, 0 is the first
// byte of text. misplaced has the contexts and functions that the text names and a
// only tolerates, each once, in the order of the text.
func CheckText(text string, a *Allow) (misplaced []string, err error) {
	if !HasExpression(text) {
		return nil, nil
	}
	segs, err := split(text)
	if err != nil {
		return nil, err
	}
	for _, s := range segs {
		if s.isExpr {
			if _, err := s.parse(allowScope{a: a, misplaced: &misplaced}); err != nil {
				return nil, err
			}
		}
	}
	return misplaced, nil
}

// CheckCondition is CheckText for the text of an `if:`, which is an expression
// without ${{ }} too. A text that is put together of ${{ }} and something around it
// is never false; mixed reports that.
func CheckCondition(text string, a *Allow) (mixed bool, misplaced []string, err error) {
	if !HasExpression(text) {
		_, err := parse(text, allowScope{a: a, misplaced: &misplaced})
		return false, misplaced, err
	}
	if misplaced, err = CheckText(text, a); err != nil {
		return false, nil, err
	}
	_, whole := Whole(text)
	return !whole, misplaced, nil
}

func (s segment) parse(sc scope) (*node, error) {
	n, err := parse(s.src, sc)
	if err == nil && n == nil {
		err = &Error{Kind: Parsing, Pos: 0, Expr: s.src, Msg: "An expression was expected", Hint: "There is nothing between ${{ and }}"}
	}
	return n, at(err, s.pos)
}

// Interpolate replaces every ${{ }} of a text by its value's Text. A text
// without any is returned as it is. Errors are *Error.
func Interpolate(text string, c *Context) (string, error) {
	v, err := evalText(text, c)
	if err != nil {
		return "", err
	}
	return v.text(), nil
}

// EvalText evaluates a text: one that is a whole ${{ }} keeps its type, as
// Eval's result; any other gives a string.
func EvalText(text string, c *Context) (any, error) {
	v, err := evalText(text, c)
	if err != nil {
		return nil, err
	}
	return v.toGo(), nil
}

func evalText(text string, c *Context) (value, error) {
	if !HasExpression(text) {
		return stringValue(text), nil
	}
	segs, err := split(text)
	if err != nil {
		return value{}, err
	}
	// All expressions are parsed before the first is evaluated: an error in
	// any is an error of the text, as it is where GitHub makes one format()
	// call of it.
	nodes := make([]*node, len(segs))
	for i, s := range segs {
		if s.isExpr {
			if nodes[i], err = s.parse(c); err != nil {
				return value{}, err
			}
		}
	}
	if len(segs) == 1 {
		v, err := run(nodes[0], segs[0].src, c, TemplateMemory)
		return v, at(err, segs[0].pos)
	}
	return concat(segs, nodes, c)
}

// concat evaluates a mixed text; all of it together has one bound of memory.
func concat(segs []segment, nodes []*node, c *Context) (value, error) {
	e := &evaluator{c: c, limit: TemplateMemory}
	if c.MaxMemory > 0 {
		e.limit = c.MaxMemory
	}
	var b strings.Builder
	for i, s := range segs {
		if !s.isExpr {
			b.WriteString(s.literal)
			continue
		}
		e.src = s.src
		v, err := e.eval(nodes[i])
		if err != nil {
			return value{}, at(err, s.pos)
		}
		b.WriteString(v.text())
	}
	return stringValue(b.String()), nil
}

// Condition evaluates the text of an `if:`: an expression with or without
// ${{ }}. Unless it calls a status function (success, failure, cancelled,
// always), it counts only while success() holds. "" is success(). A text with
// something around ${{ }} is a string and as such true, as on GitHub.
func Condition(text string, c *Context) (bool, error) {
	if strings.TrimSpace(text) == "" {
		return c.succeeded(), nil
	}
	if HasExpression(text) {
		if src, whole := Whole(text); whole && strings.TrimSpace(src) != "" {
			ok, err := condition(src, c)
			return ok, at(err, 3)
		}
		return mixedCondition(text, c)
	}
	return condition(text, c)
}

// succeeded is the success() that a condition implies; where there is no such
// function, nothing is implied.
func (c *Context) succeeded() bool { return c.Success == nil || c.Success() }

func condition(src string, c *Context) (bool, error) {
	n, err := parse(src, c)
	if err != nil {
		return false, err
	}
	if n == nil {
		return c.succeeded(), nil
	}
	if !callsStatus(n) && !c.succeeded() {
		return false, nil
	}
	v, err := run(n, src, c, TemplateMemory)
	return v.truthy(), err
}

func mixedCondition(text string, c *Context) (bool, error) {
	segs, err := split(text)
	if err != nil {
		return false, err
	}
	status := false
	for _, s := range segs {
		if s.isExpr {
			n, err := s.parse(c)
			if err != nil {
				return false, err
			}
			status = status || callsStatus(n)
		}
	}
	if !status && !c.succeeded() {
		return false, nil
	}
	v, err := evalText(text, c)
	return v.truthy(), err
}

func callsStatus(n *node) bool {
	if n.fn != nil && n.fn.status {
		return true
	}
	for _, k := range n.kids {
		if callsStatus(k) {
			return true
		}
	}
	return false
}
