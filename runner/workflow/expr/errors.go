package expr

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrorKind says in which stage an expression failed.
type ErrorKind string

// The kinds, spelled as GitHub's conformance suite spells them.
const (
	Lexing     ErrorKind = "lexing"     // a character or word that no token may be
	Parsing    ErrorKind = "parsing"    // tokens in an order, or names, that are not allowed
	Evaluation ErrorKind = "evaluation" // a function that cannot do its work, or a limit
)

// Error is what is wrong with an expression, and where.
type Error struct {
	Kind ErrorKind
	// Pos is the byte offset in the text that was given to the function that
	// returned the error: for Eval the expression, for Interpolate, EvalText
	// and Condition the whole text. -1 when the error has no place.
	Pos int
	// Msg is GitHub's own wording, without the place.
	Msg string
	// Hint is what the author can do, or "".
	Hint string
	// Expr is the expression at fault, without ${{ }}; Pos-Offset is the
	// place in it.
	Expr   string
	Offset int
	// Err is the cause, from HashFiles; usually nil.
	Err error
}

// Error gives GitHub's sentence ("Unexpected symbol: ')'. Located at position 5
// within expression: 1 < )") with positions counted in characters from 1, then
// the hint.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Msg)
	if in := e.Pos - e.Offset; e.Pos >= 0 && in >= 0 && in <= len(e.Expr) {
		fmt.Fprintf(&b, ". Located at position %d within expression: %s", utf8.RuneCountInString(e.Expr[:in])+1, clip(e.Expr))
	}
	if e.Hint != "" {
		b.WriteString(". ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// clip keeps a message readable when the expression is a program.
func clip(s string) string {
	const most = 2000
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// at moves an error of an expression to where that expression stands in a text.
func at(err error, offset int) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) && e.Pos >= 0 {
		e.Pos += offset
		e.Offset += offset
	}
	return err
}
