package workflow

import (
	"errors"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"otelrunner/runner/workflow/expr"
)

// check looks at the expressions of a scalar, as far as that is possible before
// anything runs: their syntax, and the contexts and functions they name.
func (r *reader) check(n *yaml.Node, path, key string) {
	d := r.deref(n)
	if d == nil || d.Kind != yaml.ScalarNode || !expr.HasExpression(d.Value) {
		return
	}
	misplaced, err := expr.CheckText(d.Value, Availability(key))
	if err != nil {
		r.exprError(d, path, err)
		return
	}
	r.misplaced(n, path, key, misplaced)
}

// misplaced warns of names that work here and not on GitHub.
func (r *reader) misplaced(n *yaml.Node, path, key string, names []string) {
	if len(names) > 0 {
		r.warnf(n, "%s: GitHub refuses %s in %s; this runner goes on, and what has no value here is empty",
			path, strings.Join(names, ", "), key)
	}
}

// condition reads an `if:`.
func (r *reader) condition(dst *string, pos *Pos, key string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		*dst, *pos = r.text(n, path), posOf(n)
		d := r.deref(n)
		if d == nil || d.Kind != yaml.ScalarNode {
			return
		}
		mixed, misplaced, err := expr.CheckCondition(d.Value, Availability(key))
		if err != nil {
			r.exprError(d, path, err)
			return
		}
		r.misplaced(n, path, key, misplaced)
		if mixed {
			r.warnf(n, "%s: this condition is always true: with text or a line break around ${{ }} it is a string that is not empty; put the whole condition into one ${{ }}, or leave ${{ }} out", path)
		}
	}
}

func (r *reader) exprError(n *yaml.Node, path string, err error) {
	p := Problem{File: r.file, Pos: posOf(n), Msg: path + ": " + err.Error()}
	var e *expr.Error
	if errors.As(err, &e) && e.Pos >= 0 && e.Pos <= len(n.Value) {
		if at, ok := r.place(n, e.Pos); ok {
			p.Pos = at
		}
	}
	r.errs = append(r.errs, p)
}

// place finds where in the file a byte of a scalar's value stands. It looks
// the text up in the source, and so never claims a wrong place: where escapes
// or folding stand between the two, ok is false.
func (r *reader) place(n *yaml.Node, offset int) (Pos, bool) {
	before := n.Value[:offset]
	line := strings.Count(before, "\n")
	start := strings.LastIndexByte(before, '\n') + 1
	text, _, _ := strings.Cut(n.Value[start:], "\n")
	src := n.Line - 1 + line
	from := n.Column - 1 // of the scalar, in characters
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		src, from = src+1, 0
	case line > 0 || n.Style&yaml.FoldedStyle != 0:
		return Pos{}, false
	}
	if src < 0 || src >= len(r.lines) {
		return Pos{}, false
	}
	skip := runeOffset(r.lines[src], from)
	i := strings.Index(r.lines[src][skip:], text)
	if i < 0 {
		return Pos{}, false
	}
	at := skip + i + offset - start
	return Pos{src + 1, utf8.RuneCountInString(r.lines[src][:at]) + 1}, true
}

// runeOffset is the byte at which the nth character of s begins.
func runeOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}
