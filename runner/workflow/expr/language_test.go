package expr_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"otelrunner/runner/workflow/expr"
)

// obj and arr are two contexts that every case below may use.
func testContext() *expr.Context {
	yes := func() bool { return true }
	no := func() bool { return false }
	return &expr.Context{
		Values: map[string]any{
			"obj":    map[string]any{"a": 1.0, "B": "two", "list": []any{"x", "y"}, "empty": []any{}, "nil": nil},
			"obj2":   map[string]any{},
			"arr":    []any{"zero", 1.0, true, nil, map[string]any{"k": "v"}},
			"arr2":   []any{},
			"text":   "Hello",
			"num":    3.5,
			"github": map[string]any{"sha": "abc", "event": map[string]any{"labels": []any{map[string]any{"name": "bug"}, map[string]any{"name": "ui"}}}},
			"env":    expr.CaseSensitive{"Path": "p", "PATH": "q"},
			"vars":   map[string]string{"Color": "red"},
		},
		Success: yes, Failure: no, Cancelled: no,
		HashFiles: func(p []string) (string, error) {
			if p[0] == "bad" {
				return "", errors.New("the pattern is bad")
			}
			return "h:" + strings.Join(p, "|"), nil
		},
	}
}

// language are cases of the parts of the language that the conformance files
// do not have; the results are those of GitHub's runner.
var language = []struct {
	src  string
	want any
}{
	// literals
	{"null", nil}, {"true", true}, {"false", false}, {"'it''s'", "it's"}, {"''''", "'"}, {"''", ""},
	{"0xff", 255.0}, {"0xFFFFFFFF", -1.0}, {"0o17", 15.0}, {"1e3", 1000.0}, {"-1.5E-1", -0.15}, {"+7", 7.0}, {".5", 0.5}, {"5.", 5.0},
	{"-.5", -0.5}, {"1e999", math.Inf(1)}, {"Infinity", math.Inf(1)}, {"-Infinity", math.Inf(-1)}, {"+Infinity", math.Inf(1)}, {"  42\n", 42.0},
	// grouping and precedence
	{"(1)", 1.0}, {"((('x')))", "x"}, {"!(1 == 2)", true}, {"!1 == 2", false}, {"1 < 2 == true", true}, {"1 == 1 && 2 == 2", true},
	{"true || false && false", true}, {"(true || false) && false", false}, {"1 < 2 < 3", true}, {"3 > 2 > 1", false}, {"false == false == false", false},
	{"(obj).a", 1.0}, {"(obj['B'])", "two"},
	// != >= <= ||
	{"1 != 2", true}, {"'a' != 'A'", false}, {"NaN != NaN", true}, {"null != 0", false}, {"obj != obj", false}, {"obj != obj2", true}, {"arr != arr", false},
	{"2 >= 2", true}, {"'b' >= 'A'", true}, {"NaN >= NaN", false}, {"null >= 0", true}, {"obj >= obj", true}, {"obj >= obj2", false}, {"true >= 1", true}, {"'abc' >= 0", false},
	{"2 <= 2", true}, {"'a' <= 'B'", true}, {"NaN <= NaN", false}, {"null <= false", true}, {"'' <= 0", true}, {"'0x10' <= 15", false}, {"arr <= arr", true},
	{"false || 'x'", "x"}, {"0 || null", nil}, {"'' || 0 || 'last'", "last"}, {"'first' || fromJSON('bad')", "first"}, {"false && fromJSON('bad')", false}, {"1 || 2", 1.0},
	{"1 && 'x' || 'y'", "x"}, {"'' && 'x' || 'y'", "y"},
	// index and property
	{"obj.b", "two"}, {"obj['A']", 1.0}, {"obj[null]", nil}, {"obj.missing", nil}, {"obj.missing.deeper", nil}, {"obj['nil']", nil},
	{"arr[0]", "zero"}, {"arr['1']", 1.0}, {"arr[1.9]", 1.0}, {"arr[true]", 1.0}, {"arr[-1]", nil}, {"arr[99]", nil}, {"arr['x']", nil}, {"arr[4].k", "v"}, {"arr.k", nil},
	{"text.x", nil}, {"text[0]", nil}, {"num.x", nil}, {"obj . a", 1.0}, {"obj [ 'a' ]", 1.0}, {"obj[format('{0}', 'a')]", 1.0}, {"obj.list[1]", "y"},
	{"github.event.labels.*.name", []any{"bug", "ui"}}, {"github.event.labels[*]['NAME']", []any{"bug", "ui"}}, {"github.event.labels.*.name[0]", []any{}},
	{"arr.*", []any{"zero", 1.0, true, nil, map[string]any{"k": "v"}}}, {"arr.*.k", []any{"v"}}, {"obj.*[0]", []any{"x"}}, {"obj.list.*", []any{"x", "y"}}, {"text.*", []any{}},
	{"join(obj.list.*, '+')", "x+y"}, {"contains(github.event.labels.*.name, 'BUG')", true}, {"env.PATH", "q"}, {"env.Path", "p"}, {"env.path", nil}, {"vars.COLOR", "red"}, {"GitHub.SHA", "abc"},
	{"obj.list == obj.list", true}, {"obj.empty == obj.empty", true}, {"obj.empty == arr2", false}, {"fromJSON('[]') == fromJSON('[]')", false}, {"github == GITHUB", true}, {"obj.* == obj.*", false},
	{"'ａ' > '😊'", true}, {"'😊' > 'z'", true}, {"'ß' == 'SS'", false}, {"'ﬀ' == 'FF'", false}, {"'\u212a' == 'k'", false},
	{"fromJSON('[[],[]]')[0] == fromJSON('[[],[]]')[0]", false},
	// endsWith
	{"endsWith('abcdef', 'DEF')", true}, {"endsWith('abcdef', 'abc')", false}, {"endsWith('abc', '')", true}, {"endsWith(1234, 34)", true}, {"endsWith('x', null)", true},
	{"endsWith(arr, 'x')", false}, {"endsWith('x', arr)", false}, {"endsWith('ΟΔΟΣ', 'δος')", true}, {"endsWith('ſ', 's')", false},
	// contains
	{"contains(obj, 'a')", false}, {"contains(arr, 'ZERO')", true}, {"contains(arr, '1')", true}, {"contains(arr, obj)", false}, {"contains('abc', arr)", false}, {"contains(null, '')", true},
	{"contains(arr2, null)", false}, {"contains(fromJSON('[\"push\", \"pull_request\"]'), 'push')", true},
	// format and join
	{"format('{0:yes}', 'x') == '' || 'err'", nil}, {"format('{1}{0}', 'a', 'b')", "ba"}, {"format('x', fromJSON('bad'))", "x"}, {"format('{0} {0}', text)", "Hello Hello"},
	{"join(arr, '-')", "zero-1-true--Object"}, {"join(arr2, '-')", ""}, {"join(text, '-')", "Hello"}, {"join(fromJSON('[1]'), fromJSON('bad'))", "1"},
	// toJSON
	{"toJSON(null)", "null"}, {"toJSON(true)", "true"}, {"toJSON(1.50)", "1.5"}, {"toJSON(NaN)", "NaN"}, {"toJSON(-Infinity)", "-Infinity"}, {"toJSON(-0)", "0"},
	{"toJSON('a\"b\\c')", `"a\"b\\c"`}, {"toJSON('é<>&/\t\n\u0001\u2028')", `"é<>&/\t\n\u0001\u2028"`},
	{"toJSON(arr2)", "[]"}, {"toJSON(obj2)", "{}"}, {"toJSON(arr[4])", "{\n  \"k\": \"v\"\n}"}, {"toJSON(fromJSON('{\"z\":1,\"a\":[[],{}]}'))", "{\n  \"z\": 1,\n  \"a\": [\n    [],\n    {}\n  ]\n}"},
	{"toJSON(obj.list)", "[\n  \"x\",\n  \"y\"\n]"}, {"toJSON(vars)", "{\n  \"Color\": \"red\"\n}"},
	// fromJSON
	{"fromJSON('1e2')", 100.0}, {"fromJSON(' \"x\" ')", "x"}, {"fromJSON('null')", nil}, {"fromJSON('{\"A\":{\"b\":2}}').a.B", 2.0}, {"fromJSON('[1,[2]]')[1][0]", 2.0}, {"fromJSON(true)", true},
	{"fromJSON(toJSON(Infinity))", math.Inf(1)}, {"fromJSON('[-1e999]')[0]", math.Inf(-1)}, {"fromJSON('-0') == 0", true}, {"fromJSON('{\"a\":1,\"A\":2}').a", 2.0}, {`fromJSON('"\u00e9"')`, "é"}, {"fromJSON('12') == 12", true},
	// case
	{"case(true, 'a', 'b')", "a"}, {"case(false, 'a', 'b')", "b"}, {"case(false, 1, num > 3, 2, 3)", 2.0}, {"CASE(true, 'a', fromJSON('bad'))", "a"}, {"case(false, fromJSON('bad'), obj.a)", 1.0},
	// status and hashFiles
	{"success()", true}, {"FAILURE()", false}, {"cancelled()", false}, {"always()", true}, {"success() && 'deploy'", "deploy"}, {"!cancelled()", true},
	{"hashFiles('**/go.sum')", "h:**/go.sum"}, {"hashfiles('a', 'b')", "h:a|b"}, {"format('k-{0}', hashFiles('x'))", "k-h:x"},
	// names of functions and constants are no reserved words for properties
	{"fromJSON('{\"case\":1}').case", 1.0}, {"fromJSON('{\"success\":{\"x\":2}}').success.x", 2.0},
}

func TestLanguage(t *testing.T) {
	for _, c := range language {
		if strings.Contains(c.src, "'err'") {
			continue // in TestErrors
		}
		got, err := expr.Eval(c.src, testContext())
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		if diff := cmp.Diff(c.want, expr.Plain(got), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.src, diff)
		}
	}
}

var errorCases = []struct {
	src  string
	kind expr.ErrorKind
	pos  int
	want string // in the message
}{
	{"obj.a +", expr.Lexing, 6, "Unexpected symbol: '+'. Located at position 7"},
	{"1 + 2", expr.Lexing, 2, "no arithmetic"},
	{`"x"`, expr.Lexing, 0, "single quotes"},
	{"'x", expr.Lexing, 0, "not closed"},
	{"text = 'x'", expr.Lexing, 5, "Equality is written =="},
	{"${{ text }}", expr.Lexing, 0, "named without ${{ }}"},
	{"1x", expr.Lexing, 0, "'1x'"},
	{"0x1FFFFFFFF", expr.Lexing, 0, "'0x1FFFFFFFF'"},
	{"-", expr.Lexing, 0, "'-'"},
	{"()", expr.Parsing, 1, "')'"},
	{"(1", expr.Parsing, 1, "Unexpected end of expression: '1'"},
	{"(1]", expr.Parsing, 2, "']'"},
	{"obj[1)", expr.Parsing, 5, "')'"},
	{"obj[]", expr.Parsing, 4, "']'"},
	{"obj.", expr.Parsing, 3, "Unexpected end"},
	{"obj[**]", expr.Parsing, 5, "'*'"},
	{"*", expr.Parsing, 0, "'*'"},
	{"1.x", expr.Lexing, 0, "'1.x'"},
	{"'a'.b", expr.Parsing, 3, "'.'"},
	{"true[0]", expr.Parsing, 4, "'['"},
	{"1, 2", expr.Parsing, 1, "','"},
	{"join(1,)", expr.Parsing, 7, "')'"},
	{"join(,1)", expr.Parsing, 5, "','"},
	{"1 !2", expr.Parsing, 2, "'!'"},
	{"&& 1", expr.Parsing, 0, "'&&'"},
	{"1 && ", expr.Parsing, 2, "Unexpected end of expression: '&&'"},
	{"true false", expr.Parsing, 5, "'false'"},
	{"True", expr.Parsing, 0, "Unrecognized named-value: 'True'"},
	{"githbu.sha", expr.Parsing, 0, "Did you mean 'github'? Available here: arr, arr2, env, github"},
	{"é == text && nope", expr.Lexing, 0, "Located at position 1"},
	{"text == 'é' && nope", expr.Parsing, 16, "Located at position 16 within"},
	{"contain(text, 'x')", expr.Parsing, 0, "Did you mean 'contains'?"},
	{"frobnicate()", expr.Parsing, 0, "Unrecognized function: 'frobnicate'"},
	{"success", expr.Parsing, 0, "To call the function, write success()"},
	{"success('build')", expr.Parsing, 0, "Too many parameters supplied: 'success'"},
	{"always(1)", expr.Parsing, 0, "Too many parameters"},
	{"toJSON()", expr.Parsing, 0, "Too few parameters supplied: 'toJSON'"},
	{"endsWith('a')", expr.Parsing, 0, "endsWith(text, end)"},
	{"hashFiles()", expr.Parsing, 0, "Too few"},
	{"case(true, 1)", expr.Parsing, 0, "Too few"},
	{"case(true, 1, false, 2)", expr.Parsing, 0, "Even number of parameters"},
	{"case('x', 1, 2)", expr.Evaluation, 5, "must evaluate to a boolean"},
	{"fromJSON('')", expr.Evaluation, 0, "The text is empty"},
	{"1 == 1 && fromJSON('{')", expr.Evaluation, 10, "Error parsing fromJSON"},
	{"fromJSON('[1,]')", expr.Evaluation, 0, "fromJSON"},
	{"fromJSON('1 2')", expr.Evaluation, 0, "more after the end"},
	{"fromJSON('{\"a\" 1}')", expr.Evaluation, 0, "at character"},
	{"format('{0:yes}', 'x') == '' || 'err'", expr.Evaluation, 0, "format specifiers 'yes' are not valid for objects of type 'String'"},
	{"format('{256}', 1)", expr.Evaluation, 0, "invalid"},
	{"format('{a}', 1)", expr.Evaluation, 0, "invalid"},
	{"hashFiles('bad')", expr.Evaluation, 0, "the pattern is bad"},
	{"'" + strings.Repeat("x", expr.MaxLength) + "'", expr.Parsing, -1, "Exceeded max expression length 21000"},
	{"'" + strings.Repeat("😀", expr.MaxLength/2) + "'", expr.Parsing, -1, "Exceeded max expression length 21000"},
}

func TestErrors(t *testing.T) {
	for _, c := range errorCases {
		got, err := expr.Eval(c.src, testContext())
		var e *expr.Error
		if !errors.As(err, &e) {
			t.Errorf("%.60s: got %v, %v; want an error with %q", c.src, got, err, c.want)
			continue
		}
		if e.Kind != c.kind || e.Pos != c.pos || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %s at %d, want %s at %d with %q:\n%v", c.src, e.Kind, e.Pos, c.kind, c.pos, c.want, err)
		}
	}
}

func TestFunctionsThatAreNotThere(t *testing.T) {
	for _, src := range []string{"success()", "always()", "failure()", "cancelled()", "hashFiles('x')"} {
		if _, err := expr.Eval(src, &expr.Context{}); err == nil || !strings.Contains(err.Error(), "may not be used here") {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func TestAllow(t *testing.T) {
	c := testContext()
	c.Allow = &expr.Allow{Key: "jobs.<job_id>.name", Contexts: []string{"github", "matrix"}, Functions: []string{"success"}}
	for src, want := range map[string]string{
		"env.PATH":       "Available in jobs.<job_id>.name: github, matrix",
		"hashFiles('x')": "hashFiles() may not be used in jobs.<job_id>.name",
		"always()":       "always() may not be used in",
	} {
		if _, err := expr.Eval(src, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
	// Allowed, but without a value: null.
	if got, err := expr.Eval("matrix.os", c); got != nil || err != nil {
		t.Errorf("matrix.os: %v, %v", got, err)
	}
	if err := expr.Check("github.sha && success()", c.Allow); err != nil {
		t.Error(err)
	}
	if err := expr.Check("github.sha && nope", c.Allow); err == nil {
		t.Error("Check let an unknown context pass")
	}
}

func TestTolerated(t *testing.T) {
	c := testContext()
	var told []string
	c.Misplaced = func(name string) { told = append(told, name) }
	c.Allow = &expr.Allow{Key: "k", Contexts: []string{"github"}, Tolerated: []string{"matrix", "env", "failure", "hashFiles"}}
	c.Success, c.Failure, c.HashFiles = func() bool { return true }, func() bool { return true }, nil
	delete(c.Values, "matrix")
	for src, want := range map[string]any{"matrix.os": nil, "ENV.path == 'x' || true": true, "failure()": true} {
		if got, err := expr.Eval(src, c); got != want || err != nil {
			t.Errorf("%s: %v, %v", src, got, err)
		}
	}
	slices.Sort(told)
	if got := strings.Join(told, " "); got != "ENV failure matrix" {
		t.Errorf("told of %s", got)
	}
	// What is not there cannot be tolerated; messages name what is right.
	for src, want := range map[string]string{"nope.x": "Available in k: github", "hashFiles('x')": "hashFiles() may not be used in k", "success()": "Unrecognized function"} {
		if _, err := expr.Eval(src, c); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "matrix") {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
	for text, want := range map[string]string{
		"a ${{ github.sha }} ${{ matrix.a }}${{ env.B || matrix.c }}": "matrix env", "matrix.os": "",
	} {
		if got, err := expr.CheckText(text, c.Allow); strings.Join(got, " ") != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"${{ nope }} ${{ env.A }}", "${{ env.A"} {
		if got, err := expr.CheckText(text, c.Allow); err == nil {
			t.Errorf("%s: %q, want an error", text, got)
		}
	}
	for _, text := range []string{"matrix.os == 'x'", "${{ matrix.os == 'x' }}"} {
		if _, got, err := expr.CheckCondition(text, c.Allow); len(got) != 1 || err != nil {
			t.Errorf("the condition %s: %v, %v", text, got, err)
		}
	}
}

func TestNumbersAsText(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1: "-1", 0.1: "0.1", 1.0 / 3: "0.333333333333333", 2.0 / 3: "0.666666666666667", 100000: "100000",
		1e14: "100000000000000", 999999999999999: "999999999999999", 1e15: "1E+15", 1.5e15: "1.5E+15", -1e21: "-1E+21", 1e100: "1E+100", 123456789012345678: "1.23456789012346E+17",
		0.0001: "0.0001", 0.00001: "1E-05", 1.25e-7: "1.25E-07", 1e-300: "1E-300", 12345.678: "12345.678", 9007199254740993: "9.00719925474099E+15", 99999999999999.95: "100000000000000",
		math.Inf(1): "Infinity", math.Inf(-1): "-Infinity",
	} {
		if got := expr.Text(f); got != want {
			t.Errorf("%v: got %s, want %s", f, got, want)
		}
	}
	if got := expr.Text(math.Copysign(0, -1)); got != "0" {
		t.Errorf("-0: %s", got)
	}
}

func TestGoValues(t *testing.T) {
	type word string
	for _, c := range []struct {
		in         any
		kind, text string
		truthy     bool
	}{
		{nil, "Null", "", false}, {true, "Boolean", "true", true}, {7, "Number", "7", true}, {int64(0), "Number", "0", false}, {uint8(3), "Number", "3", true}, {float32(0.5), "Number", "0.5", true},
		{"", "String", "", false}, {"0", "String", "0", true}, {word("w"), "String", "w", true}, {math.NaN(), "Number", "NaN", false},
		{[]string{"a"}, "Array", "Array", true}, {[]any{}, "Array", "Array", true}, {[]int{1}, "Array", "Array", true},
		{map[string]any{}, "Object", "Object", true}, {map[string]string{}, "Object", "Object", true}, {expr.NewObject("a", 1), "Object", "Object", true}, {expr.CaseSensitive{}, "Object", "Object", true},
	} {
		if k, s, b := expr.KindOf(c.in), expr.Text(c.in), expr.Truthy(c.in); k != c.kind || s != c.text || b != c.truthy {
			t.Errorf("%#v: %s %q %v, want %s %q %v", c.in, k, s, b, c.kind, c.text, c.truthy)
		}
	}
}

func TestMarshalResult(t *testing.T) {
	for src, want := range map[string]string{
		"1":                                `{"kind":"Number","value":1}`,
		"NaN":                              `{"kind":"Number","value":"NaN"}`,
		"0.30000000000000004":              `{"kind":"Number","value":0.30000000000000004}`,
		"9007199254740991":                 `{"kind":"Number","value":9007199254740991}`,
		"null":                             `{"kind":"Null","value":null}`,
		"'<é>'":                            `{"kind":"String","value":"<é>"}`,
		`fromJSON('{"b":[1,{"a":null}]}')`: `{"kind":"Object","value":{"b":[1,{"a":null}]}}`,
		"text.*":                           `{"kind":"Array","value":[]}`,
	} {
		v, err := expr.Eval(src, testContext())
		if got := string(expr.MarshalResult(v)); err != nil || got != want {
			t.Errorf("%s: %s (%v), want %s", src, got, err, want)
		}
	}
}
