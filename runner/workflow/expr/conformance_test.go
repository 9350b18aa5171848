package expr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"otelrunner/runner/workflow/expr"
)

// conformanceCases is how many cases lie in testdata/conformance; the count is
// kept so that a file that is lost or not read does not pass for a success.
const conformanceCases = 681

type conformanceCase struct {
	Expr     string
	Contexts map[string]any
	Result   *struct {
		Kind  string
		Value any
	}
	Err *struct{ Kind, Value string }
}

func TestConformance(t *testing.T) {
	files, err := filepath.Glob("testdata/conformance/*.json")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var groups map[string][]conformanceCase
		if err := json.Unmarshal(data, &groups); err != nil {
			t.Fatal(f, err)
		}
		for g, cases := range groups {
			for i, c := range cases {
				n++
				name := fmt.Sprintf("%s/%s/%d", strings.TrimSuffix(filepath.Base(f), ".json"), g, i)
				t.Run(name, func(t *testing.T) { runConformance(t, c) })
			}
		}
	}
	if n != conformanceCases {
		t.Errorf("%d cases were found, want %d", n, conformanceCases)
	}
}

func runConformance(t *testing.T, c conformanceCase) {
	got, err := expr.Eval(c.Expr, &expr.Context{Values: c.Contexts})
	if c.Err != nil {
		checkConformanceError(t, c, got, err)
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", c.Expr, err)
	}
	if k := expr.KindOf(got); k != c.Result.Kind {
		t.Errorf("%s: kind is %s, want %s", c.Expr, k, c.Result.Kind)
	}
	if diff := cmp.Diff(c.Result.Value, expr.Plain(got)); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", c.Expr, diff)
	}
}

// unplaced are the sentences of the suite that end before a place, or that give
// a place which GitHub's own runner does not.
var unplaced = []string{"Too few", "Too many", "Unrecognized function", "Exceeded", "The maximum"}

func checkConformanceError(t *testing.T, c conformanceCase, got any, err error) {
	t.Helper()
	var e *expr.Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: got %v (%v), want the error %q", c.Expr, got, err, c.Err.Value)
	}
	if string(e.Kind) != c.Err.Kind {
		t.Errorf("%s: error of kind %s, want %s", c.Expr, e.Kind, c.Err.Kind)
	}
	want := c.Err.Value
	for _, u := range unplaced {
		if strings.HasPrefix(want, u) {
			want, _, _ = strings.Cut(want, " Located at")
			want = strings.TrimSuffix(want, ".")
		}
	}
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%s:\n got %s\nwant %s", c.Expr, err, want)
	}
	if !strings.HasPrefix(e.Msg, "Exceeded") && !strings.Contains(err.Error(), "Located at position") {
		t.Errorf("%s: no position in %q", c.Expr, err)
	}
}

func TestNumberResultsAreFloats(t *testing.T) {
	got, err := expr.Eval("1", &expr.Context{})
	if f, ok := got.(float64); err != nil || !ok || f != 1 {
		t.Errorf("got %T %v, %v", got, got, err)
	}
	got, err = expr.Eval("NaN", &expr.Context{})
	if f, ok := got.(float64); err != nil || !ok || !math.IsNaN(f) {
		t.Errorf("got %T %v, %v", got, got, err)
	}
}
