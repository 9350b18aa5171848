package workflow_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"otelrunner/runner/workflow"
	"otelrunner/runner/workflow/expr"
)

// matrixOf parses a matrix; text is indented by two spaces.
func matrixOf(t *testing.T, text string) (*workflow.Job, error) {
	t.Helper()
	file := "on: push\njobs:\n job:\n  runs-on: x\n  steps: [{run: x}]\n  strategy:\n   matrix: " + strings.ReplaceAll(text, "\n", "\n     ") + "\n"
	w, err := workflow.Parse("m.yml", []byte(file))
	if err != nil {
		return nil, err
	}
	return w.Jobs[0], nil
}

func evalMatrix(text string) (any, error) {
	return expr.EvalText(text, &expr.Context{
		Values: map[string]any{"needs": map[string]any{"set": map[string]any{"outputs": map[string]any{
			"list":  `["x", "y"]`,
			"whole": `{"os": ["linux", "mac"], "include": [{"os": "linux", "fast": true}], "exclude": [{"os": "mac"}]}`,
		}}}, "vars": map[string]any{"v": "1.2"}},
		Allow: workflow.Availability("jobs.<job_id>.strategy"),
	})
}

func TestExpand(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string // the combination as JSON, its suffix
	}{
		{"order", "{os: [linux, mac], n: [12, 14]}", []string{
			`{"os":"linux","n":12} (linux, 12)`, `{"os":"linux","n":14} (linux, 14)`, `{"os":"mac","n":12} (mac, 12)`, `{"os":"mac","n":14} (mac, 14)`}},
		{"types", "{v: [1.10, '1.10', true, 'true', null, 017, 1_0, ~]}", []string{
			`{"v":1.1} (1.1)`, `{"v":"1.10"} (1.10)`, `{"v":true} (true)`, `{"v":"true"} (true)`, `{"v":null}`, `{"v":17} (17)`, `{"v":"1_0"} (1_0)`, `{"v":null}`}},
		// the example of GitHub's documentation
		{"include", `
fruit: [apple, pear]
animal: [cat, dog]
include:
  - {color: green}
  - {color: pink, animal: cat}
  - {fruit: apple, shape: circle}
  - {fruit: banana}
  - {fruit: banana, animal: cat}`, []string{
			`{"fruit":"apple","animal":"cat","color":"pink","shape":"circle"} (apple, cat, pink, circle)`,
			`{"fruit":"apple","animal":"dog","color":"green","shape":"circle"} (apple, dog, green, circle)`,
			`{"fruit":"pear","animal":"cat","color":"pink"} (pear, cat, pink)`,
			`{"fruit":"pear","animal":"dog","color":"green"} (pear, dog, green)`,
			`{"fruit":"banana"} (banana)`, `{"fruit":"banana","animal":"cat"} (banana, cat)`}},
		{"include alone", "{include: [{os: a, n: 1}, {os: b}]}", []string{`{"os":"a","n":1} (a, 1)`, `{"os":"b"} (b)`}},
		{"exclude", "{os: [linux, mac], n: [12, 14], exclude: [{os: mac, n: 12}, {n: '14', os: LINUX}]}", []string{`{"os":"linux","n":12} (linux, 12)`, `{"os":"mac","n":14} (mac, 14)`}},
		{"exclude a part", "{os: [linux, mac], n: [1, 2], exclude: [{os: mac}]}", []string{`{"os":"linux","n":1} (linux, 1)`, `{"os":"linux","n":2} (linux, 2)`}},
		{"exclude before include", "{os: [a, b], exclude: [{os: a}], include: [{os: a, x: 1}]}", []string{`{"os":"b"} (b)`, `{"os":"a","x":1} (a, 1)`}},
		{"everything excluded", "{os: [a], exclude: [{os: a}]}", nil},
		{"objects", "{t: [{os: linux, arch: {n: arm}}, {os: mac}], exclude: [{t: {os: mac}}], include: [{t: {os: linux}, z: 1}]}", []string{`{"t":{"os":"linux","arch":{"n":"arm"}},"z":1} (linux, arm, 1)`}},
		{"lists", "{l: [[1, 2], [3]], exclude: [{l: [1]}]}", []string{`{"l":[1,2]} (1, 2)`, `{"l":[3]} (3)`}},
		{"expression for a key", "{a: '${{ fromJSON(needs.set.outputs.list) }}', b: ['v${{ vars.v }}']}", []string{`{"a":"x","b":"v1.2"} (x, v1.2)`, `{"a":"y","b":"v1.2"} (y, v1.2)`}},
		{"expression within", "{a: [{deep: ['${{ fromJSON(vars.v) }}']}]}", []string{`{"a":{"deep":[1.2]}} (1.2)`}},
		{"expression for the whole", "${{ fromJSON(needs.set.outputs.whole) }}", []string{`{"os":"linux","fast":true} (linux, true)`}},
		{"include by expression", "{os: [a], include: \"${{ fromJSON('[{\\\"os\\\":\\\"b\\\"}]') }}\"}", []string{`{"os":"a"} (a)`, `{"os":"b"} (b)`}},
		{"keys without case", "{OS: [linux], include: [{os: Linux, x: 1}]}", []string{`{"OS":"linux","x":1} (linux, 1)`}},
		{"no matrix", "", []string{"null"}},
	} {
		j, err := matrixOf(t, c.text)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		combos, err := j.Strategy.Matrix.Expand(evalMatrix)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, co := range combos {
			s := "null"
			if co.Values != nil {
				b, _ := co.Values.MarshalJSON()
				s = string(b)
			}
			got = append(got, s+co.Suffix)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

func TestExpandErrors(t *testing.T) {
	many := "{a: [" + strings.Repeat("1,", 17) + "], b: [" + strings.Repeat("1,", 17) + "]}"
	for text, want := range map[string]string{
		"{os: [a], exclude: [{so: a}]}":       `exclude[0]: the matrix has no key "so"; did you mean "os"?`,
		"{os: '${{ vars.v }}'}":               `matrix.os: expected a list, the expression gave String "1.2"`,
		"${{ vars.v }}":                       "matrix: expected an object, the expression gave String",
		"${{ fromJSON('{\"a\":1}') }}":        "matrix.a: expected a list",
		"${{ fromJSON('{\"a\":[]}') }}":       "matrix.a: the list is empty",
		"${{ fromJSON('{}') }}":               "at least one key",
		"{os: '${{ fromJSON(needs.no.x) }}'}": "matrix.os: Error parsing fromJSON",
		"{exclude: [{a: 1}]}":                 "at least one key",
		many:                                  "it makes 289 jobs; at most 256",
		strings.Replace(many, "}", ", c: ["+strings.Repeat("1,", 99)+"]}", 1): "more than 16384 combinations",
	} {
		j, err := matrixOf(t, text)
		if err != nil {
			t.Errorf("%.50s: %v", text, err)
			continue
		}
		_, err = j.Strategy.Matrix.Expand(evalMatrix)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.50s: %v, want %q", text, err, want)
		}
	}
}

func TestDisplayName(t *testing.T) {
	c := workflow.Combination{Suffix: " (linux, 12)"}
	long := workflow.Combination{Suffix: " (" + strings.Repeat("é", 200) + ")"}
	for _, x := range []struct {
		written, evaluated string
		c                  workflow.Combination
		want               string
	}{
		{"", "", c, "build (linux, 12)"}, {"Build", "Build", c, "Build (linux, 12)"}, {"Build ${{ matrix.os }}", "Build linux", c, "Build linux"}, {"", "", workflow.Combination{}, "build"},
		{"", "", long, "build (" + strings.Repeat("é", 90) + "..."},
	} {
		j := &workflow.Job{ID: "build", Name: x.written}
		if got := j.DisplayName(x.evaluated, x.c); got != x.want {
			t.Errorf("%q: %q, want %q", x.written, got, x.want)
		}
	}
}

func TestInputValues(t *testing.T) {
	in := []workflow.Input{
		{Name: "s", Type: "string"}, {Name: "sd", Type: "string", Default: 1.5}, {Name: "b", Type: "boolean"}, {Name: "bd", Type: "boolean", Default: true},
		{Name: "n", Type: "number"}, {Name: "nd", Type: "number", Default: 3.0}, {Name: "c", Type: "choice", Options: []string{"a", "b"}, Default: "a"}, {Name: "e", Type: "string", Default: "${{ github.ref }}"},
	}
	eval := func(string) (any, error) { return "refs/heads/main", nil }
	for _, c := range []struct {
		given map[string]any
		want  map[string]any
	}{
		{nil, map[string]any{"s": "", "sd": "1.5", "b": false, "bd": true, "n": 0.0, "nd": 3.0, "c": "a", "e": "refs/heads/main"}},
		// workflow_dispatch: everything may come as text
		{map[string]any{"s": "x", "B": "true", "bd": "false", "n": "42", "nd": "1e3", "c": "b", "e": "", "other": 1}, map[string]any{"s": "x", "sd": "1.5", "b": true, "bd": false, "n": 42.0, "nd": 1000.0, "c": "b", "e": ""}},
		// workflow_call: typed
		{map[string]any{"s": 5.0, "b": true, "n": 7.0, "sd": nil, "e": "x"}, map[string]any{"s": "5", "sd": "1.5", "b": true, "bd": true, "n": 7.0, "nd": 3.0, "c": "a", "e": "x"}},
	} {
		got, err := workflow.InputValues(in, c.given, eval)
		if err != nil {
			t.Errorf("%v: %v", c.given, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%v: (-want +got)\n%s", c.given, diff)
		}
	}
	for given, want := range map[string]string{"b=maybe": `input "b": expected true or false, found "maybe"`, "n=x": `input "n": expected a number, found "x"`} {
		k, v, _ := strings.Cut(given, "=")
		if _, err := workflow.InputValues(in, map[string]any{k: v}, nil); err == nil || err.Error() != want {
			t.Errorf("%s: %v", given, err)
		}
	}
	broken := func(string) (any, error) { return nil, errors.New("broken") }
	if _, err := workflow.InputValues(in, nil, broken); err == nil || !strings.Contains(err.Error(), `the default of input "e": broken`) {
		t.Error(err)
	}
}

func TestCheckInputs(t *testing.T) {
	in := []workflow.Input{{Name: "who", Type: "string", Required: true}, {Name: "level", Type: "choice", Options: []string{"a", "b"}}, {Name: "d", Required: true, Default: "x", Type: "string"}}
	err := workflow.CheckInputs(in, map[string]any{"lvel": "a", "level": "c"})
	want := "input \"level\": expected one of a, b, found \"c\"\ninput \"who\" is required and was not given\nthe workflow has no input \"lvel\"; did you mean \"level\"?"
	if err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
	if err := workflow.CheckInputs(in, map[string]any{"WHO": "x", "level": "b"}); err != nil {
		t.Error(err)
	}
}

func TestAvailability(t *testing.T) {
	for key, want := range map[string]string{
		"jobs.<job_id>.steps.if":  "env gitea github inputs job matrix needs runner steps strategy vars; always cancelled failure hashFiles success",
		"jobs.<job_id>.steps.run": "env gitea github inputs job matrix needs runner secrets steps strategy vars; hashFiles",
		"jobs.<job_id>.if":        "gitea github inputs needs vars; always cancelled failure success",
		"run-name":                "gitea github inputs vars; ",
		"nonsense":                "; ",
	} {
		a := workflow.Availability(key)
		got := sortedWords(a.Contexts) + "; " + sortedWords(a.Functions)
		if got != want || a.Key != key {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

// What Gitea's own runner takes everywhere is taken here too, but for unknown
// names, and hashFiles where there is no workspace yet.
func TestTolerated(t *testing.T) {
	for key, want := range map[string]string{
		"jobs.<job_id>.steps.if":  "jobs secrets",
		"jobs.<job_id>.steps.run": "always cancelled failure jobs success",
		"jobs.<job_id>.if":        "env job jobs matrix runner secrets steps strategy",
		"jobs.<job_id>.runs-on":   "env job jobs runner secrets steps",
		"action.runs.steps":       "always cancelled failure jobs needs secrets success vars",
		"nonsense":                "",
	} {
		if got := sortedWords(workflow.Availability(key).Tolerated); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
}

func TestContainerFrom(t *testing.T) {
	value := func(src string) any {
		v, err := expr.Eval(src, &expr.Context{})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	c, err := workflow.ContainerFrom(value(`fromJSON('{"image":"a:1","ports":[80,"1:2"],"env":{"B":2},"credentials":{"username":"u","password":"p"},"volumes":"/v"}')`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%v %v %v %v %v", c.Image, c.Ports, c.Volumes, c.Env.List[0].Value, *c.Credentials), "a:1 [80 1:2] [/v] 2 {u p}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, none := range []any{nil, "", value("fromJSON('{}')")} {
		if c, err := workflow.ContainerFrom(none); c != nil || err != nil {
			t.Errorf("%v: %v %v", none, c, err)
		}
	}
	if _, err := workflow.ContainerFrom(5.0); err == nil {
		t.Error("a number passed")
	}
	s, err := workflow.ServicesFrom(value(`fromJSON('{"z":"redis","a":{"image":"db"},"off":{"image":""}}')`))
	if err != nil || len(s) != 2 || s[0].ID+s[0].Image+s[1].ID != "zredisa" {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := workflow.ServicesFrom([]any{}); err == nil {
		t.Error("a list passed")
	}
}
