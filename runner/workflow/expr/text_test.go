package expr_test

import (
	"errors"
	"strings"
	"testing"

	"otelrunner/runner/workflow/expr"
)

func TestInterpolate(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"no expression } }} { $ ${ {{ x }}": "no expression } }} { $ ${ {{ x }}",
		"${{ text }}":                       "Hello",
		" ${{text}} ":                       " Hello ",
		"a${{ num }}b${{ null }}c":          "a3.5bc",
		"${{ obj }}-${{ arr }}":             "Object-Array",
		"${{ '}}' }}!":                      "}}!",
		"${{ 'it''s }} here' }}!":           "it's }} here!",
		"${{ '${{' }} text }}":              "${{ text }}",
		"{0} {{ ${{ 1 }} '":                 "{0} {{ 1 '",
		"echo ${{ text }}\n# ${{ num }}\n":  "echo Hello\n# 3.5\n",
		"${{ true }}":                       "true",
		"é${{ text }}é":                     "éHelloé",
		"${{\n  text\n}}":                   "Hello",
		"$${{ text }}}":                     "$Hello}",
	} {
		got, err := expr.Interpolate(text, testContext())
		if err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestEvaluatedTextIsNotEvaluatedAgain(t *testing.T) {
	c := &expr.Context{Values: map[string]any{"title": "${{ secrets.x }}"}}
	if got, err := expr.Interpolate("echo ${{ title }}", c); err != nil || got != "echo ${{ secrets.x }}" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestEvalTextKeepsTypes(t *testing.T) {
	for text, kind := range map[string]string{
		"${{ num }}": "Number", "${{ obj }}": "Object", "${{ null }}": "Null", "${{ true }}": "Boolean",
		"${{ num }} ": "String", " ${{ num }}": "String", "${{ 1 }}${{ 2 }}": "String", "plain": "String", "3": "String",
	} {
		got, err := expr.EvalText(text, testContext())
		if err != nil || expr.KindOf(got) != kind {
			t.Errorf("%q: %s (%v), want %s", text, expr.KindOf(got), err, kind)
		}
	}
}

func TestTextErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		pos  int
		want string
	}{
		{"run ${{ text", 4, "not closed"},
		{"a ${{ 'x }}", 2, "not closed"},
		{"a ${{ }} b", 5, "An expression was expected"},
		{"${{}}", 3, "An expression was expected"},
		{"ab ${{ nope.x }}", 7, "Located at position 2 within expression:  nope.x "},
		{"${{ text }} ${{ 1 ? 2 }}", 18, "'?'"},
		{"${{ text }} ${{ fromJSON('') }}", 16, "fromJSON"},
		{"${{ format('{0') }}", 4, "invalid"},
	} {
		_, err := expr.Interpolate(c.text, testContext())
		var e *expr.Error
		if !errors.As(err, &e) || e.Pos != c.pos || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q at %d", c.text, err, c.want, c.pos)
		}
	}
}

func TestCondition(t *testing.T) {
	type status struct{ success, failure, cancelled bool }
	ok, failed, cancelled := status{success: true}, status{failure: true}, status{cancelled: true}
	for _, c := range []struct {
		text string
		st   status
		want bool
	}{
		{"", ok, true}, {"", failed, false}, {"  ", ok, true}, {"", cancelled, false}, {"${{ '' }}", ok, false},
		{"true", ok, true}, {"true", failed, false}, {"false", ok, false}, {"0", ok, false}, {"'false'", ok, true},
		{"text == 'hello'", ok, true}, {"text == 'hello'", failed, false}, {"${{ text == 'hello' }}", failed, false}, {"${{ text == 'x' }}", ok, false},
		{"always()", failed, true}, {"${{ always() }}", cancelled, true}, {"always() && false", failed, false},
		{"failure()", failed, true}, {"failure()", ok, false}, {"failure() || text == 'x'", ok, false}, {"!cancelled()", failed, true}, {"!success()", failed, true},
		{"cancelled()", cancelled, true}, {"failure() && num > 3", failed, true},
		{"contains('always()', 'x')", failed, false}, // a string that looks like a call is none
		{"text == 'x' || format('{0}', failure())", failed, true},
		// With something around ${{ }} it is a string, and true.
		{"${{ false }} ", ok, true}, {"${{ false }}\n", ok, true}, {"!${{ true }}", ok, true}, {"${{ false }} && ${{ false }}", ok, true},
		{"${{ false }} ", failed, false}, {"failure() && ${{ true }}", failed, false}, {"x ${{ failure() }}", failed, true}, {"${{ '' }}${{ '' }}", ok, false},
		// what is not reached is not evaluated
		{"fromJSON('')", failed, false},
	} {
		ctx := testContext()
		ctx.Success = func() bool { return c.st.success }
		ctx.Failure = func() bool { return c.st.failure }
		ctx.Cancelled = func() bool { return c.st.cancelled }
		got, err := expr.Condition(c.text, ctx)
		if err != nil || got != c.want {
			t.Errorf("%q with %+v: %v, %v; want %v", c.text, c.st, got, err, c.want)
		}
	}
}

func TestConditionErrors(t *testing.T) {
	for _, text := range []string{"nope", "${{ nope }}", "text ==", "${{ text", "x ${{ nope }}", "fromJSON('')", "success(1)", "${{ }} x", "${{ }}"} {
		if got, err := expr.Condition(text, testContext()); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
	var e *expr.Error
	if _, err := expr.Condition("${{ nope }}", testContext()); !errors.As(err, &e) || e.Pos != 4 {
		t.Errorf("position: %+v", e)
	}
}

func TestCheckCondition(t *testing.T) {
	allow := &expr.Allow{Contexts: []string{"github"}, Functions: []string{"always"}}
	for text, want := range map[string]bool{"github.x": false, "${{ github.x }}": false, "${{ github.x }}\n": true, "!${{ always() }}": true} {
		if mixed, _, err := expr.CheckCondition(text, allow); err != nil || mixed != want {
			t.Errorf("%q: %v, %v", text, mixed, err)
		}
	}
	for _, text := range []string{"secrets.x", "${{ secrets.x }}", "failure()", "a ${{ b", "${{ github. }}"} {
		if _, _, err := expr.CheckCondition(text, allow); err == nil {
			t.Errorf("%q passed", text)
		}
	}
}
