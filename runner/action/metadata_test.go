package action_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"otelrunner/runner/action"
	"otelrunner/runner/workflow"
)

func TestParseMetadataNode(t *testing.T) {
	m, err := action.ParseMetadata("action.yml", "sub/save", []byte(`
name: 'Save'
description: saves
author: A
branding: {icon: x, color: red}
inputs:
  path:
    description: what
    required: true
  Retries:
    default: 3
  flag:
    default: true
    required: 'true'
    deprecationMessage: use path
  none:
outputs:
  hit:
    description: whether
runs:
  using: Node20
  main: ../../dist/save/index.js
  pre: ./pre.js
  post: 'post.js'
  post-if: success()
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &action.Metadata{
		File: "action.yml", Name: "Save", Description: "saves",
		Inputs: []action.Input{
			{Name: "path", Description: "what", Required: true},
			{Name: "Retries", Default: "3", HasDefault: true},
			{Name: "flag", Default: "true", HasDefault: true, Required: true, DeprecationMessage: "use path"},
			{Name: "none"},
		},
		Outputs: []action.Output{{Name: "hit", Description: "whether"}},
		Runs: action.Runs{Using: action.NodeJS, Node: 20, Main: "../../dist/save/index.js", Pre: "pre.js",
			Post: "post.js", PostIf: "success()"},
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Error(d)
	}
}

func TestParseMetadataComposite(t *testing.T) {
	m, err := action.ParseMetadata("a.yml", "", []byte(`name: C
outputs:
  sum: {value: "${{ steps.add.outputs.sum }}"}
runs:
  using: composite
  steps:
    - &first
      id: add
      name: Add
      if: inputs.x == 1
      run: |
        echo sum=3 >> $GITHUB_OUTPUT
      shell: bash
      working-directory: ${{ github.action_path }}
      env: {N: 1, B: true, S: "2"}
    - uses: actions/cache@v4
      with: {path: x}
      continue-on-error: true
`))
	if err != nil {
		t.Fatal(err)
	}
	steps := m.Runs.Steps
	if len(steps) != 2 || m.Outputs[0].Value != "${{ steps.add.outputs.sum }}" {
		t.Fatalf("got %d steps, outputs %+v", len(steps), m.Outputs)
	}
	env := workflow.Vars{
		Pos: workflow.Pos{Line: 15, Column: 12},
		List: []workflow.Var{
			{Name: "N", Value: "1", Kind: "Number", Pos: workflow.Pos{Line: 15, Column: 16}},
			{Name: "B", Value: "true", Kind: "Boolean", Pos: workflow.Pos{Line: 15, Column: 22}},
			{Name: "S", Value: "2", Kind: "String", Pos: workflow.Pos{Line: 15, Column: 31}},
		},
	}
	if d := cmp.Diff(env, steps[0].Env); d != "" {
		t.Error(d)
	}
	if s := steps[0]; s.ID != "add" || !s.IsRun || s.Shell != "bash" || s.If != "inputs.x == 1" || s.WorkingDirectory != "${{ github.action_path }}" {
		t.Errorf("first step: %+v", s)
	}
	if s := steps[1]; s.Index != 1 || s.IsRun || s.Uses != "actions/cache@v4" || s.ContinueOnError != "true" {
		t.Errorf("second step: %+v", s)
	}
}

func TestParseMetadataDockerAndWASM(t *testing.T) {
	m, err := action.ParseMetadata("a.yml", "", []byte(`
runs:
  using: docker
  image: Docker://alpine:3
  entrypoint: /main.sh
  pre-entrypoint: /pre.sh
  post-entrypoint: /post.sh
  post-if: failure()
  args: [a, "${{ inputs.b }}", 3]
  env: {K: v}
`))
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Runs; r.Using != action.DockerImage || r.Image != "docker://alpine:3" || r.Entrypoint != "/main.sh" ||
		r.PreEntrypoint != "/pre.sh" || r.PostEntrypoint != "/post.sh" || r.PostIf != "failure()" ||
		!slices.Equal(r.Args, []string{"a", "${{ inputs.b }}", "3"}) || r.Env.List[0].Value != "v" {
		t.Errorf("docker: %+v", r)
	}
	m, err = action.ParseMetadata("a.yml", "", []byte("runs: {using: wasm, main: t.wasm, args: [x], env: {A: b}, pre: p.wasm, post: q.wasm}"))
	if err != nil {
		t.Fatal(err)
	}
	if r := m.Runs; r.Using != action.WASMModule || r.Main != "t.wasm" || r.Pre != "p.wasm" || r.Post != "q.wasm" || len(r.Args) != 1 {
		t.Errorf("wasm: %+v", r)
	}
}

func TestParseMetadataErrors(t *testing.T) {
	tests := map[string]string{
		"":                                        `a.yml: expected a mapping with name`,
		"- x":                                     `a.yml:1:1: expected a mapping with name, description, inputs, outputs and runs, found a list`,
		"name: [":                                 `a.yml:`,
		"a: b\n c: d":                             `is not YAML`,
		"name: x":                                 `a.yml:1:1: has no 'runs' section`,
		"runs:":                                   `a.yml:1:1: runs: expected a mapping`,
		"runs: {main: x}":                         `has no 'using'`,
		"runs:\n  using: python":                  `a.yml:2:10: runs: using "python" is not supported; supported are composite, node12 to node24, docker and wasm`,
		"runs: {using: node10}":                   `using "node10" is not supported`,
		"runs: {using: node99}":                   `using "node99" is not supported`,
		"runs: {using: node20}":                   `has no 'main'`,
		"runs: {using: composite}":                `needs 'steps'`,
		"runs: {using: docker}":                   `needs 'image'`,
		"runs: {using: [x]}":                      `using: expected a text, found a list`,
		"name: {a: b}\nruns: {}":                  `a.yml:1:7: name: expected a text, found a mapping`,
		"inputs: [x]\nruns: {}":                   `inputs: expected a mapping, found a list`,
		"inputs: {a: x}\nruns: {}":                `input a: expected a mapping, found the text "x"`,
		"inputs: {a: {}, A: {}}":                  `a.yml:1:17: input "A" is defined twice (as "a" before)`,
		"name: x\nname: y":                        `the key "name" stands twice`,
		"inputs: {a: {required: 7}}":              `expected true or false, found "7"`,
		"runs: &a\n  using: *a\n":                 `found a mapping`,
		"runs: {using: node20, main: /abs.js}":    `is outside the action's repository`,
		"runs: {using: node20, main: ../../x.js}": `is outside the action's repository`,
		"runs: {using: node20, main: a.js, post: 'C:\\x.js'}":                   `post: "C:/x.js" is outside`,
		"runs: {using: node20, main: '..\\..\\x.js'}":                           `is outside the action's repository`,
		"runs: {using: node20, main: .}":                                        `is the action's folder`,
		"runs: {using: docker, image: ../../Dockerfile}":                        `is outside`,
		"runs: {using: docker, image: 'docker://'}":                             `names nothing`,
		"runs: {using: docker, image: x, args: y}":                              `args: expected a list, found the text "y"`,
		"runs: {using: composite, steps: {a: b}}":                               `steps: expected a list`,
		"runs: {using: composite, steps: [{run: x}]}":                           `needs 'shell'`,
		"runs: {using: composite, steps: [{name: x}]}":                          `has neither`,
		"runs: {using: composite, steps: [{run: x, uses: y}]}":                  `has both`,
		"runs: {using: composite, steps: [null]}":                               `found nothing`,
		"runs: {using: composite, steps: [{id: a, uses: x}, {id: a, uses: x}]}": `the id "a" stands at two steps`,
	}
	for text, want := range tests {
		_, err := action.ParseMetadata("a.yml", "dir", []byte(text))
		var me *action.MetadataError
		if !errors.As(err, &me) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
	_, err := action.ParseMetadata("a.yml", "", []byte(strings.Repeat("#", 1<<20+1)))
	if err == nil || !strings.Contains(err.Error(), "bytes long") {
		t.Errorf("a large file: %v", err)
	}
}

// Aliases of aliases of a small file must not make it endless.
func TestParseMetadataBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 {using: x}\n")
	for i := 1; i < 30; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	b.WriteString("runs: {using: docker, image: x, args: *a29}\n")
	if _, err := action.ParseMetadata("a.yml", "", []byte(b.String())); err == nil {
		t.Error("no error")
	}
}

func TestParseMetadataWarnings(t *testing.T) {
	m, err := action.ParseMetadata("a.yml", "", []byte("naem: x\nruns:\n  using: node20\n  main: x.js\n  args: [y]\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`a.yml:1:1: the key "naem" is not known and has no effect`,
		`a.yml:5:3: runs: "args" has no effect in an action that uses node`,
	}
	if d := cmp.Diff(want, m.Warnings); d != "" {
		t.Error(d)
	}
}

func TestReadLocal(t *testing.T) {
	files := map[string]string{
		"yml/action.yml":     "name: yml\nruns: {using: node20, main: ../x.js}",
		"yml/action.yaml":    "name: not this",
		"yaml/action.yaml":   "name: yaml\nruns: {using: node20, main: x.js}",
		"file/Dockerfile":    "FROM scratch",
		"action.yml":         "name: top\nruns: {using: node20, main: x.js}",
		"outside/action.yml": "runs: {using: node20, main: ../../x.js}",
	}
	read := func(name string) ([]byte, error) {
		data, ok := files[name]
		if !ok {
			return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
		}
		return []byte(data), nil
	}
	for dir, name := range map[string]string{"yml": "yml", "yaml": "yaml", "": "top"} {
		m, err := action.ReadLocal(read, dir)
		if err != nil || m.Name != name {
			t.Errorf("%q: got %+v, %v", dir, m, err)
		}
	}
	m, err := action.ReadLocal(read, "file")
	if err != nil || m.Runs.Using != action.DockerImage || m.Runs.Image != "Dockerfile" {
		t.Errorf("a Dockerfile alone: got %+v, %v", m, err)
	}
	if _, err = action.ReadLocal(read, "none"); err == nil || !strings.Contains(err.Error(), "no action.yml, action.yaml or Dockerfile in ./none") {
		t.Errorf("nothing there: %v", err)
	}
	if _, err = action.ReadLocal(read, "outside"); err == nil || !strings.Contains(err.Error(), "outside/action.yml:1:") {
		t.Errorf("a main outside: %v", err)
	}
	broken := errors.New("the sandbox is gone")
	if _, err = action.ReadLocal(func(string) ([]byte, error) { return nil, broken }, "x"); !errors.Is(err, broken) {
		t.Errorf("a failing sandbox: %v", err)
	}
}

func TestResolve(t *testing.T) {
	m, err := action.ParseMetadata("action.yml", "", []byte(`
name: N
inputs:
  who-to-greet: {required: true}
  Token: {default: "${{ github.token }}"}
  old: {deprecationMessage: "use new"}
  withDefault: {required: true, default: ""}
runs: {using: node20, main: x.js}
`))
	if err != nil {
		t.Fatal(err)
	}
	in := m.Resolve(map[string]string{"WHO-to-greet": "you", "extra": "1", "old": "x", "another": "2"})
	want := action.Inputs{
		Values: map[string]string{
			"who-to-greet": "you", "Token": "${{ github.token }}", "old": "x", "withDefault": "", "extra": "1", "another": "2",
		},
		Default: map[string]bool{"Token": true, "withDefault": true},
		Warnings: []string{
			"Input 'old' has been deprecated with message: use new",
			"Unexpected input(s) 'another', 'extra', valid inputs are ['who-to-greet', 'Token', 'old', 'withDefault']",
		},
	}
	if d := cmp.Diff(want, in); d != "" {
		t.Error(d)
	}
	in = m.Resolve(nil)
	if len(in.Warnings) != 1 || !strings.Contains(in.Warnings[0], "Input 'who-to-greet' is required by the action \"N\"") {
		t.Errorf("missing: %q", in.Warnings)
	}
	d, err := action.ParseMetadata("action.yml", "", []byte("runs: {using: docker, image: Dockerfile}"))
	if err != nil {
		t.Fatal(err)
	}
	if in := d.Resolve(map[string]string{"args": "x", "entrypoint": "y"}); len(in.Warnings)+len(in.Values) != 0 {
		t.Errorf("args and entrypoint are no inputs: %+v", in)
	}
}

func TestEnvName(t *testing.T) {
	for in, want := range map[string]string{"who-to-greet": "INPUT_WHO-TO-GREET", "a b": "INPUT_A_B", "x_Y": "INPUT_X_Y"} {
		if got := action.EnvName(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzParseMetadata(f *testing.F) {
	for _, s := range []string{
		"runs: {using: node20, main: x.js}", "runs: {using: composite, steps: [{run: a, shell: b}]}",
		"runs: {using: docker, image: Dockerfile, args: [a], env: {a: b}}", "a: &a [*a]", "runs: &x {using: *x}",
		"inputs: {a: {default: null}}", "? [a]\n: b", "runs: {using: wasm, main: ../x}", "--- a\n--- b", "!!binary x: y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := action.ParseMetadata("f", "d", []byte(s))
		if err != nil {
			var me *action.MetadataError
			if !errors.As(err, &me) {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		for _, p := range []string{m.Runs.Main, m.Runs.Pre, m.Runs.Post} {
			if strings.HasPrefix(p, "../..") || strings.HasPrefix(p, "/") {
				t.Errorf("%q leaves the repository", p)
			}
		}
		m.Resolve(map[string]string{"a": "b"})
	})
}
