package expr_test

import (
	"errors"
	"strings"
	"testing"

	"otelrunner/runner/workflow/expr"
)

// TestMemoryIsBounded has expressions that are short and would make much.
func TestMemoryIsBounded(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	list := make([]any, 5000)
	for i := range list {
		list[i] = map[string]any{"v": list[:i:i]}
	}
	c := &expr.Context{Values: map[string]any{"big": big, "list": list}, MaxMemory: 1 << 20}
	tenfold := "format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', "
	for _, src := range []string{
		tenfold + "big)",
		tenfold + tenfold + tenfold + tenfold + "'" + strings.Repeat("x", 60) + "'))))",
		"join(fromJSON('[1,2,3,4,5,6,7,8,9,0,1,2,3,4]'), big)",
		"list.*.v.*.v.*.v.*",
		"toJSON(list)",
		"fromJSON(" + tenfold + "toJSON(big)))",
		"big && list.*.v.*",
	} {
		got, err := expr.Eval(src, c)
		var e *expr.Error
		if !errors.As(err, &e) || !strings.Contains(e.Msg, "memory size") && !strings.Contains(e.Msg, "deep") && !strings.Contains(e.Msg, "toJSON cannot") {
			t.Errorf("%.60s: %.60v, %v; want the memory error", src, got, err)
		}
	}
	// What an operation has used up is given back: a chain needs no more than
	// its largest link.
	if _, err := expr.Eval(strings.Repeat("big == 'x' || ", 100)+"big == big", c); err != nil {
		t.Error(err)
	}
	// The whole of a mixed text shares one bound.
	if _, err := expr.Interpolate(strings.Repeat("${{ format('{0}{0}{0}', big) }}", 5), c); err == nil {
		t.Error("a mixed text outgrew the bound")
	}
	if s, err := expr.Interpolate(strings.Repeat("${{ format('{0}{0}{0}', big) }}", 5), &expr.Context{Values: c.Values}); err != nil || len(s) != 1_500_000 {
		t.Error(len(s), err)
	}
}

func TestDeepJSON(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	c := &expr.Context{Values: map[string]any{"deep": deep}}
	if _, err := expr.Eval("fromJSON(deep)", c); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("%v", err)
	}
	cycle := map[string]any{}
	cycle["self"] = cycle
	if _, err := expr.Eval("toJSON(cycle)", &expr.Context{Values: map[string]any{"cycle": cycle}}); err == nil {
		t.Error("a cycle was written")
	}
	if got := string(expr.MarshalResult(cycle)); got != "null" {
		t.Errorf("a cycle became %.50s", got)
	}
}

// TestLengthIsOfCharacters has expressions that have more bytes than characters.
func TestLengthIsOfCharacters(t *testing.T) {
	for _, text := range []string{strings.Repeat("é", expr.MaxLength-2), strings.Repeat("😀", expr.MaxLength/2-1)} {
		if got, err := expr.Eval("'"+text+"'", &expr.Context{}); got != text || err != nil {
			t.Errorf("%.20v, %.80v", got, err)
		}
	}
}

func TestManyParentheses(t *testing.T) {
	n := expr.MaxLength/2 - 1
	if got, err := expr.Eval(strings.Repeat("(", n)+"1"+strings.Repeat(")", n), &expr.Context{}); got != 1.0 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := expr.Eval(strings.Repeat("!", 20000)+"1", &expr.Context{}); err == nil {
		t.Error("20,000 nots passed")
	}
}
