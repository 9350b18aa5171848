package expr_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"otelrunner/runner/workflow/expr"
)

// FuzzEval: no panic, no hang, no result beyond the bound, errors of our type
// with a place in the text; and toJSON's text reads back.
func FuzzEval(f *testing.F) {
	for _, c := range language {
		f.Add(c.src)
	}
	for _, c := range errorCases {
		f.Add(c.src)
	}
	f.Add("format('{0}{0}{0}{0}', toJSON(github.event.labels.*.*))")
	f.Fuzz(func(t *testing.T, src string) {
		c := testContext()
		c.MaxMemory = 1 << 16
		v, err := expr.Eval(src, c)
		if err != nil {
			checkError(t, src, err)
			return
		}
		if n := len(expr.Text(v)); n > c.MaxMemory {
			t.Errorf("%d bytes of result", n)
		}
		expr.MarshalResult(v)
		if s := expr.Text(v); utf8.ValidString(s) {
			c.Values["v"] = v
			if _, err := expr.Eval("fromJSON(toJSON(v))", &expr.Context{Values: c.Values}); err != nil && expr.KindOf(v) != "Array" && expr.KindOf(v) != "Object" {
				t.Errorf("%q does not read back: %v", s, err)
			}
		}
	})
}

// FuzzText: the same for texts and conditions, and they agree on what is one
// whole expression.
func FuzzText(f *testing.F) {
	for _, s := range []string{"a ${{ text }} b", "${{ '}}' }}", "${{", "${{ }}", "${{ 'a''}}' }}${{ obj }}", "${{ always() && text }} x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := testContext()
		c.MaxMemory = 1 << 16
		v, err := expr.EvalText(text, c)
		if err != nil {
			checkError(t, text, err)
		}
		if src, whole := expr.Whole(text); whole && err == nil {
			direct, derr := expr.Eval(src, c)
			if derr != nil || expr.KindOf(direct) != expr.KindOf(v) {
				t.Errorf("%q: %v as a text, %v (%v) alone", text, v, direct, derr)
			}
		}
		if _, err := expr.Condition(text, c); err != nil {
			checkError(t, text, err)
		}
	})
}

func checkError(t *testing.T, text string, err error) {
	t.Helper()
	var e *expr.Error
	if !errors.As(err, &e) || e.Msg == "" || e.Pos > len(text) || e.Pos < -1 {
		t.Errorf("%q: bad error %#v", text, err)
	}
	_ = err.Error()
}
